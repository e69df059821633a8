package migrate

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"graft/internal/analysis"
	"graft/internal/gate"
	"graft/internal/journal"
	"graft/internal/policy"
)

// openGate is the gate of one phase while it is open.
type openGate struct {
	phase    Phase
	watch    *gate.Watch
	policy   analysis.Policy
	looked   time.Time     // when its clock was read last
	counted  time.Duration // of this run
	allowed  time.Duration // so long it may count in this run without passing
	rest     rest
	evidence analysis.Evidence
	decision analysis.Decision
	noted    analysis.Verdict // the last one in the journal
	waits    string           // what it waits for though it has time or has passed; the journal has it
	passed   bool             // for good: what follows is under way
	held     bool             // its time is over, and it has not passed
}

// rest is a time in which the gate's clock stands. The zero value: it runs.
type rest struct {
	why     string
	lenient bool // nothing but what is hard rolls back
}

// restAt tells whether the clock stands at a time.
func (e *Engine) restAt(now time.Time) rest {
	if w, end, ok := e.blackouts.At(now); ok {
		return rest{fmt.Sprintf("blackout: %s, until %s", w, end.Local().Format(time.DateTime)), true}
	}
	if p := e.gates.Paused; p != nil {
		return rest{p.String(), p.NoRollback}
	}
	return rest{}
}

// look takes the evidence in, moves the clock on and decides.
func (g *openGate) look(state *gateState, now time.Time, r rest) {
	passed := now.Sub(g.looked)
	g.looked = now
	if r.why == "" && g.rest.why == "" {
		state.Watched += passed
		g.counted += passed
	}
	g.rest = r
	g.evidence = g.watch.Evidence()
	g.evidence.Watched = state.Watched
	p := g.policy
	p.MinDuration += state.Extended
	g.decision = state.Steady.Judge(g.evidence, p)
}

// over: the gate had its time and a little more, so that evidence on its way could arrive.
func (g *openGate) over(state *gateState) bool { return g.counted > g.allowed+state.Extended }

// told is the gate as a status shows it.
func (g *openGate) told(s gateStates) Gate {
	evidence, state := g.evidence, s.of(g.phase)
	evidence.Findings = nil // the decision has them, in order
	return Gate{
		Verdict: g.decision.Verdict, Why: append([]string{}, g.decision.Why...), Evidence: &evidence, Warned: g.decision.Warned,
		Watched: state.Watched, Length: g.policy.MinDuration + state.Extended, Extended: state.Extended, Paused: s.Paused, Rest: g.rest.why, Waits: g.waits, Findings: g.decision.Findings,
	}
}

// judge asks the gate, if one is open for this phase.
func (e *Engine) judge() (analysis.Verdict, *Outcome, error) {
	g := e.gate
	if g == nil || e.intent.Goal == RolledBack {
		return analysis.Inconclusive, nil, nil
	}
	if g.passed {
		return analysis.Pass, nil, nil
	}
	now, state := time.Now(), e.gates.of(e.phase)
	r := e.restAt(now)
	g.look(state, now, r)
	if err := e.gates.saveDue(); err != nil {
		e.log.Warn("a gate's clock", "error", err) // at worst it watches for longer
	}
	d := g.decision
	switch {
	case d.Verdict == analysis.Fail && r.lenient && !d.Hard:
		return analysis.Inconclusive, nil, errors.Join(e.noteOnce(d, "it does not act now: "+r.why), e.noteWait(r.why))
	case d.Verdict == analysis.Fail:
		if err := e.noteGate(d.Verdict, d.Why); err != nil {
			return d.Verdict, nil, err
		}
		return d.Verdict, nil, e.turn("the gate at " + string(e.phase) + " failed: " + strings.Join(d.Why, "; "))
	case e.forced:
		e.forced = false
		return e.pass(append([]string{"passed by hand"}, d.Why...))
	case r.why != "":
		return analysis.Inconclusive, nil, errors.Join(e.noteOnce(d, ""), e.noteWait(r.why))
	case d.Verdict == analysis.Pass && !e.mayEnd(now):
		return e.waitToEnd(d, now)
	case d.Verdict == analysis.Pass:
		return e.pass(d.Why)
	case !g.over(state):
		return d.Verdict, nil, errors.Join(e.noteOnce(d, ""), e.noteWait(""))
	}
	return e.timeOver(d, now)
}

