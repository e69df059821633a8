package analysis

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// found is a finding in a state, with words that name it.
func found(s Signal, test Test, state State) Finding {
	return Finding{Signal: s, Test: test, State: state, Words: string(s) + " by " + string(test) + ": " + string(state)}
}

func TestFindingsCountAsThePolicySays(t *testing.T) {
	quiet := []Finding{found(Errors5xx, Sequential, Quiet), found(WorkerExits, Rule, Quiet), found(Probes, Rule, Quiet)}
	for name, c := range map[string]struct {
		findings []Finding
		actions  map[Signal]Action
		required []Signal
		want     Verdict
		hard     bool
		why      string
	}{
		"all quiet":                  {nil, nil, nil, Pass, false, ""},
		"an alarm rolls back":        {[]Finding{found(SlowP95, Concurrent, Alarm)}, nil, nil, Fail, false, "slow-p95 by concurrent: alarm"},
		"a suspicion is waited upon": {[]Finding{found(SlowP95, Concurrent, Suspect)}, nil, nil, Inconclusive, false, "it may be chance, and it may not: slow-p95"},
		"an alarm that only warns":   {[]Finding{found(Errors4xx, Sequential, Alarm)}, nil, nil, Degraded, false, "4xx by sequential"},
		"a suspicion of that":        {[]Finding{found(Errors4xx, Sequential, Suspect)}, nil, nil, Pass, false, "it may be chance: 4xx"},
		"a policy makes it count":    {[]Finding{found(Errors4xx, Sequential, Alarm)}, map[Signal]Action{Errors4xx: Rollback}, nil, Fail, false, "4xx"},
		"a policy makes it warn":     {[]Finding{found(Memory, Rule, Alarm)}, map[Signal]Action{Memory: Warn}, nil, Degraded, false, "memory"},
		"a policy ignores it":        {[]Finding{found(Memory, Rule, Alarm)}, map[Signal]Action{Memory: Ignore}, nil, Pass, false, "ignored, as the policy says: memory"},
		"a crash is hard":            {[]Finding{found(WorkerExits, Rule, Alarm)}, nil, nil, Fail, true, "worker-exits"},
		"a new class alone":          {[]Finding{found(NewClass, Rule, Alarm)}, nil, nil, Degraded, false, "new-class"},
		"a new class, and a test":    {[]Finding{found(NewClass, Rule, Alarm), found(Errors4xx, Guard, Suspect)}, nil, nil, Fail, false, "another signal has moved"},
		"a new class, and a rule":    {[]Finding{found(NewClass, Rule, Alarm), found(Volume, Rule, Suspect)}, nil, nil, Degraded, false, "new-class"},
		"a test that is ignored":     {[]Finding{found(NewClass, Rule, Alarm), found(Errors4xx, Guard, Alarm)}, map[Signal]Action{Errors4xx: Ignore}, nil, Degraded, false, "new-class"},
		"required and not there":     {nil, nil, []Signal{UpstreamSlow}, Inconclusive, false, "upstream-slow: no test had enough to go on"},
		"required, too little":       {[]Finding{{Signal: SlowP99, Test: Sequential, Power: "a rise below ×40 in 5m0s"}}, nil, []Signal{SlowP99}, Inconclusive, false, "a rise below ×40 in 5m0s would not be seen"},
		"required and quiet":         {nil, nil, []Signal{Errors5xx}, Pass, false, ""},
		"too little, not required":   {[]Finding{{Signal: SlowP99, Test: Sequential}}, nil, nil, Pass, false, ""},
		"the worst decides":          {[]Finding{found(Errors4xx, Sequential, Alarm), found(Memory, Rule, Alarm), found(SlowP95, Guard, Suspect)}, nil, nil, Fail, false, "memory"},
	} {
		t.Run(name, func(t *testing.T) {
			e, p := healthy(), policy
			e.Findings = append(slices.Clone(quiet), c.findings...)
			p.Actions, p.Required = c.actions, c.required
			d := Judge(e, p)
			if d.Verdict != c.want || d.Hard != c.hard || !strings.Contains(strings.Join(d.Why, "\n"), c.why) {
				t.Errorf("%v, hard %v: %q\nwant %v, hard %v, with %q", d.Verdict, d.Hard, d.Why, c.want, c.hard, c.why)
			}
		})
	}
}

// What is missing is not hidden by a warning, nor a warning by what is missing.
func TestTooLittleEvidenceIsNotDegraded(t *testing.T) {
	e := healthy()
	e.Watched, e.Findings = time.Second, []Finding{found(Errors4xx, Sequential, Alarm)}
	if d := Judge(e, policy); d.Verdict != Inconclusive || !d.Warned || !strings.Contains(strings.Join(d.Why, "\n"), "4xx") {
		t.Errorf("%+v", d)
	}
}

