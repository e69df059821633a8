package cli_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

// Whatever ends graft in the midst of a rehearsal, the clone goes with it.
func TestAnInterruptedRehearsalLeavesNothing(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	before := traces(t, h)
	for _, end := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 130}, {syscall.SIGHUP, 130}, {syscall.SIGKILL, -1}} {
		cmd := exec.CommandContext(t.Context(), graftPath(), "rehearse", plan, "--state-dir", h.state)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		said, err := os.Create(filepath.Join(t.TempDir(), "said"))
		if err != nil {
			t.Fatal(err)
		}
		defer said.Close()
		cmd.Stderr = said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		h.eventually("the first act is over", func() bool {
			text, err := os.ReadFile(said.Name())
			return err == nil && bytes.Contains(text, []byte("overlap and back"))
		})
		if err := syscall.Kill(cmd.Process.Pid, end.signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // its exit code tells
		text, err := os.ReadFile(said.Name())
		if err != nil {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != end.code {
			t.Errorf("%v: exit %d, want %d\n%s", end.signal, code, end.code, text)
		}
		if told := strings.Contains(string(text), "graft: interrupted: the clone is gone, nothing was changed"); told != (end.code == 130) {
			t.Errorf("%v: what it came to is not told\n%s", end.signal, text)
		}
		h.eventually("the clones are gone", func() bool { return len(clones(t)) == 0 })
		if diff := cmp.Diff(before, traces(t, h)); diff != "" {
			t.Errorf("%v: the host (-before +after)\n%s", end.signal, diff)
		}
		if left, err := filepath.Glob(filepath.Join(h.state, "rehearsals/*")); err != nil || len(left) != 0 {
			t.Errorf("%v: a result was kept: %v %v", end.signal, left, err)
		}
	}
}

// clones are the processes in pid namespaces of their own below this one's: the rehearsal's.
func clones(t *testing.T) (found []string) {
	t.Helper()
	proc := procfs.New("/proc")
	pids, err := proc.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		title, err := proc.Title(pid)
		if same, nsErr := proc.SameNamespace(pid, "pid"); err == nil && nsErr == nil && !same {
			found = append(found, strings.TrimSpace(title))
		}
	}
	return found
}

// Two at a time do not meet: each has a clone of its own.
func TestTwoRehearsalsAtOnce(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	codes := make(chan result, 2)
	for range 2 {
		go func() { codes <- h.graft("rehearse", plan) }()
	}
	for range 2 {
		if r := <-codes; r.code != 0 {
			t.Errorf("%s", r)
		}
	}
	h.must(0, append([]string{"apply", plan}, quick...)...)
}

// What starts slower than a minute has to be waited for, and what is to be waited for has an end.
func TestARehearsalHasThePatienceThatItIsTold(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	r := h.must(4, "rehearse", plan, "--patience", "1ms")
	if !strings.Contains(r.stderr, "start nginx in the clone") || !strings.Contains(r.stderr, "nothing was changed") || strings.Contains(r.stderr, "--no-rehearsal") {
		t.Errorf("%s", r)
	}
	h.must(2, "rehearse", plan, "--patience", "0s")
}
