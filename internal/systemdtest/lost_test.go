package systemdtest

import (
	"fmt"
	"strings"
	"testing"
)

// untouched checks that a plan which blocks, and an apply which then is refused, changed nothing.
func (h *host) untouched(when, sum string, master int) {
	h.t.Helper()
	h.runs(when, sum)
	if pid := h.master(); pid != master {
		h.t.Errorf("%s: master %d, was %d", when, pid, master)
	}
	if text := h.in("sh", "-c", "ls /run/nginx.pid.oldbin /var/lib/graft/migrations 2>/dev/null || :"); text != "" {
		h.t.Errorf("%s: left behind: %s", when, text)
	}
}

// blocks checks that a plan is blocked by that check, which says these words.
func (h *host) blocks(id string, words ...string) {
	h.t.Helper()
	c := h.checks(4, newer)[id]
	if c.Severity != "blocker" {
		h.t.Errorf("%s: %+v, want a blocker", id, c)
	}
	for _, w := range words {
		if !strings.Contains(c.Evidence+c.Remedy, w) {
			h.t.Errorf("%s: no word of %q: %+v", id, w, c)
		}
	}
}

// byHand upgrades to the binary on disk without graft: USR2, WINCH, QUIT.
func (h *host) byHand() {
	h.t.Helper()
	old := h.master()
	h.kill("USR2", old)
	h.eventually("a new master", func() bool {
		out, err := h.m.Command(h.t.Context(), "cat", pidFile).Output()
		return err == nil && len(out) > 0 && h.number(string(out)) != old
	})
	h.kill("WINCH", old)
	h.workers(old, 0)
	h.kill("QUIT", old)
	h.gone(old)
}

func (h *host) kill(signal string, pid int) { h.in("kill", "-"+signal, fmt.Sprint(pid)) }

func (h *host) workers(master, n int) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("%d workers of master %d", n, master), func() bool {
		out, _ := h.m.Command(h.t.Context(), "pgrep", "-P", fmt.Sprint(master), "-f", "worker process").Output()
		return strings.Count(string(out), "\n") == n
	})
}

func (h *host) gone(pid int) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("the end of process %d", pid), func() bool {
		return h.m.Command(h.t.Context(), "kill", "-0", fmt.Sprint(pid)).Run() != nil
	})
}

// up waits until nginx has started: systemd's job is done before its processes have their titles.
func (h *host) up() {
	h.t.Helper()
	h.eventually("a running nginx", func() bool { return h.m.Command(h.t.Context(), "graft", "inspect").Run() == nil })
}

// stopped checks that systemd has ended all of nginx.
func (h *host) stopped() {
	h.t.Helper()
	h.eventually("systemd has stopped nginx.service", func() bool { return h.unit().active != "active" })
	h.eventually("no nginx is left", func() bool {
		return h.m.Command(h.t.Context(), "pgrep", "-x", "nginx").Run() != nil
	})
}

// A master in the foreground is systemd's own child, and nginx ignores USR2.
func TestSystemdUnitOfTypeSimpleIsBlockedWithTheWayOut(t *testing.T) {
	t.Parallel()
	h := newHost(t, "Type=simple", "PIDFile=", "ExecStart=", "ExecStart=/usr/sbin/nginx -g 'daemon off; master_process on;'")
	before, master := h.sum(onDisk), h.master()
	h.blocks("usr2-ignored", "daemon off", "Type=forking")
	h.blocks("systemd-unit", "Type=simple")
	h.must(4, "plan", "--to", newer, "--out", "/root/plan.json")
	h.must(4, apply()...)
	h.untouched("after a blocked apply", before, master)

	// What it would have met.
	h.kill("USR2", master)
	h.eventually("nginx says that it ignores USR2", func() bool {
		out, _ := h.m.Command(t.Context(), "grep", "-c", "is ignored", "/var/log/nginx/error.log").Output()
		return len(out) > 0 && h.number(string(out)) > 0
	})
	h.untouched("after USR2", before, master)

	// The way out.
	h.in("rm", dropIn)
	h.in("systemctl", "daemon-reload")
	h.in("systemctl", "restart", "nginx.service")
	h.up()
	h.plan(newer)
	h.must(0, apply()...)
	h.runs("finished", h.sum(newer))
}