// Where tests and rules have looked, they decide; the plain bounds are for what none of them speaks of.
func TestPlainBoundsStepBackForTests(t *testing.T) {
	e := healthy()
	e.Logs = []LogShare{{"access.log", Requests{20_000, 200}, Requests{5_000, 100}}}
	e.New.Crit, e.New.Alert, e.NewCrashes = 20, 1, []string{"worker process 7 exited on signal 11"}
	e.ProbesLost = 1
	if d := Judge(e, policy); d.Verdict != Fail || len(d.Why) < 4 {
		t.Fatalf("without tests: %v %q", d.Verdict, d.Why)
	}
	e.Findings = []Finding{found(Errors5xx, Sequential, Quiet), found(WorkerExits, Rule, Quiet), found(Probes, Rule, Quiet)}
	d := Judge(e, policy)
	if d.Verdict != Pass || !strings.Contains(strings.Join(d.Why, "\n"), "1 processes crashed, 1 emerg or alert lines") || !strings.Contains(strings.Join(d.Why, "\n"), "1 lost") {
		t.Errorf("with tests that say it is as before: %v %q", d.Verdict, d.Why)
	}
	e.Findings[0].State = TooLittle
	if d := Judge(e, policy); d.Verdict != Fail || !strings.Contains(d.Why[0], "5xx in access.log rose") {
		t.Errorf("with a test that has nothing to go on: %v %q", d.Verdict, d.Why)
	}
}

// The policy decides on the plain bounds as it does on tests.
func TestPlainBoundsFollowThePolicy(t *testing.T) {
	e, p := healthy(), policy
	e.Logs = []LogShare{{"access.log", Requests{20_000, 200}, Requests{5_000, 100}}}
	for action, want := range map[Action]Verdict{Rollback: Fail, Warn: Degraded, Ignore: Pass} {
		p.Actions = map[Signal]Action{Errors5xx: action}
		if d := Judge(e, p); d.Verdict != want {
			t.Errorf("%s: %v %q", action, d.Verdict, d.Why)
		}
	}
}

func TestAVerdictDoesNotFlap(t *testing.T) {
	p := policy
	p.Calm = time.Minute
	at := func(s *Steady, watched time.Duration, findings ...Finding) Decision {
		e := healthy()
		e.Watched, e.Findings = watched, findings
		return s.Judge(e, p)
	}
	var s Steady
	warned, calm := found(Errors4xx, Sequential, Alarm), found(Errors4xx, Sequential, Quiet)
	for _, c := range []struct {
		watched time.Duration
		now     Finding
		want    Verdict
	}{
		{2 * time.Minute, calm, Pass},
		{3 * time.Minute, warned, Degraded},
		{3*time.Minute + 59*time.Second, calm, Degraded}, // it is gone, but not for long enough
		{4 * time.Minute, calm, Pass},
		{5 * time.Minute, warned, Degraded},
		{5*time.Minute + 30*time.Second, warned, Degraded}, // seen again: the time begins anew
		{6*time.Minute + 29*time.Second, calm, Degraded},
		{6*time.Minute + 30*time.Second, calm, Pass},
	} {
		if d := at(&s, c.watched, c.now); d.Verdict != c.want || len(d.Findings) != 1 {
			t.Errorf("after %s: %v %q, want %v", c.watched, d.Verdict, d.Why, c.want)
		}
	}
	// An alarm that rolls back stays, however long it has been gone: nothing may have acted on it in a blackout.
	at(&s, 7*time.Minute, found(Memory, Rule, Alarm))
	if d := at(&s, 9*time.Hour); d.Verdict != Fail || !strings.Contains(d.Why[0], "memory by rule: alarm (last seen 8h53m0s ago)") {
		t.Errorf("%v %q", d.Verdict, d.Why)
	}
}

func findingsOf(t *rapid.T) []Finding {
	var list []Finding
	for range rapid.IntRange(0, 6).Draw(t, "findings") {
		list = append(list, found(rapid.SampledFrom(Signals()).Draw(t, "signal"),
			rapid.SampledFrom([]Test{Concurrent, Sequential, Guard, Rule}).Draw(t, "test"),
			rapid.SampledFrom([]State{TooLittle, Quiet, Suspect, Alarm}).Draw(t, "state")))
	}
	return list
}

