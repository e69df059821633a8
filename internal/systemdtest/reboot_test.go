package systemdtest

import (
	"testing"

	"graft/internal/nginxtest"
)

// reboot cuts the power and boots again. nginx.service starts what is on disk.
func (h *host) reboot() {
	h.t.Helper()
	h.m.Cut(h.t)
	h.m = nginxtest.Boot(h.t, h.root)
	h.up()
}

// interruption is a power cut at a point of a migration, and the command that must lead out of it.
type interruption struct {
	until string // where to be before the killed command begins
	kill  string // the point at which graft dies; empty: it has ended in peace
	back  bool   // it is a rollback that dies there
	then  string
	code  int
	phase string
	new   bool // the new binary is what remains
}

// Guarantee 3: from everywhere resume and rollback reach a terminal phase, after a reboot, too. What boots
// is what is on disk, so from the swap on it is the new binary, which no gate has passed: exit 9 tells.
func TestSystemdUnitAfterARebootInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]interruption{
		"staged then resume":         {kill: "before-rename-swap", then: "resume", code: 5, phase: "rolled-back"},
		"staged then rollback":       {kill: "before-rename-swap", then: "rollback", phase: "rolled-back"},
		"swapped then resume":        {kill: "after-rename-swap", then: "resume", code: 9, phase: "finished", new: true},
		"overlap then rollback":      {until: "overlap", then: "rollback", phase: "rolled-back"},
		"parked then resume":         {until: "parked", then: "resume", code: 9, phase: "finished", new: true},
		"parked then rollback":       {until: "parked", then: "rollback", phase: "rolled-back"},
		"quitting then resume":       {kill: "after-quit-old", then: "resume", phase: "finished", new: true},
		"rolling back then resume":   {until: "parked", kill: "after-hup-old", back: true, then: "resume", code: 5, phase: "rolled-back"},
		"put back and then rollback": {until: "parked", kill: "after-rename-put-back", back: true, then: "rollback", phase: "rolled-back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			remains := h.sum(onDisk)
			if c.new {
				remains = h.sum(newer)
			}
			h.plan(newer)
			if c.until != "" {
				h.must(0, apply("--until", c.until)...)
			}
			if c.kill != "" {
				args := apply()
				if c.back {
					args = []string{"rollback"}
				}
				if r := h.graftEnv([]string{"GRAFT_FAULT=" + c.kill}, args...); r.code != -1 {
					t.Fatalf("not killed at %s: %s", c.kill, r)
				}
			}
			h.reboot()
			h.must(c.code, c.then)
			if phase := h.phase(); phase != c.phase {
				t.Errorf("phase %s, want %s", phase, c.phase)
			}
			h.runs(c.then, remains)
		})
	}
}