// A PIDFile that nginx does not write leads systemd nowhere when the old master ends.
func TestSystemdUnitWithAWrongPIDFileIsBlockedBecauseSystemdWouldStopIt(t *testing.T) {
	for name, settings := range map[string][]string{
		"another file": {"PIDFile=/run/other.pid", "ExecStartPost=/bin/cp /run/nginx.pid /run/other.pid"},
		"none":         {"PIDFile="},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, settings...)
			before, master := h.sum(onDisk), h.master()
			h.blocks("systemd-unit", "PIDFile="+pidFile)
			h.must(4, "plan", "--to", newer, "--out", "/root/plan.json")
			h.must(4, apply()...)
			h.untouched("after a blocked apply", before, master)

			h.byHand()
			h.stopped()

			// The remedy is no restart: systemd takes the right PIDFile from then on.
			h.in("systemctl", "start", "nginx.service")
			h.up()
			h.write(dropIn, unit("PIDFile="+pidFile))
			h.in("systemctl", "daemon-reload")
			h.plan(newer)
			h.must(0, apply()...)
			h.runs("finished", h.sum(newer))
		})
	}
}

// The unit's files may change while the old master is parked.
func TestSystemdUnitThatLosesItsPIDFileDuringTheParkGetsNoQuit(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	before, master := h.sum(onDisk), h.master()
	h.plan(newer)
	h.must(0, apply("--until", "parked")...)
	h.write(dropIn, unit("PIDFile="))
	h.in("systemctl", "daemon-reload")
	r := h.must(5, "finish")
	for _, word := range []string{"QUIT is not sent", "nginx.service has no PIDFile", "PIDFile=" + pidFile} {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("no word of %q: %s", word, r)
		}
	}
	h.follows("rolled back", master)
	h.runs("rolled back", before)
}

// A reload during the park makes the new master the main process. systemd does not see that one end: it is
// the old master's child.
func TestSystemdUnitReloadedDuringTheParkIsFollowedBack(t *testing.T) {
	for name, settings := range map[string][]string{
		"reload by nginx":   {"Restart=no"},
		"reload by MAINPID": {"ExecReload=", "ExecReload=/bin/kill -s HUP $MAINPID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, settings...)
			before, old := h.sum(onDisk), h.master()
			h.plan(newer)
			h.must(0, apply("--until", "parked")...)
			h.in("systemctl", "reload", "nginx.service")
			h.follows("reloaded", h.master())
			if r := h.graftEnv([]string{"GRAFT_FAULT=after-reread"}, "rollback"); r.code != -1 {
				t.Fatalf("not killed while systemd reads the pid file again: %s", r)
			}
			h.tells(h.must(0, "rollback"), old)
			h.follows("rolled back", old)
			h.runs("rolled back", before)
			if files := h.in("find", "/run/systemd/system", "-name", "*graft*"); files != "" {
				t.Errorf("left behind: %s", files)
			}
			h.serves("reload", 210, before)
			h.serves("restart", 211, before)
		})
	}
}

func TestSystemdUnitRestartedDuringTheParkStartsWhatIsOnDisk(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	before := h.sum(onDisk)
	h.plan(newer)
	h.must(0, apply("--until", "parked")...)
	h.in("systemctl", "restart", "nginx.service")
	h.up()
	h.runs("restarted", h.sum(newer))
	h.must(9, "resume") // no gate has passed it
	h.must(0, "rollback")
	h.runs("rolled back", before)
}

// What graft's rollback puts right after a reload: systemd takes a reload that fails for an occasion to look at
// the main process, finds it dead, and stops the unit.
func TestSystemdUnitThatLostItsMainProcessIsStoppedByTheNextReload(t *testing.T) {
	t.Parallel()
	h := newHost(t, "ExecReload=", "ExecReload=/bin/kill -s HUP $MAINPID")
	old := h.master()
	h.kill("USR2", old)
	h.eventually("a new master", func() bool {
		out, err := h.m.Command(t.Context(), "cat", pidFile).Output()
		return err == nil && len(out) > 0 && h.number(string(out)) != old
	})
	second := h.master()
	h.in("systemctl", "reload", "nginx.service")
	h.follows("reloaded", second)
	h.kill("QUIT", second)
	h.gone(second)
	h.eventually("the old master has its pid file back", func() bool {
		out, err := h.m.Command(t.Context(), "cat", pidFile).Output()
		return err == nil && strings.TrimSpace(string(out)) == fmt.Sprint(old)
	})
	h.follows("although it is dead", second)
	h.blocks("systemd-unit", fmt.Sprint(second), "$MAINPID", "ExecReload=/bin/true")
	_ = h.m.Command(t.Context(), "systemctl", "reload", "nginx.service").Run()
	h.stopped()
}
