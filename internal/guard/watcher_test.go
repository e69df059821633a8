package guard

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

func TestMain(m *testing.M) { nginxtest.Main(m) }

var proc = procfs.New("/proc")

// pair are two instances in the roles of the two masters: a guard looks at each by itself.
func pair(t testing.TB) (Host, View) {
	t.Helper()
	old := nginxtest.Start(t, nginxtest.Options{})
	young := nginxtest.Start(t, nginxtest.Options{AccessLog: old.AccessLog, ErrorLog: old.ErrorLog})
	h := Host{
		FS: proc, Binary: old.Exe, PidFile: young.PidFile, Conf: old.Conf, Argv: []string{old.Exe, "-p", old.Prefix + "/", "-c", old.Conf},
		Cwd: old.Prefix, Workers: 2, Logs: []string{old.AccessLog, old.ErrorLog},
	}
	i, err := nginx.Inspect(t.Context(), proc, old.MasterPID)
	if err != nil || i.ConfigError != nil {
		t.Fatal(err, i.ConfigError)
	}
	h.Planned = make(map[string]string)
	for _, file := range i.Config.Files {
		h.Planned[file.Path] = file.SHA256
	}
	return h, View{Old: lookAt(t, old.MasterPID), New: lookAt(t, young.MasterPID), Parked: true}
}

func lookAt(t testing.TB, pid int) Side {
	t.Helper()
	tree, err := nginx.ReadTree(proc, pid)
	if err != nil {
		t.Fatal(err)
	}
	return Side{Master: tree.Master, Workers: tree.Accepting(), Leaving: tree.Leaving()}
}

func TestARotationIsFoundWhenTwoLooksAgree(t *testing.T) {
	h, v := pair(t)
	w := NewWatcher(h)
	if s := w.Look(t.Context(), v); len(Judge(s)) > 0 {
		t.Fatalf("found before anything was done: %+v", Judge(s))
	}
	log := h.Logs[0]
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	// Between the two steps of a rotation, and right after them, nothing is known yet.
	if s := w.Look(t.Context(), v); len(s.Stale) > 0 {
		t.Errorf("in the middle of a rotation: %+v", s.Stale)
	}
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if s := w.Look(t.Context(), v); len(s.Stale) > 0 {
		t.Errorf("right after a rotation: %+v", s.Stale)
	}
	s := w.Look(t.Context(), v)
	if len(s.Stale) != 2 || s.Stale[0].New || !s.Stale[1].New {
		t.Fatalf("at the next look: %+v, want both masters", s.Stale)
	}
	for _, stale := range s.Stale {
		if stale.Path != log || stale.At != log+".1" || len(stale.PIDs) != 3 {
			t.Errorf("%+v, want a master and its two workers", stale)
		}
	}
}

// drifts looks once and tells the changes in words.
func drifts(t *testing.T, w *Watcher, v View) string {
	t.Helper()
	s := w.LookOnce(t.Context(), v)
	if len(s.Blind) > 0 {
		t.Fatalf("%+v", s.Blind)
	}
	var list []string
	for _, c := range s.Drift.Changes {
		list = append(list, filepath.Base(c.Path)+" "+c.How)
	}
	return strings.Join(list, ", ")
}

func TestConfigDriftSeesEveryWayToChange(t *testing.T) {
	h, v := pair(t)
	dir := filepath.Dir(h.Conf)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	main, err := os.ReadFile(h.Conf)
	if err != nil {
		t.Fatal(err)
	}
	write("more.conf", "# nothing yet\n")
	text := strings.Replace(string(main), "http {", "http {\n include "+dir+"/m*.conf;", 1)
	write("nginx.conf", text)
	for _, name := range []string{"nginx.conf", "more.conf"} {
		path := filepath.Join(dir, name)
		if h.Planned[path], err = procfs.SHA256(path); err != nil {
			t.Fatal(err)
		}
	}
	w := NewWatcher(h)
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, ""},
		{func() { write("more.conf", "# something\n") }, "more.conf edited"},
		{func() { write("mine.conf", "# new\n") }, "more.conf edited, mine.conf new"},
		{func() { write("more.conf", "# nothing yet\n") }, "mine.conf new"},
		{func() { os.Remove(filepath.Join(dir, "more.conf")) }, "more.conf gone, mine.conf new"},
		{func() { write("nginx.conf", "http {") }, "more.conf gone, nginx.conf edited"},
		{func() {
			os.Remove(filepath.Join(dir, "mine.conf"))
			write("more.conf", "# nothing yet\n")
			write("nginx.conf", text)
		}, ""},
	} {
		step.do()
		if got := drifts(t, w, v); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}

// BenchmarkLook is a look of all guards at a healthy pair of masters: what a park costs every two seconds.
func BenchmarkLook(b *testing.B) {
	h, v := pair(b)
	w := NewWatcher(h)
	for b.Loop() {
		if s := w.Look(context.Background(), v); len(s.Stale)+len(s.Blind)+len(s.Drift.Changes) > 0 {
			b.Fatal(fmt.Sprint(s))
		}
	}
}
