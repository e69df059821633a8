package analysis

import (
	"strings"
	"testing"
)

// One location of twelve is broken: the whole's test sees it first, and the words have to lead there.
func TestAnAlarmOfTheWholeTellsWhereMostOfItLies(t *testing.T) {
	counts := func(scope string, test Test, bad, total int64) Finding {
		return Finding{Signal: Errors5xx, Scope: scope, Test: test, State: Quiet, After: Count{bad, total}}
	}
	alarm := Finding{Signal: Errors5xx, Test: Guard, State: Alarm, Words: "5xx in the last 20s: 8", After: Count{8, 400}}
	for name, c := range map[string]struct {
		others []Finding
		want   string
	}{
		"one location": {[]Finding{counts("", Concurrent, 9, 700), counts("/cart/", Concurrent, 8, 30), counts("/app/", Concurrent, 1, 500), counts("server a", Concurrent, 9, 650)},
			"; 8 of these 9 are of /cart/, 30 requests"},
		"beside what is usual": {[]Finding{{Signal: Errors5xx, Test: Concurrent, Before: Count{3, 1000}, After: Count{9, 1000}}, counts("/cart/", Concurrent, 4, 12)},
			"; 4 of these 9 are of /cart/, 12 requests"},
		"everywhere":        {[]Finding{counts("", Concurrent, 9, 700), counts("/cart/", Concurrent, 2, 30), counts("/app/", Concurrent, 7, 500)}, ""},
		"known by the past": {[]Finding{counts("", Sequential, 9, 700), counts("/cart/", Sequential, 9, 30)}, "; 9 of these 9 are of /cart/, 30 requests"},
		"no parts":          {nil, ""},
	} {
		d := weigh(append(c.others, alarm), Policy{})
		if len(d.fail) != 1 || d.fail[0] != alarm.Words+c.want || c.want == "" && strings.Contains(d.fail[0], "/cart/") {
			t.Errorf("%s: %q", name, d.fail)
		}
	}
}

// So do the plain bounds, which speak while the tests have too little to go on.
func TestAPlainBoundTellsWhereMostOfItLies(t *testing.T) {
	e := healthy()
	e.Logs = []LogShare{{"access.log", Requests{20_000, 20}, Requests{1_000, 20}}}
	e.Findings = []Finding{
		{Signal: Errors5xx, Test: Sequential, After: Count{20, 1_000}},
		{Signal: Errors5xx, Scope: "/cart/", Test: Sequential, After: Count{18, 40}},
	}
	if d := Judge(e, policy); d.Verdict != Fail || !strings.HasSuffix(d.Why[0], "; 18 of these 20 are of /cart/, 40 requests") {
		t.Errorf("%v %q", d.Verdict, d.Why)
	}
}
