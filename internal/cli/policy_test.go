package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// policy writes a policy file for short gates.
func (h *host) policy(text string) string {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "policy.yaml")
	text = "gates: {overlap: 300ms, park: 300ms}\nminimum: {requests: 0}\nprobes: {rate: 20}\n" + text
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return file
}

// allDay is a window that is open for as long as a test takes: one of the whole week is refused.
func allDay() string {
	today := time.Now().UTC()
	day := func(t time.Time) string { return strings.ToLower(t.Weekday().String()[:3]) }
	return "\n  - {name: always, days: [" + day(today) + ", " + day(today.AddDate(0, 0, 1)) + "], from: 00:00, to: 24:00}\n"
}

// In a blackout a comparison does not roll back, and nothing passes; a crash does roll back.
func TestABlackoutHoldsComparisonsBackAndNoCrash(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	before := h.sha256(h.inst.Exe)
	h.must(0, with("apply", h.plan(worse(t)), "--until", "overlap")...)
	file := h.policy("signals: {probes: {action: ignore}}\nblackout:" + allDay())
	h.misbehave("fail")
	load := light(t, h.inst)
	cmd, stderr := h.start("resume", "--policy", file)
	h.eventually("a verdict that does not act", func() bool {
		return strings.Contains(h.must(0, "history", h.status().Migration).stdout, "it does not act now: blackout: always")
	})
	h.phase("overlap")
	if gate := h.full().Gate; gate.Watched != 0 || !strings.Contains(gate.Rest, "always") {
		t.Errorf("the clock goes on in a blackout: %+v", gate)
	}
	load.stop()
	h.misbehave("crash")
	load = light(t, h.inst)
	_ = cmd.Wait()
	load.stop()
	if code := cmd.ProcessState.ExitCode(); code != 5 {
		t.Errorf("exit %d, want 5: %s", code, stderr)
	}
	if told := fmt.Sprint(stderr); !strings.Contains(told, "waiting: blackout: always") {
		t.Errorf("the wait is not told: %s", told)
	}
	h.restored(before)
}

func TestTheOldMasterEndsOnlyWhenThePolicyLetsIt(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	soon := time.Now().UTC().Add(6 * time.Hour)
	file := h.policy("finish_only:\n  - {name: quiet hour, from: " + soon.Format("15:04") + ", to: " + soon.Add(time.Hour).Format("15:04") + "}\n")
	cmd, stderr := h.start("apply", plan, "--no-rehearsal", "--policy", file, "--patience", "20s")
	h.eventually("a gate that passed and waits", func() bool {
		return h.graft("status").code == 0 && strings.Contains(h.must(0, "history", h.status().Migration).stdout, "the old master is ended only quiet hour")
	})
	h.phase("parked")
	h.must(0, "finish") // a person's word is enough
	_ = cmd.Wait()
	h.phase("finished")
	next := "as the policy says; next at " + soon.Truncate(time.Minute).Local().Format(time.DateTime)
	if told := fmt.Sprint(stderr); !strings.Contains(told, "waiting: the old master is ended only quiet hour") || !strings.Contains(told, next) {
		t.Errorf("want %q: %s", next, told)
	}
}

func TestADegradedGateDoesWhatThePolicySays(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	before := h.sha256(h.inst.Exe)
	h.must(0, with("apply", h.plan(worse(t)), "--until", "overlap")...)
	h.misbehave("fail")
	load := light(t, h.inst)
	warn := "signals: {probes: {action: warn}, 5xx: {action: warn}}\n"
	r := h.must(9, "resume", "--policy", h.policy(warn))
	if !strings.Contains(r.stderr, "the gate at overlap is degraded") || !strings.Contains(r.stderr, "500") {
		t.Errorf("%s", r)
	}
	h.phase("overlap")
	r = h.must(5, "resume", "--policy", h.policy(warn+"degraded: rollback\n"))
	load.stop()
	if !strings.Contains(r.stderr, "the gate at overlap is degraded") {
		t.Errorf("%s", r)
	}
	h.restored(before)
}

// A probe that the operator named and that fails already would tell nothing of the new binary.
func TestAProbeThatFailsBeforeTheSwapEndsApplyBeforeAnythingIsChanged(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	before := h.sha256(h.inst.Exe)
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	url := "http://" + h.inst.Addr("http") + "/"
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte("probes: {urls: [{url: '"+url+"', expect: {status: [299]}}]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"not as expected": {[]string{"--policy", file}, "GET " + url + " does not answer as expected: 200, expected 299; correct it, or leave it out"},
		"no answer":       {[]string{"--probe", "tcp://127.0.0.1:1"}, "tcp://127.0.0.1:1 does not answer: refused: "},
	} {
		r := h.must(1, with(append([]string{"apply", plan}, c.args...)...)...)
		if !strings.Contains(r.stderr, c.want) || !strings.Contains(r.stderr, "nothing was changed on the host") {
			t.Errorf("%s: %s", name, r)
		}
		if strings.Contains(r.stderr, "back up the running binary") || h.sha256(h.inst.Exe) != before {
			t.Errorf("%s: something was changed: %s", name, r)
		}
	}
}

// What has begun is gone on with: then it is told that nothing can be seen by that probe.
func TestAProbeThatFailsIsNoReasonNotToResume(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	target := nginxtest.Release(t, "1.26.3").Path
	h.killed("before-rename-placement", h.sha256(h.inst.Exe), h.sha256(target), with("apply", h.plan(target))...)
	r := h.must(0, with("resume", "--probe", "tcp://127.0.0.1:1")...)
	if !strings.Contains(r.stderr, "tcp://127.0.0.1:1 is not probed: it did not answer before either (refused: ") {
		t.Errorf("%s", r)
	}
	h.phase("finished")
}

// What graft chose itself is only left out, and apply and status say so.
func TestWhatIsNotProbedIsTold(t *testing.T) {
	h := newHost(t, nginxtest.Options{Config: strings.Replace(nginxtest.Realistic, "location / {", "location = /gone { return 410; }\n        location / {", 1)})
	r := h.must(0, with("apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--until", "overlap")...)
	for screen, text := range map[string]string{"apply": r.stderr, "status": h.must(0, "status").stdout} {
		if !strings.Contains(text, "/gone") || !strings.Contains(text, "is not probed: it answered 410 before") {
			t.Errorf("%s does not tell what is not probed: %s", screen, text)
		}
	}
	h.must(0, "rollback")
}
