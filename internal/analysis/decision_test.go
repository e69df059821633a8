package analysis

import (
	"slices"
	"strings"
	"testing"
)

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
