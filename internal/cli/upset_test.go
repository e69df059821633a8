package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

func TestAnotherInstanceOfTheSameBinaryIsLeftAlone(t *testing.T) {
	// Two instances run one file. The first is migrated; then the second goes the same way, and back.
	first := newHost(t, nginxtest.Options{})
	second := nginxtest.Prepare(t, nginxtest.Options{})
	if err := os.Remove(second.Exe); err != nil {
		t.Fatal(err)
	}
	args := []string{"-p", second.Prefix + "/", "-c", second.Conf}
	run(t, first.inst.Exe, args...)
	h := &host{t: t, inst: second, state: first.state}
	master := func() int {
		pid, err := os.ReadFile(second.PidFile)
		if err != nil {
			return 0
		}
		n := 0
		for _, c := range strings.TrimSpace(string(pid)) {
			n = n*10 + int(c-'0')
		}
		return n
	}
	h.eventually("the second instance", func() bool { return master() > 0 })
	t.Cleanup(func() { _ = syscall.Kill(master(), syscall.SIGQUIT) })

	target := nginxtest.Release(t, "1.26.3").Path
	first.must(0, with("apply", first.plan(target))...)
	workers, err := first.inst.Workers(must(t, first.inst.PID))
	if err != nil {
		t.Fatal(err)
	}
	load := light(t, first.inst)
	load.warm()
	h.must(0, with("apply", h.plan(target), "--until", "overlap")...)
	h.must(0, "rollback")
	load.lostNothing()
	after, err := first.inst.Workers(must(t, first.inst.PID))
	if err != nil || len(after) != len(workers) || after[0] != workers[0] || after[1] != workers[1] {
		t.Errorf("the first instance's workers were %v, now %v (%v)", workers, after, err)
	}
	if first.sha256(first.inst.Exe) != first.sha256(target) {
		t.Error("the file that the first instance runs was put back under it")
	}
}

func must(t *testing.T, pid func() (int, error)) int {
	t.Helper()
	n, err := pid()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// reuseport is a configuration with a socket for each of four workers.
const reuseport = `worker_processes 4;
pid {{.PidFile}};
error_log {{.ErrorLog}} notice;
events { worker_connections 512; }
http {
    access_log {{.AccessLog}};
    server {
        listen 127.0.0.1:{{.Port "http"}} reuseport;
        listen unix:{{.Prefix}}/run/http.sock;
        root html;
    }
}
`

func TestReuseportBlackhole(t *testing.T) {
	for _, at := range []string{"overlap", "parked"} {
		t.Run(at, func(t *testing.T) {
			h := newHost(t, nginxtest.Options{Config: reuseport})
			file := h.plan(nginxtest.Release(t, "1.26.3").Path)
			h.must(0, with("apply", file, "--until", at)...)
			text, err := os.ReadFile(h.inst.Conf)
			if err != nil {
				t.Fatal(err)
			}
			// Somebody reloads the new master to fewer workers: it lets go of half of the sockets.
			if err := os.WriteFile(h.inst.Conf, []byte(strings.Replace(string(text), "worker_processes 4", "worker_processes 2", 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			pid := must(t, h.inst.PID)
			h.inst.Signal(t, pid, syscall.SIGHUP)
			h.eventually("two workers", func() bool { w, err := h.inst.Workers(pid); return err == nil && len(w) == 2 })
			r := h.must(5, "resume", "--overlap", "300ms", "--park", "10s", "--min-requests", "0", "--probe-rate", "20")
			if !strings.Contains(r.stderr, "socket") {
				t.Errorf("the reason is not told: %s", r)
			}
			h.phase("rolled-back")
		})
	}
}

func TestAKilledReturnIsCompletedByRollbackAndByResume(t *testing.T) {
	for _, then := range []string{"rollback", "resume"} {
		t.Run(then, func(t *testing.T) {
			h := newHost(t, nginxtest.Options{})
			target := nginxtest.Release(t, "1.26.3").Path
			old, new := h.sha256(h.inst.Exe), h.sha256(target)
			h.must(0, with("apply", h.plan(target))...)
			h.killed("after-usr2", old, new, "rollback")
			h.must(0, then)
			h.phase("rolled-back")
			h.oneMaster(old)
			if h.sha256(h.inst.Exe) != old {
				t.Error("the old binary serves, the new one is on disk")
			}
		})
	}
}

func TestAnOldMasterThatDiesIsNoSuccess(t *testing.T) {
	for _, at := range []string{"overlap", "parked"} {
		t.Run(at, func(t *testing.T) {
			h := newHost(t, nginxtest.Options{})
			target := nginxtest.Release(t, "1.26.3").Path
			old := h.sha256(h.inst.Exe)
			load := light(t, h.inst)
			load.warm()
			h.must(0, with("apply", h.plan(target), "--until", at)...)
			h.inst.Signal(t, h.inst.MasterPID, syscall.SIGKILL)
			r := h.must(9, with("resume")...)
			if !strings.Contains(r.stderr, "no gate has passed") {
				t.Errorf("what happened is not told: %s", r)
			}
			h.phase("finished")
			h.oneMaster(h.sha256(target)) // the orphaned workers of the old one were released
			h.must(0, "rollback")
			load.lostNothing()
			h.oneMaster(old)
		})
	}
}

func TestRollbackNeedsNoArtifactAndNoHealthyHistory(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	target := nginxtest.Release(t, "1.26.3").Path
	old := h.sha256(h.inst.Exe)
	h.must(0, with("apply", h.plan(target))...)
	h.must(0, "rollback")
	h.must(0, with("apply", "--until", "parked", h.planAgain(target))...)
	if err := os.RemoveAll(filepath.Join(h.state, "artifacts")); err != nil {
		t.Fatal(err)
	}
	journals, err := filepath.Glob(filepath.Join(h.state, "migrations", "*", "journal"))
	if err != nil || len(journals) != 3 {
		t.Fatalf("journals %v, %v", journals, err)
	}
	if err := os.WriteFile(journals[0], []byte("rubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.must(0, "rollback")
	h.phase("rolled-back")
	h.oneMaster(old)
}

// planAgain is a plan for an instance whose master is not the first any more.
func (h *host) planAgain(to string) string {
	h.t.Helper()
	if pid, err := h.inst.PID(); err == nil {
		h.inst.MasterPID = pid
	}
	return h.plan(to)
}

func TestAFullStateDiskDoesNotStopTheWayBack(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	old := h.sha256(h.inst.Exe)
	disk := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	h.state = disk
	h.must(0, with("apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--until", "parked")...)
	filler, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = filler.Write(block)
	}
	filler.Close()
	h.must(0, "rollback")
	h.oneMaster(old)
	if h.sha256(h.inst.Exe) != old {
		t.Error("the old binary is not on disk")
	}
}

func TestResumeGoesOnWithTheOptionsOfApply(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	target := nginxtest.Release(t, "1.26.3").Path
	old, new := h.sha256(h.inst.Exe), h.sha256(target)
	h.killed("before-usr2", old, new, with("apply", h.plan(target), "--until", "overlap")...)
	h.must(0, "resume")
	h.phase("overlap")
	h.must(0, "resume") // it got where it was to stop: on to the end, with the short gates of apply
	h.phase("finished")
}
