package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

// start runs graft in the background; its standard error goes to the returned buffer.
func (h *host) start(args ...string) (*exec.Cmd, *bytes.Buffer) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), graftPath(), append(args, "--state-dir", h.state)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	return cmd, &stderr
}

func (h *host) eventuallyPhase(want string) {
	h.t.Helper()
	h.eventually("phase "+want, func() bool { return h.graft("status").code == 0 && h.status().Phase == want })
}

// parked are gates of which the second lasts longer than any test; parkFor is apply with them.
var (
	parked  = []string{"--overlap", "300ms", "--park", "1h", "--min-requests", "0", "--probe-rate", "20"}
	parkFor = append([]string{"--no-rehearsal"}, parked...)
)

func TestMigrateBuildsPlansAndApplies(t *testing.T) {
	h := newHost(t, nginxtest.Options{Binary: nginxtest.Release(t, "1.18.0")})
	load := light(t, h.inst)
	load.warm()
	// The old binary's own source, as a tree: what a security patch is.
	r := h.must(0, with("migrate", "--source", nginxtest.Source(t, "1.26.3"), "--yes", "--no-rehearsal")...)
	load.lostNothing()
	h.phase("finished")
	if !strings.Contains(r.stderr, "compile") || !strings.Contains(r.stderr, "USR2 to old master") {
		t.Errorf("neither build nor plan is shown: %s", r)
	}
}

func TestMigrateAsksAndTakesNoAnswerForNo(t *testing.T) {
	h := newHost(t, nginxtest.Options{Binary: nginxtest.Release(t, "1.18.0")})
	before := h.sha256(h.inst.Exe)
	h.must(2, with("migrate", "--source", nginxtest.Source(t, "1.26.3"))...)
	h.restored(before)
}

func TestInterruptStopsAtASafePointAndResumeGoesOn(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	cmd, stderr := h.start(append([]string{"apply", h.plan(nginxtest.Release(t, "1.26.3").Path)}, parkFor...)...)
	h.eventuallyPhase("parked")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), "graft resume") {
		t.Errorf("exit %d, want 130 and the command that goes on:\n%s", code, stderr)
	}
	h.phase("parked")
	h.must(0, with("resume")...)
	h.phase("finished")
}

func TestFinishEndsAParkedMigrationThatRuns(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	cmd, stderr := h.start(append([]string{"apply", h.plan(nginxtest.Release(t, "1.26.3").Path)}, parkFor...)...)
	h.eventuallyPhase("parked")
	h.must(0, "finish")
	if err := cmd.Wait(); err != nil {
		t.Errorf("the graft that ran: %v\n%s", err, stderr)
	}
	h.phase("finished")
}

func TestFinishIsRefusedBeforeThePark(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	h.must(0, with("apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--until", "overlap")...)
	h.must(1, "finish")
	h.phase("overlap")
	h.must(0, with("resume", "--until", "parked")...)
	h.must(0, "finish")
	h.phase("finished")
}

// A check's advice for an upgrade begun by hand, QUIT to the other master, would be harm here.
func TestNoPlanWhileGraftsOwnMigrationIsUnderWay(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	target := nginxtest.Release(t, "1.26.3").Path
	h.must(0, with("apply", h.plan(target), "--until", "overlap")...)
	newer, err := h.inst.PID()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"plan", "--to", target},
		{"plan", "--to", target, "--pid", strconv.Itoa(h.inst.MasterPID)},
		{"plan", "--to", target, "--pid", strconv.Itoa(newer)},
		{"migrate", "--source", nginxtest.Source(t, "1.26.3"), "--yes", "--pid-file", h.inst.PidFile},
	} {
		r := h.must(1, args...)
		if !strings.Contains(r.stderr, h.status().Migration+" is under way (overlap)") || !strings.Contains(r.stderr, "graft rollback takes it back") || strings.Contains(r.String(), "QUIT") {
			t.Errorf("%s", r)
		}
	}
	other := nginxtest.Start(t, nginxtest.Options{})
	h.must(0, "plan", "--to", target, "--pid", strconv.Itoa(other.MasterPID))
	h.must(2, "plan", "--to", target) // three masters: which one is meant
	h.must(0, "rollback")
	if r := h.must(1, "finish"); !strings.Contains(r.stderr, "this one is rolled-back") || strings.Contains(r.stderr, "graft resume") {
		t.Errorf("finish leads astray: %s", r)
	}
	h.must(0, "plan", "--to", target, "--pid-file", h.inst.PidFile)
}

func TestDetachedGraftGoesOnWithoutItsTerminal(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	h.must(0, append([]string{"apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--detach"}, parkFor...)...)
	h.eventuallyPhase("parked")
	if r := h.must(0, "status"); !strings.Contains(r.stdout, "at work on it") {
		t.Errorf("nobody is at work: %s", r)
	}
	h.must(0, "rollback")
	h.phase("rolled-back")
}

func TestADetachedGraftThatHoldsGoesOnWatching(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	h.must(0, "apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--detach", "--no-rehearsal",
		"--overlap", "200ms", "--park", "200ms", "--min-requests", "50", "--probe-rate", "20")
	h.eventually("the hold", func() bool {
		return strings.Contains(h.must(0, "history", h.status().Migration).stdout, "could not decide")
	})
	h.phase("overlap")
	light(t, h.inst).warm() // traffic comes at last
	h.eventuallyPhase("finished")
	h.eventually("the end of its graft", func() bool { return !h.status().Running }) // it writes until then
}

