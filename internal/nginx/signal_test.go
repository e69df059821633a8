package nginx

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

var proc = procfs.New("/proc")

// process names a live process as Open wants it.
func process(t *testing.T, pid int) (Process, procfs.FileID) {
	t.Helper()
	stat, err := proc.Stat(pid)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := proc.Exe(pid)
	if err != nil {
		t.Fatal(err)
	}
	return Process{PID: pid, StartTime: stat.StartTime}, exe.FileID
}

// accepting lists the pids of the master's workers that accept.
func accepting(t *testing.T, master int) []int {
	t.Helper()
	tree, err := ReadTree(proc, master)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, w := range tree.Accepting() {
		pids = append(pids, w.PID)
	}
	return pids
}

// Guarantee 4: no signal is sent blindly.
func TestOpenRefusesAnyOtherProcess(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	p, exe := process(t, inst.MasterPID)
	_, self := process(t, os.Getpid())

	later := p
	later.StartTime++
	if h, err := Open(proc, later, exe); !errors.Is(err, ErrGone) {
		t.Errorf("the pid of another start time: %v, %v, want ErrGone", h, err)
	}
	if h, err := Open(proc, p, self); err == nil || errors.Is(err, ErrGone) || !strings.Contains(err.Error(), inst.Exe) {
		t.Errorf("another binary: %v, %v, want an error that tells what it runs", h, err)
	}
	// The trap text-file-busy: the path may lead to another file by now; the inode decides.
	if err := os.Rename(inst.Exe, inst.Exe+".old"); err != nil {
		t.Fatal(err)
	}
	h, err := Open(proc, p, exe)
	if err != nil {
		t.Fatalf("its binary was renamed: %v", err)
	}
	h.Close()
}

func TestOpenKnowsTheDead(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, exe := process(t, cmd.Process.Pid)
	h, err := Open(proc, p, exe)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a zombie", func() bool { s, err := proc.Stat(p.PID); return err == nil && s.State == 'Z' })
	if h, err := Open(proc, p, exe); !errors.Is(err, ErrGone) {
		t.Errorf("a zombie: %v, %v, want ErrGone", h, err)
	}
	_ = cmd.Wait() // killed
	if h, err := Open(proc, p, exe); !errors.Is(err, ErrGone) {
		t.Errorf("nobody: %v, %v, want ErrGone", h, err)
	}
	if err := h.Signal(HUP); !errors.Is(err, ErrGone) {
		t.Errorf("a signal to what ended since: %v, want ErrGone", err)
	}
}

func TestOnlyTheFiveSignalsAreSent(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	p, exe := process(t, inst.MasterPID)
	h, err := Open(proc, p, exe)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	before := accepting(t, p.PID)
	for _, s := range []Signal{"TERM", "KILL", "INT", "STOP", "SIGHUP", "15", ""} {
		if err := h.Signal(s); err == nil {
			t.Errorf("%q was sent", s)
		}
	}
	if after := accepting(t, p.PID); !slices.Equal(after, before) {
		t.Errorf("workers %v, were %v", after, before)
	}
	if err := h.Signal(HUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new generation of workers", func() bool {
		now := accepting(t, p.PID)
		return len(now) == 2 && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
	})
}

// Each signal does to the real nginx what the constant's comment says.
func TestWhatTheSignalsDo(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	send := func(pid int, s Signal) {
		t.Helper()
		p, exe := process(t, pid)
		h, err := Open(proc, p, exe)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if err := h.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	old := inst.MasterPID
	if err := os.Rename(inst.ErrorLog, inst.ErrorLog+".1"); err != nil {
		t.Fatal(err)
	}
	send(old, USR1)
	eventually(t, "USR1: the log is opened again", func() bool { _, err := os.Stat(inst.ErrorLog); return err == nil })

	send(old, USR2)
	young := 0
	eventually(t, "USR2: a new master with its workers", func() bool {
		tree, err := ReadTree(proc, old)
		if err != nil {
			t.Fatal(err)
		}
		if len(tree.Masters) == 1 {
			young = tree.Masters[0]
			return len(accepting(t, young)) == 2
		}
		return false
	})
	send(old, WINCH)
	eventually(t, "WINCH: the old workers leave", func() bool { return len(accepting(t, old)) == 0 })
	send(old, HUP)
	eventually(t, "HUP: they come back", func() bool { return len(accepting(t, old)) == 2 })
	send(young, QUIT)
	eventually(t, "QUIT: the new master ends", func() bool { return syscall.Kill(young, 0) != nil })
	if now := accepting(t, old); len(now) != 2 {
		t.Errorf("the old master has workers %v, want two", now)
	}
}
