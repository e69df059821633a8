package preflight

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

func TestMain(m *testing.M) { nginxtest.Main(m) }

// hardened is a target that any Debian nginx could be replaced by: the release that Debian 12 has, the
// same paths compiled in, and hardened.
func hardened(t testing.TB) nginxtest.Binary {
	return nginxtest.Build(t, nginxtest.Source(t, "1.22.1"), with(nginxtest.Flags(),
		"--with-cc-opt=-O2 -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2",
		"--with-ld-opt=-pie -Wl,-z,relro -Wl,-z,now")...)
}

// with replaces flags of the same name, and adds the others.
func with(flags []string, more ...string) []string {
	var all []string
	for _, flag := range flags {
		name, _, _ := strings.Cut(flag, "=")
		replaced := false
		for _, m := range more {
			replaced = replaced || strings.HasPrefix(m, name+"=")
		}
		if !replaced {
			all = append(all, flag)
		}
	}
	return append(all, more...)
}

// subject is the migration of a running instance to a target, inspected now.
func subject(t testing.TB, inst *nginxtest.Instance, target nginxtest.Binary) Subject {
	t.Helper()
	fs := procfs.New("/proc")
	i, err := nginx.Inspect(t.Context(), fs, inst.MasterPID)
	if err != nil {
		t.Fatal(err)
	}
	return Subject{FS: fs, Instance: i, Target: store(t, target.Path), StateDir: t.TempDir()}
}

// store puts a binary into a store as an artifact.
func store(t testing.TB, path string) artifact.Artifact {
	t.Helper()
	b, err := nginx.Ask(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return storeAs(t, path, b)
}

func storeAs(t testing.TB, path string, b nginx.Build) artifact.Artifact {
	t.Helper()
	s, err := artifact.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.PutBinary(t.Context(), path, b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// run makes all checks.
func run(t testing.TB, s Subject) map[string]Check {
	t.Helper()
	list, err := Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	checks := make(map[string]Check)
	for _, c := range list {
		checks[c.ID] = c
	}
	for _, entry := range Catalogue() {
		if c := checks[entry.ID]; !slices.Contains(entry.Answers, c.Severity) {
			t.Errorf("%s answers %v, the catalogue tells of %v only: %s", entry.ID, c.Severity, entry.Answers, c.Evidence)
		}
	}
	return checks
}

// asked makes one check that needs no trial of the binaries, and fails the test unless it answers as [found] tells.
func asked(t testing.TB, s Subject, id string, want Severity, words ...string) {
	t.Helper()
	for _, entry := range Catalogue() {
		if entry.ID == id {
			c := entry.ask(gather(t.Context(), s))
			if !slices.Contains(entry.Answers, c.Severity) {
				t.Errorf("%s answers %v, the catalogue tells of %v only", id, c.Severity, entry.Answers)
			}
			found(t, map[string]Check{id: c}, id, want, words...)
			return
		}
	}
	t.Fatalf("%s is not in the catalogue", id)
}

// found fails the test unless the check is of that severity and its evidence holds the words.
func found(t testing.TB, checks map[string]Check, id string, want Severity, words ...string) {
	t.Helper()
	c, made := checks[id]
	if !made {
		t.Fatalf("%s was not checked", id)
	}
	if c.Severity != want {
		t.Errorf("%s: %v, want %v: %s", id, c.Severity, want, c.Evidence)
	}
	for _, w := range words {
		if !strings.Contains(c.Evidence, w) {
			t.Errorf("%s: %q is not in the evidence: %s", id, w, c.Evidence)
		}
	}
	if want <= Warning && c.Remedy == "" {
		t.Errorf("%s: a %v without a remedy: %s", id, want, c.Evidence)
	}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	wait := time.Millisecond
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(wait) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
		wait = min(wait*3/2, 50*time.Millisecond)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// edit replaces a part of the instance's configuration on disk.
func edit(t testing.TB, inst *nginxtest.Instance, old, changed string) {
	t.Helper()
	text, err := os.ReadFile(inst.Conf)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%q is not in the configuration:\n%s", old, text)
	}
	write(t, inst.Conf, strings.Replace(string(text), old, changed, 1))
}

func TestAHealthyInstanceIsQuiet(t *testing.T) {
	s := subject(t, nginxtest.Start(t, nginxtest.Options{}), hardened(t))
	list, err := Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(Catalogue()) {
		t.Errorf("%d checks, the catalogue has %d", len(list), len(Catalogue()))
	}
	for _, c := range list {
		if c.Severity < Note {
			t.Errorf("%v %s: %s (%s)", c.Severity, c.ID, c.Evidence, c.Remedy)
		}
		if c.Evidence == "" {
			t.Errorf("%s: no evidence", c.ID)
		}
		if c.Page != "docs/traps/"+c.ID+".md" {
			t.Errorf("%s: its page is %q", c.ID, c.Page)
		}
	}
	if text, err := json.Marshal(list[len(list)-1]); err != nil || !strings.Contains(string(text), `"severity":"ok"`) {
		t.Errorf("the least important comes last, and as text: %s %v", text, err)
	}
}
