package analysis

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var policy = Policy{MinDuration: time.Minute, MinRequests: 1000, MinProbes: 50}

// healthy is evidence that passes policy.
func healthy() Evidence {
	log := LogShare{Log: "access.log", Before: Requests{20_000, 20}, After: Requests{5_000, 5}}
	return Evidence{
		Watched: 2 * time.Minute, Logged: true, ErrorLogged: true,
		Before: log.Before, After: log.After, Logs: []LogShare{log}, Recent: log.After,
		Old: Lines{Error: 40}, New: Lines{Error: 40, Warn: 3},
		Probes: 100, RecentProbes: Requests{100, 0},
	}
}

func TestJudge(t *testing.T) {
	oneLog := func(before, after Requests) func(*Evidence) {
		return func(e *Evidence) {
			e.Before, e.After, e.Logs = before, after, []LogShare{{"access.log", before, after}}
		}
	}
	for name, c := range map[string]struct {
		change func(*Evidence)
		want   Verdict
		why    string // part of the reasons
	}{
		"enough and good":       {func(*Evidence) {}, Pass, "5xx: 0.100 % of 5000 requests, before 0.100 % of 20000"},
		"a worker crashed":      {func(e *Evidence) { e.NewCrashes = []string{"worker process 7 exited on signal 11"} }, Fail, "signal 11"},
		"an old worker crashed": {func(e *Evidence) { e.OldCrashes = []string{"worker process 7 exited on signal 11"} }, Pass, ""},
		"an alert":              {func(e *Evidence) { e.New.Alert, e.Sample = 1, []string{"no memory"} }, Fail, "1 emerg or alert lines of the new binary in the error log: no memory"},
		"an alert of the old":   {func(e *Evidence) { e.Old.Alert = 1 }, Pass, ""},
		"severe lines as ever":  {func(e *Evidence) { e.Familiar = 30 }, Pass, "do not count"},
		"a few crit lines":      {func(e *Evidence) { e.New.Crit = 9 }, Pass, ""},
		"many crit lines":       {func(e *Evidence) { e.New.Crit = 10 }, Fail, "10 crit lines"},
		"crit lines as before":  {func(e *Evidence) { e.New.Crit, e.Old.Crit = 10, 5 }, Pass, ""},
		"a lost probe":          {func(e *Evidence) { e.ProbesLost, e.ProbeNotes = 1, []string{"refused"} }, Fail, "1 of 101 probes were lost: refused"},
		"probes answered 5xx":   {func(e *Evidence) { e.Probes5xx = 10 }, Fail, "10 of 100 probes"},
		"a few probes 5xx":      {func(e *Evidence) { e.Probes5xx = 3 }, Inconclusive, "3 of 100 probes"},
		"two probes 5xx":        {func(e *Evidence) { e.Probes5xx = 2 }, Pass, ""},
		"probes unsent":         {func(e *Evidence) { e.ProbesUnsent = 2 }, Inconclusive, "2 probes could not be sent"},
		"watched too shortly":   {func(e *Evidence) { e.Watched = 59 * time.Second }, Inconclusive, "watched for 59s of 1m0s"},
		"too few probes":        {func(e *Evidence) { e.Probes = 49 }, Inconclusive, "49 of 50 probes"},
		"too few requests":      {func(e *Evidence) { e.After = Requests{999, 0} }, Inconclusive, "999 of 1000 requests of clients"},
		"no access log":         {func(e *Evidence) { *e = Evidence{Watched: e.Watched, ErrorLogged: true, Probes: 100} }, Pass, "the probes alone"},
		"no error log":          {func(e *Evidence) { e.ErrorLogged, e.Unobserved = false, []string{"error_log stderr"} }, Inconclusive, "a crash would not have been seen: error_log stderr"},
		"faults beat gaps":      {func(e *Evidence) { e.Watched, e.New.Emerg = 0, 1 }, Fail, "emerg"},
		"5xx doubled":           {oneLog(Requests{20_000, 200}, Requests{5_000, 100}), Fail, "5xx in access.log rose: 2.000 % of 5000 requests, before 1.000 % of 20000"},
		"5xx rose by little":    {oneLog(Requests{1_000_000, 1_000}, Requests{1_000_000, 5_000}), Pass, ""},
		"5xx rose, few seen":    {oneLog(Requests{500, 0}, Requests{1_000, 8}), Inconclusive, "may have risen"},
		"three before say little": {
			// Half of all answers are errors, but three requests are no past: neither good nor proven bad.
			oneLog(Requests{3, 0}, Requests{1_000, 500}), Inconclusive, "may have risen"},
		"nothing before, some errors": {oneLog(Requests{}, Requests{5_000, 100}), Inconclusive, "of nothing known before"},
		"nothing before, all errors":  {oneLog(Requests{}, Requests{5_000, 5_000}), Fail, "100.000 %"},
		"nothing before, no errors":   {oneLog(Requests{}, Requests{5_000, 0}), Pass, ""},
		"all errors ever":             {oneLog(Requests{5_000, 5_000}, Requests{5_000, 5_000}), Pass, ""},
		"one site among many broke": {func(e *Evidence) {
			e.Logs = []LogShare{{"busy.log", Requests{1_000_000, 1_000}, Requests{1_000_000, 1_000}}, {"small.log", Requests{500, 0}, Requests{100, 60}}}
		}, Fail, "5xx in small.log"},
		"a fault thinly spread over many sites": {func(e *Evidence) {
			e.Logs = nil
			for range 200 {
				e.Logs = append(e.Logs, LogShare{"site.log", Requests{500, 0}, Requests{100, 2}})
			}
		}, Fail, "5xx rose: 2.000 % of 20000 requests, before 0.000 %"},
		"more traffic at the site with errors": {func(e *Evidence) {
			e.Logs = []LogShare{{"good.log", Requests{50_000, 0}, Requests{1_000, 0}}, {"bad.log", Requests{50_000, 5_000}, Requests{50_000, 5_000}}}
			e.Before, e.After = Requests{100_000, 5_000}, Requests{51_000, 5_000}
		}, Pass, ""},
		"breakage after two days": {func(e *Evidence) {
			e.Logs[0].After = Requests{10_000_000, 10_500}
			e.After, e.Recent = e.Logs[0].After, Requests{2_000, 500}
		}, Fail, "5xx in the last minutes: 25.000 % of 2000"},
		"probes fail after two days": {func(e *Evidence) {
			e.Probes, e.Probes5xx, e.RecentProbes = 350_000, 60, Requests{600, 60}
		}, Fail, "60 of the last 600"},
	} {
		t.Run(name, func(t *testing.T) {
			e := healthy()
			c.change(&e)
			d := Judge(e, policy)
			got, why := d.Verdict, d.Why
			if got != c.want || !strings.Contains(strings.Join(why, "\n"), c.why) {
				t.Errorf("%v: %q\nwant %v with %q", got, why, c.want, c.why)
			}
		})
	}
}

