package preflight

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

func TestRollbackOrder(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	asked(t, subject(t, inst, hardened(t)), "rollback-order", OK)
	asked(t, subject(t, inst, nginxtest.Release(t, "1.18.0")), "rollback-order", Note, "1.19.1")

	old := inst.MasterPID
	young := upgrade(t, inst, 2)
	asked(t, subject(t, inst, hardened(t)), "rollback-order", Warning, fmt.Sprint(old), fmt.Sprint(young))
	inst.MasterPID = young
	asked(t, subject(t, inst, hardened(t)), "rollback-order", Warning, fmt.Sprint(old), fmt.Sprint(young))
}

// Parked, then QUIT to the new master first: its workers take nothing any more, and those of the old one come
// only when the last connection of the new ones has ended.
func TestRollbackOrderReversedIsAnOutage(t *testing.T) {
	inst, young := parked(t)
	download, err := net.Dial("tcp", inst.Addr("http"))
	if err != nil {
		t.Fatal(err)
	}
	defer download.Close()
	fmt.Fprint(download, "GET /big HTTP/1.0\r\n\r\n")
	if _, err := download.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	inst.Signal(t, young, syscall.SIGQUIT)
	eventually(t, "the new workers take no connections", func() bool { return get(t, inst.Addr("http"), "/page.txt") == "" })

	// As it is done: HUP to the old one. From then on it serves, whatever the new one still has.
	inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
	eventually(t, "the old workers serve again", func() bool { return get(t, inst.Addr("http"), "/page.txt") != "" })
	if left, err := inst.Workers(young); err != nil || len(left) != 1 {
		t.Errorf("workers of the new master %v: %v", left, err)
	}
}

// KILL to the new master leaves its workers, which go on serving with nobody above them.
func TestRollbackOrderByKillLeavesOrphans(t *testing.T) {
	inst, young := parked(t)
	orphans, err := inst.Workers(young)
	if err != nil || len(orphans) != 2 {
		t.Fatalf("workers %v: %v", orphans, err)
	}
	inst.Signal(t, young, syscall.SIGKILL)
	eventually(t, "the new master is gone", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 1
	})
	for _, pid := range orphans {
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("worker %d: %v", pid, err)
		}
	}
	if body := get(t, inst.Addr("http"), "/page.txt"); body == "" {
		t.Error("the orphans do not serve")
	}
}

// parked is an instance whose old master has no workers, beside a new one that serves.
func parked(t *testing.T) (inst *nginxtest.Instance, young int) {
	t.Helper()
	inst = nginxtest.Start(t, nginxtest.Options{})
	young = upgrade(t, inst, 2)
	inst.Signal(t, inst.MasterPID, syscall.SIGWINCH)
	eventually(t, "the old workers are gone", func() bool {
		workers, err := inst.Workers(inst.MasterPID)
		return err == nil && len(workers) == 0
	})
	return inst, young
}

func TestQuitTooEarly(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	asked(t, subject(t, inst, hardened(t)), "quit-too-early", OK)

	// The pid file went missing, and somebody tested the configuration.
	if err := os.Remove(inst.PidFile); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), inst.Exe, "-p", inst.Prefix, "-c", inst.Conf, "-t").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if text, err := os.ReadFile(inst.PidFile); err != nil || len(text) > 0 {
		t.Fatalf("nginx -t left %q: %v", text, err)
	}
	asked(t, subject(t, inst, hardened(t)), "quit-too-early", Note, inst.PidFile, "is empty")
}

// The runbook's two signals one after the other, with a new binary that does not start: the pid file is back,
// and nobody serves.
func TestQuitTooEarlyIsAnOutage(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	edit(t, inst, "events {", "no_such_directive on;\nevents {")
	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	eventually(t, "the new binary gives up", func() bool {
		return strings.Contains(inst.ErrorLogText(t), "no_such_directive")
	})
	eventually(t, "the pid file is back", func() bool { _, err := inst.PID(); return err == nil })
	inst.Signal(t, inst.MasterPID, syscall.SIGQUIT)
	eventually(t, "everything is gone", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 0
	})
	if body := get(t, inst.Addr("http"), "/page.txt"); body != "" {
		t.Errorf("somebody answered: %.40q", body)
	}
}
