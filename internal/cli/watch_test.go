package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/migrate"
	"graft/internal/nginxtest"
)

// full is all that graft status tells.
func (h *host) full() (s migrate.Status) {
	h.t.Helper()
	r := h.must(0, "status", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		h.t.Fatalf("%v in %s", err, r)
	}
	return s
}

// openGate begins a migration whose first gate lasts longer than any test, and waits until it is open.
func (h *host) openGate() (*exec.Cmd, *bytes.Buffer) {
	h.t.Helper()
	cmd, stderr := h.start("apply", h.plan(nginxtest.Release(h.t, "1.26.3").Path), "--no-rehearsal",
		"--overlap", "1h", "--park", "1h", "--min-requests", "0", "--probe-rate", "20")
	h.eventually("an open gate", func() bool { return h.graft("status").code == 0 && h.full().Gate.Length > 0 })
	return cmd, stderr
}

func TestAGateIsPausedExtendedAndPassedByHand(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	cmd, stderr := h.openGate()
	if r := h.must(2, "watch", "pause"); !strings.Contains(r.stderr, "--reason TEXT") {
		t.Errorf("no reason was asked for: %s", r)
	}
	h.must(2, "watch", "extend", "soon", "--reason", "x")
	if r := h.must(1, "watch", "continue", "--reason", "x"); !strings.Contains(r.stderr, "not paused") {
		t.Errorf("%s", r)
	}

	if r := h.must(0, "watch", "pause", "--reason", "the database is being moved"); !strings.Contains(r.stdout, "the database is being moved") {
		t.Errorf("the answer does not show the pause: %s", r)
	}
	paused := h.full().Gate
	if paused.Paused == nil || paused.Paused.By == "" || paused.Rest == "" {
		t.Errorf("who paused it is not told: %+v", paused.Paused)
	}
	probes := paused.Evidence.Probes
	h.eventually("probes during the pause", func() bool { return h.full().Gate.Evidence.Probes > probes+20 })
	if now := h.full().Gate; now.Watched != paused.Watched {
		t.Errorf("the clock went on from %s to %s in the pause", paused.Watched, now.Watched)
	}
	h.must(0, "watch", "continue", "--reason", "it is moved")
	h.eventually("the clock goes on", func() bool { return h.full().Gate.Watched > paused.Watched })

	h.must(0, "watch", "extend", "1d", "--reason", "the week's end")
	if now := h.full().Gate; now.Length != 25*time.Hour {
		t.Errorf("the gate is %s long, want 25h", now.Length)
	}
	h.must(0, "watch", "pass", "--reason", "seen enough")
	h.eventuallyPhase("parked")
	told := h.must(0, "history", h.status().Migration).stdout
	for _, want := range []string{"the database is being moved", "it is moved", "the week's end", "seen enough", "passed by hand", `"order":"pause","by":"root`} {
		if !strings.Contains(told, want) {
			t.Errorf("the journal does not tell %q:\n%s", want, told)
		}
	}
	h.must(0, "rollback")
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 5 || !strings.Contains(stderr.String(), "asked to pause, by root: the database is being moved") {
		t.Errorf("exit %d, want 5 and the pause:\n%s", code, stderr)
	}
}

func TestWhatWasWatchedOutlivesTheWatcher(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	cmd, _ := h.openGate()
	h.must(0, "watch", "extend", "1h", "--reason", "to see more")
	h.must(0, "watch", "pause", "--no-rollback", "--reason", "work on the upstream")
	before := h.full().Gate
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	words := strings.Join(strings.Fields(h.must(0, "status").stdout), " ")
	for _, want := range []string{"of 2h0m0s", "watched for", "(1h0m0s added by hand)", "its clock stands: no graft is at work on it; paused since", "work on the upstream"} {
		if !strings.Contains(words, want) {
			t.Errorf("%q is not told: %s", want, words)
		}
	}
	if r := h.must(1, "watch", "pause", "--reason", "x"); !strings.Contains(r.stderr, "graft resume") {
		t.Errorf("%s", r)
	}
	h.must(0, "resume", "--detach")
	h.eventually("the gate again", func() bool { return h.full().Gate.Length > 0 })
	after := h.full().Gate
	if after.Length != before.Length || after.Watched < before.Watched || after.Paused == nil || !after.Paused.NoRollback {
		t.Errorf("after the kill: %s of %s, paused %v; before: %s of %s", after.Watched, after.Length, after.Paused, before.Watched, before.Length)
	}
	h.must(0, "rollback")
}

func TestAHeldGateSaysWhyWhenNobodyIsAtWork(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	h.must(9, "apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--no-rehearsal", "--until", "parked",
		"--overlap", "200ms", "--min-requests", "100", "--probe-rate", "20")
	r := h.must(0, "status")
	if !strings.Contains(r.stdout, "0 of 100 requests of clients") || !strings.Contains(r.stdout, "could not decide") || !strings.Contains(r.stdout, "none is at work") {
		t.Errorf("%s", r)
	}
	if gate := h.full().Gate; len(gate.Why) == 0 || len(gate.Findings) == 0 {
		t.Errorf("%+v", gate)
	}
	h.must(0, "watch", "pass", "--reason", "no clients here") // nobody is at work: this graft takes over
	h.phase("parked")
	if told := h.must(0, "history", h.status().Migration).stdout; !strings.Contains(told, "no clients here") {
		t.Errorf("the journal does not tell why:\n%s", told)
	}
}

