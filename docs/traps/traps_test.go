package traps_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/docs/traps"
	"graft/internal/preflight"
)

var update = flag.Bool("update", false, "write the tables of docs/traps.md")

// promised are the traps of the field. Each must stay a check of its own, whatever else is checked.
var promised = strings.Fields(`
usr2-ignored winch-ignored usr2-poison hup-old-doubles rollback-order argv0-relative argv-reused env-stripped
quit-too-early pid-gap pid-path-differs systemd-unit cold-start-differs upgrade-under-way

reuseport-blackhole unix-socket-unlinked quic-bpf idle-keepalive-close drain-unbounded

prefix-relative-paths module-signature module-already-loaded module-lost config-test-side-effects
shared-zones-restart cache-format log-rotation text-file-busy file-attributes library-missing package-manager
hardening-lost openssl-abi
`)

const root = "../.."

func TestEveryPromisedTrapIsChecked(t *testing.T) {
	var have []string
	for _, entry := range preflight.Catalogue() {
		if slices.Contains(have, entry.ID) {
			t.Errorf("%s is in the catalogue twice", entry.ID)
		}
		have = append(have, entry.ID)
	}
	for _, id := range promised {
		if !slices.Contains(have, id) {
			t.Errorf("%s is not in the catalogue", id)
		}
	}
}

func TestEveryTrapHasItsPage(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	orphans := make(map[string]bool)
	for _, page := range pages {
		orphans[page] = true
	}
	for _, entry := range preflight.Catalogue() {
		delete(orphans, filepath.Base(entry.Page()))
		if _, err := os.Stat(filepath.Join(root, entry.Page())); err != nil {
			t.Error(err)
			continue
		}
		text, err := traps.Page(entry.ID)
		if err != nil {
			t.Error(err)
			continue
		}
		if title, _, _ := strings.Cut(text, "\n"); title != "# "+entry.ID {
			t.Errorf("%s begins with %q", entry.Page(), title)
		}
		for _, part := range []string{"## Why", "## See it", "## What graft does", "## What to do"} {
			if !strings.Contains(text, "\n"+part+"\n") {
				t.Errorf("%s has no part %q", entry.Page(), part)
			}
		}
		if n := strings.Count(text, "\n"); n < 15 || n > 45 {
			t.Errorf("%s has %d lines, want 15 to 45", entry.Page(), n)
		}
	}
	for page := range orphans {
		t.Errorf("docs/traps/%s explains no trap of the catalogue", page)
	}
}

func TestTheTablesAreThoseOfTheCatalogue(t *testing.T) {
	const path = root + "/docs/traps.md"
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin = "<!-- From here on written by: go test ./docs/traps -update -->\n"
	before, _, marked := strings.Cut(string(have), begin)
	if !marked {
		t.Fatalf("%s: no line %q", path, begin)
	}
	want := before + begin + tables(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("%s is not up to date: go test ./docs/traps -update (-want +have)\n%s", path, diff)
	}
}

// tables are what docs/traps.md tells of the catalogue. A trap that no test provokes is an error.
func tables(t *testing.T) string {
	t.Helper()
	shown := provoked(t)
	var what, proof strings.Builder
	what.WriteString("\n| ID | What goes wrong | What graft looks at | What to do |\n|---|---|---|---|\n")
	proof.WriteString("\nEach trap is provoked on a real nginx by tests whose names begin with its ID. \"Watched\": a guard looks out for it\n" +
		"while the old master is parked.\n\n| ID | Answers | Watched | Tests |\n|---|---|---|---|\n")
	for _, e := range preflight.Catalogue() {
		link := fmt.Sprintf("[`%s`](%s)", e.ID, strings.TrimPrefix(e.Page(), "docs/"))
		for _, cell := range []string{e.What, e.Looks, e.Remedy} {
			if cell == "" || strings.ContainsAny(cell, "|\n") {
				t.Errorf("%s: %q is no cell of a table", e.ID, cell)
			}
		}
		fmt.Fprintf(&what, "| %s | %s | %s | %s |\n", link, e.What, e.Looks, e.Remedy)
		var answers []string
		for _, s := range e.Answers {
			answers = append(answers, s.String())
		}
		watched := ""
		if e.Watched {
			watched = "yes"
		}
		tests := shown[e.ID]
		if len(tests) == 0 {
			t.Errorf("%s: no test named Test%s… provokes it", e.ID, camelCase(e.ID))
		}
		fmt.Fprintf(&proof, "| `%s` | %s | %s | %s |\n", e.ID, strings.Join(answers, ", "), watched, strings.Join(tests, ", "))
	}
	return what.String() + proof.String()
}

var testFunction = regexp.MustCompile(`(?m)^func (Test[A-Z0-9]\w*)\(`)

// provoked finds the tests of each trap by their names, in the whole repository.
func provoked(t *testing.T) map[string][]string {
	t.Helper()
	shown := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range testFunction.FindAllStringSubmatch(string(text), -1) {
			if id := trapOf(m[1]); id != "" {
				shown[id] = append(shown[id], fmt.Sprintf("`%s`", m[1]))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tests := range shown {
		slices.Sort(tests)
	}
	return shown
}

// trapOf is the ID that a test's name begins with, the longest of several: TestConfigTestSideEffects is not
// about config-test.
func trapOf(test string) string {
	found := ""
	for _, e := range preflight.Catalogue() {
		rest, begins := strings.CutPrefix(test, "Test"+camelCase(e.ID))
		if begins && !regexp.MustCompile(`^[a-z0-9]`).MatchString(rest) && len(e.ID) > len(found) {
			found = e.ID
		}
	}
	return found
}

func camelCase(id string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(id, "-") {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

func TestATestBelongsToOneTrap(t *testing.T) {
	for test, want := range map[string]string{
		"TestUsr2Ignored":          "usr2-ignored",
		"TestUsr2IgnoredByParent":  "usr2-ignored",
		"TestUsr2IgnoredlyWritten": "",
		"TestConfigTest":           "config-test",
		"TestIgnored":              "",
	} {
		if got := trapOf(test); got != want {
			t.Errorf("%s belongs to %q, want %q", test, got, want)
		}
	}
}