// timeOver does what the policy says where the gate has not passed in its time.
func (e *Engine) timeOver(d analysis.Decision, now time.Time) (analysis.Verdict, *Outcome, error) {
	end, what := e.opts.Policy.Undetermined, "could not decide"
	switch {
	case d.Verdict == analysis.Degraded:
		end, what = e.opts.Policy.Degraded, "is degraded"
	case d.Warned:
		end = policy.Stricter(end, e.opts.Policy.Degraded)
	}
	what = "the gate at " + string(e.phase) + " " + what
	switch {
	case end == policy.Proceed && e.mayEnd(now):
		return e.pass(append(append([]string{}, d.Why...), "proceeding all the same, as asked"))
	case end == policy.Proceed:
		return e.waitToEnd(d, now)
	case end == policy.GiveUp:
		if err := e.noteGate(d.Verdict, d.Why); err != nil {
			return d.Verdict, nil, err
		}
		return d.Verdict, nil, e.turn(what + ": " + strings.Join(d.Why, "; "))
	case e.gate.held:
		return d.Verdict, nil, nil
	}
	e.gate.held = true
	if err := e.noteGate(d.Verdict, d.Why); err != nil {
		return d.Verdict, nil, err
	}
	o := &Outcome{Phase: e.phase, Held: true, Blind: !e.gate.evidence.ErrorLogged, Reason: what, Why: d.Why}
	if err := e.note("", stepHold, journal.Observed, o); err != nil || e.opts.Stay {
		return d.Verdict, nil, err
	}
	return d.Verdict, o, nil
}

// pass lets the gate pass for good.
func (e *Engine) pass(why []string) (analysis.Verdict, *Outcome, error) {
	e.gate.passed = true
	return analysis.Pass, nil, e.noteGate(analysis.Pass, why)
}

// mayEnd tells whether the policy lets what follows this gate happen now: it may want the old master to be
// ended at certain times only.
func (e *Engine) mayEnd(now time.Time) bool {
	return e.phase != Parked || len(e.finishing) == 0 || e.finishing.Covers(now)
}

// waitToEnd waits for a time at which the policy lets the old master end.
func (e *Engine) waitToEnd(d analysis.Decision, now time.Time) (analysis.Verdict, *Outcome, error) {
	only := "the old master is ended only " + windows(e.finishing) + ", as the policy says"
	next := "there is no such time any more: graft finish ends it by hand"
	if at, ok := e.finishing.Next(now); ok {
		next = "next at " + at.Local().Format(time.DateTime)
	}
	return analysis.Inconclusive, nil, errors.Join(e.noteOnce(d, only), e.noteWait(only+"; "+next))
}

// noteWait records what the gate waits for, when it becomes something else.
func (e *Engine) noteWait(why string) error {
	if why == e.gate.waits {
		return nil
	}
	e.gate.waits = why
	if why == "" {
		return nil
	}
	return e.note("", stepWait, journal.Observed, map[string]string{"reason": why})
}

func windows(c analysis.Calendar) string {
	var list []string
	for _, w := range c {
		list = append(list, w.String())
	}
	return strings.Join(list, ", or ")
}

// noteOnce records a verdict that decides nothing now, when it becomes another one than before. A gate
// begins inconclusive, which says nothing.
func (e *Engine) noteOnce(d analysis.Decision, also string) error {
	if d.Verdict == e.gate.noted {
		return nil
	}
	why := d.Why
	if also != "" {
		why = append(append([]string{}, why...), also)
	}
	return e.noteGate(d.Verdict, why)
}

// noteGate records a verdict with its evidence.
func (e *Engine) noteGate(v analysis.Verdict, why []string) error {
	e.gate.noted = v
	g := e.gate.told(e.gates)
	g.Verdict, g.Why = v, append([]string{}, why...)
	return e.note("", stepGate, journal.Observed, g)
}
