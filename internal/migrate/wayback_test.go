package migrate

import (
	"encoding/json"
	"testing"
	"time"

	"graft/internal/analysis"
	"graft/internal/journal"
)

// lines makes journal events, a second apart.
func lines(t *testing.T, steps ...journal.Event) []journal.Event {
	t.Helper()
	for i := range steps {
		steps[i].Time = time.Unix(int64(1000+i), 0)
	}
	return steps
}

func gateLine(t *testing.T, phase Phase, g Gate) journal.Event {
	t.Helper()
	data, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	return journal.Event{Phase: string(phase), Step: stepGate, Event: journal.Observed, Data: data}
}

func TestAWayBackIsTimedFromItsVerdict(t *testing.T) {
	failed := gateLine(t, Parked, Gate{Verdict: analysis.Fail, Why: []string{"5xx"}})
	turn := journal.Event{Phase: string(Parked), Step: stepTurn, Event: journal.Observed}
	act := func(a Action, kind journal.Kind) journal.Event { return journal.Event{Step: string(a), Event: kind} }
	events := lines(t, act(Park, journal.Intent), act(Park, journal.Done), failed, turn,
		act(Revive, journal.Intent), act(Revive, journal.Done), act(Dismiss, journal.Intent), act(Dismiss, journal.Done))
	w := timesBack(events, time.Unix(1010, 0))
	if w.VerdictAt.Unix() != 1002 || w.First != 2*time.Second || w.Answering != 3*time.Second || w.Whole != 8*time.Second {
		t.Errorf("%+v", w)
	}
	// Asked for by a person, or by an earlier verdict that did not turn it around: nothing is timed.
	for name, events := range map[string][]journal.Event{
		"a person":         lines(t, act(Park, journal.Done), journal.Event{Step: stepAsk}, turn, act(Revive, journal.Intent)),
		"not a failure":    lines(t, gateLine(t, Parked, Gate{Verdict: analysis.Pass, Why: []string{"good"}}), turn),
		"not turned":       lines(t, failed),
		"nothing happened": nil,
	} {
		if w := timesBack(events, time.Unix(1010, 0)); !w.VerdictAt.IsZero() {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

func TestAPhasesLastWordIsItsGates(t *testing.T) {
	held := Gate{Verdict: analysis.Inconclusive, Why: []string{"3 of 100 requests"}, Findings: []analysis.Finding{{Signal: analysis.Errors5xx}}}
	policy := journal.Event{Phase: string(Overlap), Step: stepGate, Data: json.RawMessage(`{"min_duration":1}`)}
	events := []journal.Event{policy, gateLine(t, Overlap, held), {Phase: string(Overlap), Step: stepHold}, {Phase: string(Overlap), Step: stepBegin}}
	if g := lastWord(events, Overlap); len(g.Why) != 1 || g.Why[0] != held.Why[0] || len(g.Findings) != 1 {
		t.Errorf("%+v", g)
	}
	for name, events := range map[string][]journal.Event{
		"of a phase before": append(events, journal.Event{Phase: string(Parked), Step: stepBegin}),
		"of none yet":       {policy},
	} {
		phase := Phase(events[len(events)-1].Phase)
		if g := lastWord(events, phase); g.Why == nil || len(g.Why) != 0 {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

func TestAnOrderSaysWhy(t *testing.T) {
	for _, o := range []Order{{Do: OrderPause}, {Do: OrderPass}, {Do: OrderExtend, Reason: "x"}, {Do: "stop", Reason: "x"}, {}} {
		if o.Check() == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for _, o := range []Order{{Do: OrderRollback}, {Do: OrderFinish}, {Do: OrderContinue, Reason: "x"}, {Do: OrderExtend, Reason: "x", Length: time.Hour}} {
		if err := o.Check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