func TestADetachedGraftThatFailsTellsItsExitCode(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	file := h.plan(nginxtest.Release(t, "1.26.3").Path)
	if err := os.WriteFile(h.inst.PidFile, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.must(8, append([]string{"apply", file, "--detach"}, parkFor...)...)
}

func TestANewMasterThatEndsWhileParkedIsTakenBack(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{
		"QUIT by hand":                 syscall.SIGQUIT,
		"killed, its workers orphaned": syscall.SIGKILL,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nginxtest.Options{})
			before := h.sha256(h.inst.Exe)
			load := light(t, h.inst)
			load.warm()
			cmd, stderr := h.start(append([]string{"apply", h.plan(nginxtest.Release(t, "1.26.3").Path)}, parkFor...)...)
			h.eventuallyPhase("parked")
			pid, err := h.inst.PID()
			if err != nil {
				t.Fatal(err)
			}
			h.inst.Signal(t, pid, sig)
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 5 || !strings.Contains(stderr.String(), "nobody asked it to go") {
				t.Errorf("exit %d, want 5 with the reason:\n%s", code, stderr)
			}
			h.phase("rolled-back")
			load.lostNothing()
			h.restored(before)
		})
	}
}

func TestOneOfSeveralInstancesIsMigrated(t *testing.T) {
	other := nginxtest.Start(t, nginxtest.Options{})
	h := newHost(t, nginxtest.Options{})
	target := nginxtest.Release(t, "1.26.3").Path
	if r := h.must(2, "plan", "--to", target); !strings.Contains(r.stderr, "--pid") {
		t.Errorf("the way to choose is not told: %s", r)
	}
	sum, plan := h.sha256(other.Exe), h.plan(target)
	for _, args := range [][]string{
		{"apply", plan, "--no-rehearsal", "--pid", strconv.Itoa(other.MasterPID)},
		{"apply", plan, "--no-rehearsal", "--detach", "--pid-file", other.PidFile},
		{"rehearse", plan, "--pid", strconv.Itoa(other.MasterPID)},
	} {
		want := fmt.Sprintf("the plan is for master %d (%s), not %d", h.inst.MasterPID, h.inst.Exe, other.MasterPID)
		if r := h.must(2, args...); !strings.Contains(r.stderr, want) {
			t.Errorf("not %q: %s", want, r)
		}
	}
	h.must(0, with("apply", plan, "--pid", strconv.Itoa(h.inst.MasterPID))...)
	h.phase("finished")
	if pid, err := other.PID(); err != nil || pid != other.MasterPID || h.sha256(other.Exe) != sum {
		t.Errorf("the other instance was touched: pid %d, %v", pid, err)
	}
}

func TestBadInputIsToldWhatWhereAndWhatNext(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	for _, bad := range []struct {
		code int
		args []string
		want string
	}{
		{2, []string{"plan"}, "to"},
		{2, []string{"plan", "--to", "nosuch"}, "graft artifact list"},
		{2, []string{"plan", "--to", "/bin/true"}, "/bin/true"},
		{2, []string{"apply"}, "usage"},
		{1, []string{"apply", "/no/such/plan"}, "graft plan"},
		{2, []string{"apply", "x", "--until", "tomorrow"}, "overlap, parked or finished"},
		{2, []string{"inspect", "-o", "xml"}, "jsonl"},
		{1, []string{"status"}, "graft plan"},
		{1, []string{"rollback"}, "graft plan"},
		{2, []string{"probe", "ftp://x/"}, "ftp"},
		{1, []string{"inspect", "--pid", "1"}, "1"},
		{2, []string{"no-such-command"}, "no-such-command"},
	} {
		r := h.graft(bad.args...)
		if r.code != bad.code || !strings.Contains(r.stderr, bad.want) {
			t.Errorf("want exit %d and %q: %s", bad.code, bad.want, r)
		}
	}
}

func TestEventsAreLinesThatProgramsRead(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	r := h.must(0, with("apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "-o", "jsonl")...)
	phases, seq := []string{}, 0
	for line := range strings.Lines(r.stdout) {
		var e struct {
			Time, Migration, Phase, Step, Event string
			Seq                                 int
			Outcome                             *struct{ Phase string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if e.Outcome != nil {
			if e.Outcome.Phase != "finished" {
				t.Errorf("outcome %s", line)
			}
			continue
		}
		if seq++; e.Seq != seq || e.Migration == "" || e.Time == "" {
			t.Errorf("event %d is %s", seq, line)
		}
		if len(phases) == 0 || phases[len(phases)-1] != e.Phase {
			phases = append(phases, e.Phase)
		}
	}
	if got := strings.Join(phases, " "); got != "planned staged swapped overlap parked finished" {
		t.Errorf("phases %s", got)
	}
	files, err := filepath.Glob(filepath.Join(h.state, "migrations", "*", "journal"))
	if err != nil || len(files) != 1 {
		t.Fatalf("journals %v, %v", files, err)
	}
}