func TestNoEvidenceNeverPasses(t *testing.T) {
	lax := Policy{MinDuration: time.Nanosecond}
	for name, e := range map[string]Evidence{
		"nothing":             {},
		"time alone":          {Watched: 48 * time.Hour},
		"silent logs":         {Watched: 48 * time.Hour, Logged: true, ErrorLogged: true},
		"a past alone":        {Watched: 48 * time.Hour, Logged: true, ErrorLogged: true, Before: Requests{1000, 0}},
		"probes, no watching": {Probes: 100, ErrorLogged: true},
	} {
		if d := Judge(e, lax); d.Verdict != Inconclusive || len(d.Why) == 0 {
			t.Errorf("%s: %v", name, d)
		}
	}
	if got := Judge(healthy(), Policy{}).Verdict; got != Inconclusive {
		t.Errorf("a policy that asks for nothing: %v", got)
	}
	if got := Judge(healthy(), lax).Verdict; got != Pass {
		t.Errorf("the same policy with evidence: %v", got)
	}
}

// requests draws a period; log draws one log.
func requests(t *rapid.T, name string) Requests {
	total := rapid.OneOf(rapid.Int64Range(0, 50), rapid.Int64Range(0, 100_000)).Draw(t, name)
	return Requests{total, rapid.Int64Range(0, total).Draw(t, name+" 5xx")}
}

