package preflight

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The page and the code must tell of the same traps, in the same order and words.
func TestThePageListsTheCatalogue(t *testing.T) {
	var want, got []string
	for _, entry := range Catalogue() {
		want = append(want, entry.ID+": "+entry.What)
	}
	for line := range strings.Lines(read(t, "../../docs/traps.md")) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 3 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		if len(cells) != 6 {
			t.Errorf("a row without four cells: %s", line)
		}
		got = append(got, strings.Trim(cells[1], " `")+": "+strings.TrimSpace(cells[2]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/traps.md (-catalogue +page)\n%s", diff)
	}
}
