package cli_test

import (
	"os"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

// The points right before and right after each signal and each rename of a migration, in its order.
var (
	forwardPoints = []string{
		"before-rename-backup", "after-rename-backup",
		"before-rename-placement", "after-rename-placement",
		"before-rename-swap", "after-rename-swap",
		"before-usr2", "after-usr2",
		"before-winch-old", "after-winch-old",
		"before-quit-old", "after-quit-old",
	}
	backFromOverlap = []string{
		"before-winch-new", "after-winch-new",
		"before-quit-new", "after-quit-new",
		"before-rename-put-back", "after-rename-put-back",
	}
	backFromParked = []string{
		"before-hup-old", "after-hup-old",
		"before-quit-new", "after-quit-new",
		"before-rename-put-back", "after-rename-put-back",
	}
)

// killed runs graft and sees that it died at the point. The binary on disk is whole all the same.
func (h *host) killed(point, old, new string, args ...string) {
	h.t.Helper()
	if r := h.graftEnv([]string{"GRAFT_FAULT=" + point}, args...); r.code != -1 {
		h.t.Fatalf("not killed at %s: %s", point, r)
	}
	if sum := h.sha256(h.inst.Exe); sum != old && sum != new {
		h.t.Errorf("after the kill at %s the file at the path is neither the old nor the new binary: %s", point, sum)
	}
}

// crash is one kill of graft under load and the command that must lead out of it.
type crash struct {
	point string
	until string   // where to be before the killed command begins; empty: at the beginning
	kill  []string // the command that is killed
	then  string   // the command that goes on
	ends  string   // "old" or "new" binary
}

func (c crash) run(t *testing.T) {
	t.Parallel()
	h := newHost(t, nginxtest.Options{})
	target := nginxtest.Release(t, "1.26.3").Path
	old, new := h.sha256(h.inst.Exe), h.sha256(target)
	file := h.plan(target)
	load := light(t, h.inst)
	load.warm()
	if c.until != "" {
		h.must(0, with("apply", file, "--until", c.until)...)
	}
	kill := c.kill
	if kill[0] == "apply" {
		kill = with("apply", file)
	}
	h.killed(c.point, old, new, kill...)
	goOn := []string{c.then}
	if c.then == "resume" {
		goOn = with("resume")
	}
	want := map[string]string{"old": old, "new": new}[c.ends]
	code := 0
	if c.ends == "old" && c.then == "resume" {
		code = 5 // a resumed rollback is still a rollback
	}
	r := h.must(code, goOn...)
	load.lostNothing()
	if sum := h.sha256(h.inst.Exe); sum != want {
		t.Errorf("the binary at the path is not the %s one: %s\n%s", c.ends, sum, r)
	}
	h.oneMaster(want)
	if phase := h.status().Phase; phase != "finished" && phase != "rolled-back" {
		t.Errorf("phase %s is not terminal\n%s", phase, r)
	}
	// Whatever was recovered, another migration can follow.
	if pid, err := h.inst.PID(); err != nil {
		t.Errorf("pid file: %d, %v", pid, err)
	}
}

func TestKilledGraftIsResumed(t *testing.T) {
	for _, point := range forwardPoints {
		t.Run(point, crash{point: point, kill: []string{"apply"}, then: "resume", ends: "new"}.run)
	}
}

func TestKilledGraftIsRolledBack(t *testing.T) {
	for _, point := range forwardPoints {
		t.Run(point, crash{point: point, kill: []string{"apply"}, then: "rollback", ends: "old"}.run)
	}
}

func TestKilledRollbackIsResumedAndRolledBack(t *testing.T) {
	for _, then := range []string{"resume", "rollback"} {
		for _, point := range backFromOverlap {
			t.Run("overlap/"+point+"/"+then, crash{point: point, until: "overlap", kill: []string{"rollback"}, then: then, ends: "old"}.run)
		}
		for _, point := range backFromParked {
			t.Run("parked/"+point+"/"+then, crash{point: point, until: "parked", kill: []string{"rollback"}, then: then, ends: "old"}.run)
		}
	}
}

// restart ends the instance and starts what lies at the path, as a service manager does.
func (h *host) restart() {
	h.t.Helper()
	h.inst.Signal(h.t, h.inst.MasterPID, syscall.SIGQUIT)
	h.eventually("the end of the instance", func() bool { masters, err := h.inst.Masters(); return err == nil && len(masters) == 0 })
	run(h.t, h.inst.Exe, "-p", h.inst.Prefix+"/", "-c", h.inst.Conf)
	h.eventually("the new start", func() bool { pid, err := h.inst.PID(); return err == nil && pid != h.inst.MasterPID })
}

func TestARestartInBetweenIsSeen(t *testing.T) {
	target := nginxtest.Release(t, "1.26.3").Path
	for _, c := range []struct {
		point, then string
		code        int
		phase       string
	}{
		{"before-rename-swap", "resume", 5, "rolled-back"}, // the old binary was started again: the plan is stale
		{"before-rename-swap", "rollback", 0, "rolled-back"},
		{"before-usr2", "resume", 9, "finished"}, // the new binary was on disk, and no gate has seen it
		{"before-usr2", "rollback", 0, "rolled-back"},
	} {
		t.Run(c.point+"/"+c.then, func(t *testing.T) {
			h := newHost(t, nginxtest.Options{})
			old, new := h.sha256(h.inst.Exe), h.sha256(target)
			h.killed(c.point, old, new, with("apply", h.plan(target))...)
			h.restart()
			args := []string{c.then}
			if c.then == "resume" {
				args = with("resume")
			}
			h.must(c.code, args...)
			h.phase(c.phase)
			want := old
			if c.phase == "finished" {
				want = new
			}
			if h.sha256(h.inst.Exe) != want {
				t.Errorf("another binary is on disk than serves")
			}
			h.oneMaster(want)
		})
	}
}

func TestAPackageUpgradeWhileParkedIsNotOverwritten(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	load := light(t, h.inst)
	load.warm()
	h.must(0, with("apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--until", "parked")...)
	third := nginxtest.Release(t, "1.18.0").Path
	data, err := os.ReadFile(third)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(h.inst.Exe); err != nil { // dpkg renames over it
		t.Fatal(err)
	}
	if err := os.WriteFile(h.inst.Exe, data, 0o755); err != nil {
		t.Fatal(err)
	}
	h.must(6, with("resume")...)
	// The way back still is open for the traffic; the file is the package's.
	h.must(6, "rollback")
	load.lostNothing()
	if h.sha256(h.inst.Exe) != h.sha256(third) {
		t.Error("the package's file was overwritten")
	}
	if pid, err := h.inst.PID(); err != nil || pid != h.inst.MasterPID {
		t.Errorf("master %d serves (%v), want the old one, %d", pid, err, h.inst.MasterPID)
	}
}
