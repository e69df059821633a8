package cli_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// fault is one way to be worse, and what has to become of a migration to such a target.
type fault struct {
	name      string
	how, much string
	at        string // the phase at which it begins, and from which the target must be taken back
	pid       bool   // $pid is logged
	days      bool   // there are logs of two days before
	reason    string // of which the words must tell; a regular expression
	never     string // what they must not blame; "" if nothing
	losses    bool   // the fault itself breaks connections
}

var faults = []fault{
	{name: "5xx at 1 %", how: "fail-permille", much: "10", at: "overlap", pid: true, days: true, reason: `5xx`},
	{name: "5xx at 10 %", how: "fail-permille", much: "100", at: "parked", days: true, reason: `5xx`},
	{name: "5xx at 10 %, nothing known before", how: "fail-permille", much: "100", at: "overlap", pid: true, reason: `5xx`},
	{name: "half as slow again", how: "delay-percent", much: "50", at: "overlap", pid: true, days: true, reason: `(?i)slow|p9[59]`, never: `5xx`},
	{name: "workers that crash now and then", how: "crash-one-in", much: "250", at: "overlap", pid: true, days: true, reason: `exited on signal|crashed`, losses: true},
	{name: "workers that crash now and then while parked", how: "crash-one-in", much: "500", at: "parked", reason: `exited on signal|crashed`, losses: true},
	{name: "one broken location", how: "fail-prefix", much: "/cart/", at: "overlap", pid: true, days: true, reason: `5xx`},
	{name: "a memory leak", how: "leak-bytes", much: "100000", at: "overlap", pid: true, reason: `(?i)memory`, never: `5xx`},
}

// gates are long enough for every fault to show; a target that is worse does not reach their ends.
func gates(overlap, park string) []string {
	return []string{"--overlap", overlap, "--park", park, "--min-requests", "100", "--probe-rate", "2", "--patience", "30s"}
}

func TestTargetsThatAreWorseAreTakenBackForTheRightReason(t *testing.T) {
	bad := worse(t)
	days := newHistory(t, 4, 1, true, false)
	again, share := 1, 0.7
	if fullField() {
		again, share = 5, 1
	}
	for seed := range uint64(again) {
		atOnce(t, faults, func(f fault) string { return fmt.Sprintf("%s, seed %d", f.name, seed+1) }, func(t *testing.T, f fault) {
			f.takenBack(t, bad, days, seed+1, share)
		})
	}
}

// takenBack migrates to the worse nginx.
func (f fault) takenBack(t *testing.T, bad string, days *history, seed uint64, share float64) {
	var before *history
	if f.days {
		before = days
	}
	h := fieldHost(t, nginxtest.Options{}, f.pid, before)
	sum := h.sha256(h.inst.Exe)
	file := h.plan(bad)
	crowd := newCrowd(t, h.inst, seed, share)
	crowd.warm()
	args := append([]string{"apply", file}, gates("150s", "60s")...)
	if f.at == "parked" {
		args = append([]string{"apply", file}, gates("3s", "120s")...)
	}
	var onset time.Time
	run := h.through(func(phase string) {
		if phase == f.at {
			h.misbehave(f.how, f.much)
			onset = time.Now()
		}
	}, args...)
	ended := time.Now()
	h.tellVerdict(f, run, onset)
	h.phase("rolled-back")
	// The old binary serves as before.
	enough := crowd.so().requests + 200
	h.eventually("requests after the rollback", func() bool { return crowd.so().requests > enough })
	counts := crowd.end()
	t.Logf("%v; %s", counts, h.logged(f.pid))
	if counts.lost > 0 && !f.losses || counts.lastFault.After(ended) {
		t.Errorf("%v; the last fault %v after the rollback", counts, counts.lastFault.Sub(ended))
	}
	h.restored(sum)
}

// tellVerdict logs what the migration came to and checks it.
func (h *host) tellVerdict(f fault, run gateRun, onset time.Time) {
	h.t.Helper()
	words := run.words()
	h.t.Logf("%s, from %s, %v after the fault began: %s", run.Outcome.Phase, run.from, run.after(onset, "rolled-back"), words)
	switch {
	case run.code != 5 || run.Outcome.Phase != "rolled-back":
		h.t.Fatalf("exit %d, want a rollback: %s\nerror log:\n%s", run.code, run.stderr, lastOf(h.inst.ErrorLogText(h.t)))
	case run.from != f.at:
		h.t.Errorf("rolled back from %s, want %s", run.from, f.at)
	case !regexp.MustCompile(f.reason).MatchString(words):
		h.t.Errorf("the reason is not told (want %s)", f.reason)
	case f.never != "" && regexp.MustCompile(f.never).MatchString(words):
		h.t.Errorf("another reason is told, too (%s)", f.never)
	}
}

func lastOf(text string) string {
	return text[max(0, len(text)-2000):]
}

// atOnce runs a subtest for each, all at the same time: they mostly wait, so more of them than there
// are cores.
func atOnce[T any](t *testing.T, all []T, name func(T) string, test func(*testing.T, T)) {
	var group sync.WaitGroup
	for _, one := range all {
		group.Go(func() {
			t.Run(strings.ReplaceAll(name(one), "/", "|"), func(t *testing.T) { test(t, one) })
		})
	}
	group.Wait()
}
