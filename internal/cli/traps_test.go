package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"graft/internal/preflight"
)

// answers runs a command that touches no nginx.
func answers(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(t.Context(), args, Streams{In: strings.NewReader(""), Out: &out, Err: &err})
	return code, out.String(), err.String()
}

func TestTrapsListsAndExplains(t *testing.T) {
	code, list, _ := answers(t, "traps")
	for _, e := range preflight.Catalogue() {
		if code != 0 || !strings.Contains(list, e.ID) || !strings.Contains(list, e.What) {
			t.Errorf("exit %d; %s is not listed:\n%s", code, e.ID, list)
		}
	}
	code, page, _ := answers(t, "traps", "usr2-ignored")
	if code != 0 || !strings.HasPrefix(page, "# usr2-ignored\n") || !strings.Contains(page, "ngx_getppid") {
		t.Errorf("exit %d:\n%s", code, page)
	}

	var known struct{ Traps []trapJSON }
	code, text, _ := answers(t, "traps", "-o", "json")
	if err := json.Unmarshal([]byte(text), &known); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, text)
	}
	for n, e := range preflight.Catalogue() {
		got := known.Traps[n]
		if got.ID != e.ID || got.What != e.What || len(got.Severities) == 0 || got.Page != "docs/traps/"+e.ID+".md" || got.Text != "" {
			t.Errorf("%s came as %+v", e.ID, got)
		}
	}
}

func TestTrapsNamesTheNearOnes(t *testing.T) {
	for asked, near := range map[string]string{
		"usr2-ignord": "usr2-ignored",
		"blackhole":   "reuseport-blackhole",
		"usr2":        "usr2-ignored, usr2-poison",
	} {
		code, _, stderr := answers(t, "traps", asked)
		if code != int(CodeUsage) || !strings.Contains(stderr, "no such trap: "+asked) || !strings.Contains(stderr, near) {
			t.Errorf("%s: exit %d: %s", asked, code, stderr)
		}
	}
	if code, _, stderr := answers(t, "traps", "zzzzzzzz"); code != int(CodeUsage) || !strings.Contains(stderr, "graft traps lists them") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if code, _, _ := answers(t, "traps", "a", "b"); code != int(CodeUsage) {
		t.Errorf("two IDs: exit %d", code)
	}
}