// watch in the background, off a terminal: what it tells goes to a file.
func (h *host) watch(args ...string) (cmd *exec.Cmd, told func() string) {
	h.t.Helper()
	file, err := os.Create(filepath.Join(h.t.TempDir(), "told"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer file.Close()
	cmd = exec.CommandContext(h.t.Context(), graftPath(), append(args, "--state-dir", h.state)...)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	return cmd, func() string { return h.read(file.Name()) }
}

func TestWatchTellsAMigrationToItsEnd(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	runs, _ := h.openGate()
	text, lines := h.watch("watch")
	jsonl, events := h.watch("watch", "-o", "jsonl")
	h.eventually("the gate is told", func() bool { return strings.Contains(lines(), "gate: inconclusive, watched for") })
	h.must(0, "watch", "pass", "--reason", "for the test")
	h.eventuallyPhase("parked")
	h.must(0, "rollback")
	_, _, _ = runs.Wait(), text.Wait(), jsonl.Wait()
	if code := text.ProcessState.ExitCode(); code != 5 {
		t.Errorf("exit %d, want 5: %s", code, lines())
	}
	for _, want := range []string{"gate: inconclusive", "asked to pass, by root: for the test", "gate: pass: passed by hand", "WINCH to the old master", "turning back: the operator asked for it", "rolled back: the operator asked for it"} {
		if !strings.Contains(lines(), want) {
			t.Errorf("%q is not told:\n%s", want, lines())
		}
	}
	steps := make(map[string]bool)
	for line := range strings.Lines(events()) {
		var e struct{ Step string }
		if json.Unmarshal([]byte(line), &e) == nil {
			steps[e.Step] = true
		}
	}
	for _, want := range []string{"stage", "baseline", "start", "gate", "asked", "park", "turn", "end"} {
		if !steps[want] {
			t.Errorf("no event of step %s:\n%s", want, events())
		}
	}
	if r := h.must(5, "watch", h.status().Migration); !strings.Contains(r.stdout, "WINCH to the old master") {
		t.Errorf("one that is over is not told: %s", r)
	}
}

func TestARollbackFollowsItsVerdictWithinTwoSeconds(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	before := h.sha256(h.inst.Exe)
	file := h.plan(worse(t))
	h.must(0, with("apply", file, "--until", "parked")...)
	load := light(t, h.inst)
	load.warm()
	h.misbehave("fail")
	r := h.must(5, "resume", "--park", "1m", "--probe-rate", "20", "-o", "json")
	load.stop()
	h.restored(before)
	var told struct{ Outcome migrate.Outcome }
	if err := json.NewDecoder(strings.NewReader(r.stdout)).Decode(&told); err != nil || told.Outcome.Back == nil {
		t.Fatalf("%v in %s", err, r)
	}
	back := told.Outcome.Back
	t.Logf("first act after %s, the old workers answer after %s, all is back after %s; %d probes compared", back.First, back.Answering, back.Whole, back.Asked)
	if back.VerdictAt.IsZero() || back.First <= 0 || back.First > 2*time.Second {
		t.Errorf("the first act came %s after the verdict at %s", back.First, back.VerdictAt)
	}
	if back.Answering <= 0 || back.Asked == 0 || len(back.Differ) > 0 || back.Unseen != "" {
		t.Errorf("it is not proven that the old binary answers as before: %+v", back)
	}
	if !strings.Contains(r.stderr, "after the verdict") || !strings.Contains(r.stderr, "answer as before") {
		t.Errorf("people are not told: %s", r)
	}
}

func TestAPolicyFileIsCheckedObeyedAndKept(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	write("gates:\n  overlap: 300ms\n  parc: 1h\n")
	for _, args := range [][]string{{"policy", file}, {"apply", plan, "--no-rehearsal", "--policy", file}} {
		if r := h.must(2, args...); !strings.Contains(r.stderr, file+":3:3: unknown key \"parc\": did you mean park?") || !strings.Contains(r.stderr, "^") {
			t.Errorf("%s", r)
		}
	}
	h.must(1, "status") // nothing was begun

	write("gates: {overlap: 300ms, park: 2d}\nminimum: {requests: 0}\nprobes: {rate: 20}\nsignals:\n  4xx: {action: ignore}\n")
	if r := h.must(0, "policy", file); !strings.Contains(r.stdout, "park: 2d") || !strings.Contains(r.stdout, "undetermined: hold") {
		t.Errorf("%s", r)
	}
	h.must(0, "apply", plan, "--no-rehearsal", "--policy", file, "--until", "parked", "--patience", "20s")
	cmd, stderr := h.start("resume") // the file is not named again
	h.eventually("the second gate", func() bool { return h.full().Gate.Length > 0 })
	if gate := h.full().Gate; gate.Length != 48*time.Hour {
		t.Errorf("the gate is %s long, want two days", gate.Length)
	}
	h.must(0, "rollback")
	_ = cmd.Wait()
	if told := h.must(0, "history", h.status().Migration).stdout; strings.Count(told, `"4xx":{"action":"ignore"}`) < 2 {
		t.Errorf("the journal does not keep the policy of both runs:\n%s\n%s", told, stderr)
	}
}
