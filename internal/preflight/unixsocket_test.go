package preflight

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

const unixListen = "listen unix:{{.Prefix}}/run/http.sock;"

func TestUnixSocketUnlinked(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	path := filepath.Join(inst.Prefix, "run/http.sock")
	asked(t, subject(t, inst, hardened(t)), "unix-socket-unlinked", OK, path)
	asked(t, subject(t, inst, nginxtest.Release(t, "1.18.0")), "unix-socket-unlinked", Note, path, "older than 1.19.1")

	without := nginxtest.Start(t, nginxtest.Options{Config: strings.Replace(nginxtest.Realistic, unixListen, "", 1)})
	asked(t, subject(t, without, hardened(t)), "unix-socket-unlinked", OK, "no unix socket")

	aside := path + ".aside"
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	asked(t, subject(t, inst, hardened(t)), "unix-socket-unlinked", Warning, path, "nobody can connect")
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}

	// A dropped listen: the new master deletes the path that the old one serves.
	edit(t, inst, "listen unix:"+path+";", "")
	asked(t, subject(t, inst, hardened(t)), "unix-socket-unlinked", Blocker, path, inst.Conf)
	upgrade(t, inst, 2)
	if reaches(path) {
		t.Errorf("%s is still there", path)
	}
}

// Before 1.19.1: TERM to the new master deletes the path under the old one, QUIT does not.
func TestUnixSocketUnlinkedByTerm(t *testing.T) {
	for sig, stays := range map[syscall.Signal]bool{syscall.SIGTERM: false, syscall.SIGQUIT: true} {
		inst := nginxtest.Start(t, nginxtest.Options{Binary: nginxtest.Release(t, "1.18.0")})
		path := filepath.Join(inst.Prefix, "run/http.sock")
		asked(t, subject(t, inst, hardened(t)), "unix-socket-unlinked", Note, path, "leaves the files")
		young := upgrade(t, inst, 2)
		inst.Signal(t, young, sig)
		eventually(t, "the new master is gone", func() bool {
			masters, err := inst.Masters()
			return err == nil && len(masters) == 1
		})
		if got := reaches(path); got != stays {
			t.Errorf("after %v to the new master, the old one is reached through %s: %t", sig, path, got)
		}
	}
}

// Before 1.19.1 a stop by QUIT leaves the file, and the next start fails on it.
func TestUnixSocketUnlinkedByNobody(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Binary: nginxtest.Release(t, "1.18.0")})
	inst.Signal(t, inst.MasterPID, syscall.SIGQUIT)
	eventually(t, "nginx is gone", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 0
	})
	path := filepath.Join(inst.Prefix, "run/http.sock")
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	again, err := inst.Command(nginxtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := again.CombinedOutput(); err == nil || !strings.Contains(string(out), "bind() to unix:") {
		t.Errorf("the next start: %v: %s", err, out)
	}
}

func reaches(path string) bool {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