func evidence(t *rapid.T) Evidence {
	few := rapid.Int64Range(0, 12)
	e := Evidence{
		Watched: time.Duration(rapid.IntRange(0, 200).Draw(t, "watched")) * time.Second,
		Logged:  rapid.Bool().Draw(t, "logged"), ErrorLogged: rapid.Bool().Draw(t, "error logged"),
		New:    Lines{Crit: few.Draw(t, "new crit")},
		Old:    Lines{Crit: few.Draw(t, "old crit")},
		Recent: requests(t, "recent"),
		Probes: rapid.Int64Range(0, 2000).Draw(t, "probes"), ProbesUnsent: few.Draw(t, "unsent"),
	}
	e.Probes5xx = rapid.Int64Range(0, e.Probes).Draw(t, "probes 5xx")
	for range rapid.IntRange(0, 3).Draw(t, "logs") {
		l := LogShare{"x.log", requests(t, "before"), requests(t, "after")}
		e.Logs = append(e.Logs, l)
		e.Before.Total, e.Before.Errors5xx = e.Before.Total+l.Before.Total, e.Before.Errors5xx+l.Before.Errors5xx
		e.After.Total, e.After.Errors5xx = e.After.Total+l.After.Total, e.After.Errors5xx+l.After.Errors5xx
	}
	return e
}

// goodness orders verdicts.
var goodness = map[Verdict]int{Fail: 0, Inconclusive: 1, Degraded: 2, Pass: 3}

func TestMoreFaultsNeverMakeAVerdictBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := evidence(t)
		before := Judge(e, policy).Verdict
		n := rapid.Int64Range(1, 1000).Draw(t, "more")
		switch kind := rapid.IntRange(0, 8).Draw(t, "kind"); kind {
		case 0:
			e.NewCrashes = append(e.NewCrashes, "worker process 7 exited on signal 6")
		case 1:
			e.New.Emerg += n
		case 2:
			e.New.Alert += n
		case 3:
			e.New.Crit += n
		case 4:
			e.ProbesLost += n
		case 5:
			e.ProbesUnsent += n
		case 6:
			e.Probes5xx = min(e.Probes5xx+n, e.Probes)
		case 7:
			e.Recent.Errors5xx = min(e.Recent.Errors5xx+n, e.Recent.Total)
		case 8:
			if len(e.Logs) == 0 {
				e.After.Total, e.Before = 1000, Requests{1000, 1}
				before = Judge(e, policy).Verdict
				e.After.Errors5xx = min(n, 1000)
				break
			}
			l := &e.Logs[rapid.IntRange(0, len(e.Logs)-1).Draw(t, "log")]
			more := min(n, l.After.Total-l.After.Errors5xx)
			l.After.Errors5xx += more
			e.After.Errors5xx += more
		}
		after := Judge(e, policy)
		if goodness[after.Verdict] > goodness[before] {
			t.Fatalf("%v became %v", before, after)
		}
	})
}

func TestThereIsAlwaysAReason(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if d := Judge(evidence(t), policy); len(d.Why) == 0 {
			t.Fatalf("%v without a reason", d.Verdict)
		}
	})
}

func TestTheZeroVerdictIsInconclusive(t *testing.T) {
	var v Verdict
	if v != Inconclusive || v.String() != "inconclusive" {
		t.Errorf("%v", v)
	}
	for _, want := range []Verdict{Inconclusive, Pass, Fail, Degraded} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Verdict
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("%s reads back as %v: %v", text, got, err)
		}
	}
	if err := v.UnmarshalText([]byte("passed")); err == nil {
		t.Error(`"passed" is taken for a verdict`)
	}
}
