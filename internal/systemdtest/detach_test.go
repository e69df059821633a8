package systemdtest

import (
	"fmt"
	"strings"
	"testing"
)

// session runs a command line as a login session does, in a scope of its own that stays after it.
func (h *host) session(name, command string) {
	h.t.Helper()
	cmd := h.m.Command(h.t.Context(), "systemd-run", "--quiet", "--scope", "--unit="+name, "sh", "-c",
		fmt.Sprintf("%s >/run/%s.out 2>&1; echo $? >/run/%[2]s.code; exec sleep 300", command, name))
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = cmd.Wait() }) // the machine ends before, and all in it
	h.eventually(name+" is back at its prompt", func() bool {
		return h.m.Command(h.t.Context(), "test", "-s", "/run/"+name+".code").Run() == nil
	})
}

// processes lists what runs in a unit's cgroup.
func (h *host) processes(unit string) string {
	h.t.Helper()
	return h.in("sh", "-c", fmt.Sprintf("for pid in $(cat /sys/fs/cgroup/system.slice/%s/cgroup.procs); do tr '\\0' ' ' </proc/$pid/cmdline; echo; done", unit))
}

func (h *host) runners() string {
	h.t.Helper()
	return strings.TrimSpace(h.in("systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "graft-*"))
}

func TestSystemdUnitOfADetachedGraftOutlivesTheSession(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	before, first := h.sum(onDisk), h.master()
	detached := strings.Join(apply("--park", "10m", "--detach"), " ")
	for n, last := range []string{"rollback", "finish"} {
		h.plan(newer)
		name := fmt.Sprintf("session%d", n)
		h.session(name, "graft "+detached)
		if code := h.in("cat", "/run/"+name+".code"); code != "0\n" {
			t.Fatalf("graft --detach exits with %s%s", code, h.in("cat", "/run/"+name+".out"))
		}
		if text := h.processes(name + ".scope"); strings.Contains(text, "graft") || strings.Contains(text, "systemd-run") {
			t.Errorf("left in the session:\n%s", text)
		}
		if text := h.runners(); !strings.Contains(text, "active") || !strings.Contains(text, "running") {
			t.Errorf("no unit of graft's runs: %q", text)
		}
		end := []string{"stop", name + ".scope"}
		if n > 0 {
			end = []string{"kill", "--signal=KILL", name + ".scope"}
		}
		h.in("systemctl", end...)
		h.eventually("the session has ended", func() bool {
			return h.m.Command(t.Context(), "systemctl", "is-active", "--quiet", name+".scope").Run() != nil
		})
		h.eventually("the detached graft has parked", func() bool { return h.phase() == "parked" })
		if r := h.must(0, "status"); !strings.Contains(r.stdout, "at work on it") {
			t.Errorf("nobody is at work: %s", r)
		}
		h.must(0, last)
		h.eventually("graft's unit is gone", func() bool { return h.runners() == "" })
		if n == 0 {
			h.runs("rolled back", before)
			h.follows("rolled back", first)
		}
	}
	h.runs("finished", h.sum(newer))
	if text := h.in("cat", stateDir+"/runner.log"); !strings.Contains(text, "nginx.service is active (running), MainPID") {
		t.Errorf("the runner's log:\n%s", text)
	}

	// What a detached graft refuses at once is told to the one who asked: the plan is stale now.
	h.session("late", "graft "+detached)
	if code, text := h.in("cat", "/run/late.code"), h.in("cat", "/run/late.out"); code != "8\n" || !strings.Contains(text, "stale") {
		t.Errorf("exit %s%s", code, text)
	}
	h.eventually("graft's unit is gone", func() bool { return h.runners() == "" })
}
