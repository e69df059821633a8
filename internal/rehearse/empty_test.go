package rehearse

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginx"
	"graft/internal/nginx/conf"
)

func TestLogsAreThoseOfBothBinaries(t *testing.T) {
	directives, err := conf.Parse("nginx.conf", []byte("error_log /logs/error.log; http { access_log logs/$host.log; }"))
	if err != nil {
		t.Fatal(err)
	}
	old := nginx.Build{Prefix: "/old", Conf: "conf/nginx.conf", ErrorLog: "stderr"}
	i := nginx.Instance{Build: old, Cwd: "/", Config: &conf.Config{Directives: directives}}
	i.Paths = old.Paths(i.Options, i.Cwd, "")
	i.Logs = old.Logs(i.Paths, i.Config)
	got := logs(i, nginx.Build{Prefix: "/new", Conf: "conf/nginx.conf", ErrorLog: "logs/compiled.log"})
	want := []string{"/logs/error.log", "/new/logs/$host.log", "/new/logs/compiled.log", "/old/logs/$host.log", "stderr"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What nginx opens for appending is copied into the clone's memory first: so it must be small.
func TestLogsBeginEmptyWhateverTheirName(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("a line\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		return file
	}
	logs := []string{write("error.log"), write("a.test.log"), write("b.test.log"), write("2026/x-access.log"), write("far/away.log")}
	others := []string{write("a.test.txt"), write("2026/x-access.log.1"), write("[a]/access.log")}
	if err := os.Symlink(logs[4], filepath.Join(dir, "linked.log")); err != nil {
		t.Fatal(err)
	}
	umask := syscall.Umask(0o077)
	defer syscall.Umask(umask)
	c := clone{Start: Start{Logs: []string{
		logs[0], dir + "/$host.log", dir + "/${year}/x-$name.log", dir + "/linked.log", dir + "/a[a]/$host.log",
		dir + "/none.log", "syslog:server=unix:/dev/log", "stderr",
	}}}
	if err := c.emptyLogs(); err != nil {
		t.Fatal(err)
	}
	for _, log := range logs {
		if st, err := os.Stat(log); err != nil || st.Size() != 0 || st.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v %+v", log, err, st)
		}
	}
	for _, other := range others {
		if st, err := os.Stat(other); err != nil || st.Size() == 0 {
			t.Errorf("%s was emptied: %v", other, err)
		}
	}
}

// On the host somebody reads the pipe, or nginx would not run. In the clone nobody else does.
func TestAPipeForALogHasAReader(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "access.log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (clone{Start: Start{Logs: []string{pipe}}}).emptyLogs(); err != nil {
		t.Fatal(err)
	}
	// Without a reader there would be no opening it, and no room for so much.
	out, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.SetWriteDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
}
