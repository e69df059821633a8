package needs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"graft/internal/build/job"
	"graft/internal/build/source"
	"graft/internal/sandbox"
)

var debian12 = source.ParseOSRelease("ID=debian\nVERSION_ID=12\n")

// This test program also runs in a sandbox, as one test in one of these roles.
const (
	lookArg    = "look"    // predict, and run the real configure; print what both say
	installArg = "install" // install what is missing from the distribution's mirror, and look again
	offlineArg = "offline" // install from an archive of this sandbox's own
	sudoArg    = "sudo"    // install by sudo
)

const resultLine = "RESULT "

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// TestInside is the sandbox's half of the other tests: NEEDS_ROLE says which, NEEDS_QUERY is a Query as JSON.
func TestInside(t *testing.T) {
	role := map[string]func(*testing.T, Query) any{lookArg: look, installArg: install, offlineArg: offline, sudoArg: bySudo}[os.Getenv("NEEDS_ROLE")]
	if role == nil {
		t.Skip("runs in sandboxes of other tests")
	}
	var q Query
	if err := json.Unmarshal([]byte(os.Getenv("NEEDS_QUERY")), &q); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(role(t, q))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s%s\n", resultLine, text)
}

// seen is what prediction and configure say in one sandbox.
type seen struct {
	Missing    []Dependency
	Notes      []Note
	Error      string // of Missing
	Configured bool
	Configure  string // the end of what it printed
}

func look(t *testing.T, q Query) any {
	p := predict(t, q)
	s := seen{Notes: p.Notes}
	if err, ok := errors.AsType[*MissingError](p.Missing()); ok {
		s.Error, s.Missing = err.Error(), err.Missing
	}
	s.Configured, s.Configure = configure(t, q)
	return s
}

func predict(t *testing.T, q Query) Prediction {
	t.Helper()
	p, err := Predict(t.Context(), job.Silent(), q, debian12)
	if err == nil {
		p, err = p.Verify(t.Context(), job.Silent())
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// configure runs nginx's own configure in the directory tree, up to where it has looked for all
// libraries, and without its tests of the operating system, which do not matter for them and take long.
func configure(t *testing.T, q Query) (ok bool, said string) {
	t.Helper()
	text, err := os.ReadFile("tree/configure")
	if err != nil {
		return false, err.Error()
	}
	script, _, found := strings.Cut(string(text), ". auto/lib/conf\n")
	if !found {
		t.Fatal("this configure does not look for libraries as expected")
	}
	for _, step := range []string{"if [ \"$NGX_PLATFORM\" != win32 ]; then\n    . auto/headers\nfi\n", "if [ \"$NGX_PLATFORM\" != win32 ]; then\n    . auto/unix\nfi\n", ". auto/os/conf\n", ". auto/threads\n"} {
		if !strings.Contains(script, step) {
			t.Fatalf("this configure has no step %q", step)
		}
		script = strings.Replace(script, step, "", 1)
	}
	if err := os.WriteFile("tree/look", []byte(script+". auto/lib/conf\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "./look", q.Configure...)
	cmd.Dir = "tree"
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil, string(out[max(0, len(out)-600):])
}

// inside runs a role in a sandbox, in a directory with a copy of the tree, after a script has changed the
// machine that the sandbox shows: all of that vanishes.
func inside(t *testing.T, opts sandbox.Options, role, tree, script string, q Query) seen {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	script = "mkdir /tmp/look && cp -a \"$1\" /tmp/look/tree && cd /tmp/look\n" + script + "\nexec \"$0\" -test.run='^TestInside$'"
	cmd, err := sandbox.Command(t.Context(), opts, "/bin/sh", "-ec", script, exe, tree)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "NEEDS_ROLE="+role, "NEEDS_QUERY="+string(text))
	out, err := cmd.CombinedOutput()
	_, result, found := strings.Cut(string(out), resultLine)
	if err != nil || !found {
		t.Fatalf("in the sandbox: %v\n%s", err, out)
	}
	line, _, _ := strings.Cut(result, "\n")
	var s seen
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		t.Fatal(err)
	}
	return s
}
