package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graft/internal/journal"
)

// Every step that the engine writes into its journal has words, or is known to need none: what is not told
// on the screen happened behind the operator's back.
func TestEveryStepOfTheJournalHasWords(t *testing.T) {
	// Decisions that are carried out by other steps or end the run, and notes that the steps after them tell.
	silent := []string{"watch", "settle", "drain", "return", "stop", "halt", "begin", "options"}
	named := regexp.MustCompile(`(?m)^\s+(?:\w+\s+Action|step\w+)\s+= "([a-z-]+)"`)
	files, err := filepath.Glob("../migrate/*.go")
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(code), -1) {
			steps++
			text := describe(journal.Event{Step: m[1], Event: journal.Intent})
			if said, want := strings.TrimSpace(text) != "", !slices.Contains(silent, m[1]); said != want {
				t.Errorf("%s: step %s is told as %q", file, m[1], text)
			}
		}
	}
	if steps < len(silent) {
		t.Errorf("only %d steps were found: they are written otherwise now", steps)
	}
}