func policyOf(t *rapid.T) Policy {
	p := policy
	p.Actions = make(map[Signal]Action)
	for range rapid.IntRange(0, 4).Draw(t, "actions") {
		p.Actions[rapid.SampledFrom(Signals()).Draw(t, "of")] = rapid.SampledFrom([]Action{Rollback, Warn, Ignore}).Draw(t, "action")
	}
	return p
}

// severity orders states of tests that have something to go on.
var severity = []State{Quiet, Suspect, Alarm}

func TestWorseFindingsNeverMakeAVerdictBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, p := evidence(t), policyOf(t)
		e.Findings = append(findingsOf(t), found(WorkerExits, Rule, Quiet), found(Probes, Rule, Quiet), found(Errors5xx, Sequential, Quiet))
		before := Judge(e, p)
		worse := slices.Clone(e.Findings)
		i := rapid.IntRange(0, len(worse)-1).Draw(t, "worse")
		at := max(0, slices.Index(severity, worse[i].State))
		worse[i].State = severity[rapid.IntRange(at, len(severity)-1).Draw(t, "state")]
		if e.Findings[i].State == TooLittle && worse[i].State == Quiet {
			return // no worse: something is known now
		}
		e.Findings = worse
		after := Judge(e, p)
		if goodness[after.Verdict] > goodness[before.Verdict] {
			t.Fatalf("%v became %v: %q", before.Verdict, after.Verdict, after.Why)
		}
		if len(after.Why) == 0 {
			t.Fatal("without a reason")
		}
	})
}

// A stricter policy never makes a verdict better.
func TestAStricterPolicyNeverMakesAVerdictBetter(t *testing.T) {
	strictness := []Action{Ignore, Warn, Rollback}
	rapid.Check(t, func(t *rapid.T) {
		e, p := evidence(t), policyOf(t)
		e.Findings = findingsOf(t)
		before := Judge(e, p)
		s := rapid.SampledFrom(Signals()).Draw(t, "stricter")
		at := slices.Index(strictness, p.Action(s))
		p.Actions[s] = strictness[rapid.IntRange(at, 2).Draw(t, "by")]
		if after := Judge(e, p); goodness[after.Verdict] > goodness[before.Verdict] {
			t.Fatalf("%v became %v: %q", before.Verdict, after.Verdict, after.Why)
		}
	})
}

// That answers fail is seen within seconds. Why they do stands in the error log, in too few lines for an
// alarm of its own.
func TestAFailureTellsWhatOnlyTheNewBinaryLogs(t *testing.T) {
	const clue = "attempt to call field 'raw_header' (a nil value)"
	e := healthy()
	e.Findings = []Finding{{Signal: Lua, Test: Rule, State: Suspect, After: Count{Bad: 5}, Words: clue}}
	if d := Judge(e, policy); d.Verdict == Fail || strings.Contains(strings.Join(d.Why, "\n"), clue) && d.Verdict != Inconclusive {
		t.Errorf("%v: %q", d.Verdict, d.Why)
	}
	e.Findings = append(e.Findings, Finding{Signal: Errors5xx, Test: Concurrent, State: Alarm, Words: "5xx: 3 % of 287"})
	if d := Judge(e, policy); d.Verdict != Fail || !slices.Equal(d.Why[:2], []string{"5xx: 3 % of 287", clue}) {
		t.Errorf("%v: %q", d.Verdict, d.Why)
	}
}

func TestPlainBoundsDoNotComeBeforeATestThatCanDecide(t *testing.T) {
	clump := healthy()
	clump.Logs = []LogShare{{"access.log", Requests{20_000, 20}, Requests{1_000, 40}}}
	clump.Before, clump.After, clump.Recent = clump.Logs[0].Before, clump.Logs[0].After, clump.Logs[0].After
	if d := Judge(clump, policy); d.Verdict != Fail {
		t.Errorf("where nothing else can tell: %v %q", d.Verdict, d.Why)
	}
	open := Finding{Signal: Errors5xx, Test: Sequential}
	clump.Findings = []Finding{open}
	if d := Judge(clump, policy); d.Verdict != Fail {
		t.Errorf("with a test that knows of too little time before: %v %q", d.Verdict, d.Why)
	}
	clump.Known = 2 * time.Hour
	if d := Judge(clump, policy); d.Verdict == Fail {
		t.Errorf("before the days before have been compared with: %v %q", d.Verdict, d.Why)
	}
	clump.Known, open.Test = 0, Concurrent
	clump.Findings = []Finding{open}
	if d := Judge(clump, policy); d.Verdict == Fail {
		t.Errorf("before the generations have been compared: %v %q", d.Verdict, d.Why)
	}
}
