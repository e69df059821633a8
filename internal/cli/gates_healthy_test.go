package cli_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"graft/internal/nginxtest"
)

// Ten migrations to targets that are not worse, under traffic that is uneven in every way it can be.
func TestHealthyTargetsAreNotTakenBack(t *testing.T) {
	type migration struct {
		seed     uint64
		old, new string // versions; "" is Debian's, "openresty" its OpenResty equivalent
		pid      bool
		days     bool
		rotate   bool // the access log, while both serve
	}
	all := []migration{
		{1, "", "1.26.3", true, true, false},
		{2, "", "openresty", true, true, false},
		{3, "1.18.0", "1.26.3", false, true, false},
		{4, "", "1.22.1", true, false, false},
		{5, "1.18.0", "1.22.1", false, false, false},
		{6, "1.26.3", "1.18.0", true, true, true},
		{7, "", "1.26.3", false, true, true},
		{8, "1.26.3", "1.22.1", true, true, false},
		{9, "1.18.0", "1.26.3", true, true, false},
		{10, "1.22.1", "1.26.3", false, true, false},
	}
	// Beside the tests of other packages the machine may be slower for seconds than it ever was in the days
	// before: that would be a fault, but not the new binary's.
	length, slow := gates("15s", "15s"), 2.5
	if fullField() {
		length, slow = gates("5m", "5m"), 1
	}
	days := newHistory(t, 4, slow, true, false)
	binary := func(t *testing.T, version string) nginxtest.Binary {
		if version == "" {
			return nginxtest.Debian(t)
		}
		return nginxtest.Release(t, version)
	}
	for _, m := range all { // compiled once, and not while others are measured
		if m.new != "openresty" {
			binary(t, m.new)
		}
		binary(t, m.old)
	}
	atOnce(t, all, func(m migration) string { return fmt.Sprintf("%d: %s to %s", m.seed, m.old, m.new) }, func(t *testing.T, m migration) {
		var before *history
		if m.days {
			before = days
		}
		if m.new == "openresty" { // it stays when all is over
			t.Cleanup(func() {
				if err := os.RemoveAll("/usr/local/openresty"); err != nil {
					t.Error(err)
				}
			})
		}
		h := fieldHost(t, nginxtest.Options{Binary: binary(t, m.old)}, m.pid, before)
		var target string
		if m.new == "openresty" {
			target = h.openResty()
		} else {
			target = binary(t, m.new).Path
		}
		file := h.plan(target)
		crowd := newCrowd(t, h.inst, m.seed, 0.5)
		crowd.warm()
		run := h.through(func(phase string) {
			if m.rotate && phase == "overlap" {
				h.rotateAsDebianDoes()
			}
		}, append([]string{"apply", file}, length...)...)
		counts := crowd.end()
		t.Logf("%s: %s; %v; %s", run.Outcome.Phase, run.words(), counts, h.logged(m.pid))
		// The kernel may send nearly all connections to the old workers; then a gate holds, as it must.
		held := run.code == 9 && m.pid && strings.Contains(run.words(), "requests of clients")
		if !held && (run.code != 0 || run.Outcome.Phase != "finished") {
			t.Errorf("exit %d, want it finished: %s", run.code, run.stderr)
		}
		if counts.lost > 0 || counts.faults > 0 {
			t.Errorf("clients were let down: %v", counts)
		}
	})
}
