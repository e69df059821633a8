package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"graft/internal/analysis"
	"graft/internal/artifact"
	"graft/internal/gate"
	"graft/internal/journal"
	"graft/internal/pkgmanager"
	"graft/internal/procfs"
)

// Steps of the journal that are no actions.
const (
	stepBegin = "begin"
	stepTurn  = "turn"
	stepGate  = "gate"
	stepHold  = "hold"
	stepWait  = "wait"
	stepEnd   = "end"
	stepAsk   = "asked"
	stepMeans = "options"
	stepDays  = "baseline"

	stepProbes = "probes"

	stepGuard  = "guard"
	stepReopen = "reopen"
)

// pollPeriod is the time between two looks of the engine.
const pollPeriod = 200 * time.Millisecond

// Outcome is how a run ended.
type Outcome struct {
	Phase       Phase    `json:"phase"`
	Reason      string   `json:"reason,omitempty"`      // why it turned, halted or holds
	Why         []string `json:"why,omitempty"`         // the gate's words
	Untouched   bool     `json:"untouched,omitempty"`   // the binary was never replaced
	Held        bool     `json:"held,omitempty"`        // a gate's deadline passed without enough evidence
	Blind       bool     `json:"blind,omitempty"`       // it holds because no error log can be followed: time does not help
	Interrupted bool     `json:"interrupted,omitempty"` // at a safe point
	Remedy      string   `json:"remedy,omitempty"`      // the options that are left, where it halts
	Return      bool     `json:"return,omitempty"`      // finished already: the way back is a migration of its own
	Back        *WayBack `json:"back,omitempty"`        // what was seen of a rollback
	// Unit is what systemd made of it, if it supervises the instance.
	Unit *UnitSeen `json:"unit,omitempty"`
}

// Engine carries one migration on, from wherever the host is. Its own goroutine owns all of it.
type Engine struct {
	rec      Record
	artifact func() (artifact.Artifact, error)
	fs       procfs.FS
	packages pkgmanager.Host
	journal  *journal.Journal
	opts     Options
	log      *slog.Logger
	emit     func(journal.Event)
	orders   <-chan Order

	obs     *observer
	intent  Intent
	reason  string // why it turned
	gate    *openGate
	closing sync.WaitGroup // gates that end
	forced  bool           // the operator passes the gate by hand
	targets []gate.Target
	probes  []gate.Target // what is probed beside them
	logs    gate.Logs
	gates   gateStates
	// Times of the policy.
	blackouts, finishing analysis.Calendar
	first                Order // to obey before those that come later
	failed               map[Action]int
	settled              time.Time // when settling began
	guards               guards
	phase                Phase
	seen                 Seen // last

	mu     sync.Mutex // guards shown alone: other commands ask for it meanwhile
	shown  Status
	events []journal.Event
}

// Deps are what an engine works with.
type Deps struct {
	FS       procfs.FS
	Artifact func() (artifact.Artifact, error) // asked for when it is placed: the way back needs none
	Log      *slog.Logger
	Emit     func(journal.Event) // every journal line, after it is durable
	Orders   <-chan Order        // may be nil
}

// NewEngine opens the migration's journal and goes on from what it and the host tell.
func NewEngine(rec Record, opts Options, d Deps) (*Engine, error) {
	j, events, err := journal.Open(filepath.Join(rec.Dir, journalFile), rec.ID)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		rec: rec, artifact: d.Artifact, fs: d.FS, packages: pkgmanager.Host{Root: "/"}, journal: j, opts: opts, log: d.Log, emit: d.Emit, orders: d.Orders,
		obs: newObserver(d.FS, rec.Plan, rec.Dir), guards: newGuards(d.FS, rec, events), intent: memory(events), failed: make(map[Action]int), events: events,
	}
	for _, event := range events {
		if event.Step == stepTurn {
			e.reason = reasonOf(event)
		}
	}
	if e.intent.Goal == "" {
		e.intent.Goal = opts.Until
	}
	if e.blackouts, err = opts.Policy.Blackouts(); err == nil {
		e.finishing, err = opts.Policy.FinishTimes()
	}
	if err == nil {
		e.gates, err = readGates(filepath.Join(rec.Dir, gatesFile))
	}
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	seen, err := e.obs.look()
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	e.share(seen)
	return e, nil
}

// Obey makes the engine take an order as soon as it has looked.
func (e *Engine) Obey(o Order) { e.first = o }

// RollBack makes the engine turn around as soon as it has looked.
func (e *Engine) RollBack() { e.Obey(Order{Do: OrderRollback}) }

// PassByHand lets the current gate pass, whatever it misses, unless it fails.
func (e *Engine) PassByHand() { e.forced = true }

// Close ends the journal.
func (e *Engine) Close() error { return e.journal.Close() }

// Run goes on until the goal is reached, a person is needed, or ctx is done, which it notices at safe
// points only: between actions, never inside one.
func (e *Engine) Run(ctx context.Context) (Outcome, error) {
	defer e.closing.Wait()
	defer e.closeGate()
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer e.guards.watcher.Close()
	defer stopWatching()
	told := false
	for {
		seen, err := e.look(ctx)
		if err != nil {
			return Outcome{Phase: Halted}, err
		}
		e.seen = seen
		e.share(seen)
		if phase, _ := seen.Phase(); phase != e.phase {
			e.phase = phase
			e.closeGate()
			if err := e.note("", stepBegin, journal.Observed, seen); err != nil {
				return Outcome{}, err
			}
		}
		if !told {
			told = true
			if err := e.note("", stepMeans, journal.Observed, e.opts); err != nil {
				return Outcome{}, err
			}
		}
		if ctx.Err() != nil {
			return Outcome{Phase: e.phase, Interrupted: true}, nil
		}
		if err := e.obey(); err != nil {
			return Outcome{}, err
		}
		if outcome, err := e.guard(watching, seen); err != nil || outcome != nil {
			return deref(outcome, e.phase), err
		}
		verdict, outcome, err := e.judge()
		if err != nil || outcome != nil {
			return deref(outcome, e.phase), err
		}
		action, why := Next(seen, e.intent, verdict)
		outcome, err = e.carryOut(ctx, action, why, seen)
		if err != nil || outcome != nil {
			return deref(outcome, e.phase), err
		}
	}
}

// look looks at the host. Processes come and go while it reads: it fails only if it goes on failing.
func (e *Engine) look(ctx context.Context) (seen Seen, err error) {
	for range 5 {
		if seen, err = e.obs.look(); err == nil {
			return seen, nil
		}
		e.pause(context.WithoutCancel(ctx))
	}
	return seen, err
}

func deref(o *Outcome, phase Phase) Outcome {
	if o == nil {
		return Outcome{Phase: phase}
	}
	return *o
}

// carryOut does one action. An outcome ends the run.
func (e *Engine) carryOut(ctx context.Context, action Action, why string, seen Seen) (*Outcome, error) {
	if action != Settle {
		e.settled = time.Time{}
	}
	switch action {
	case Stop:
		return e.stop(context.WithoutCancel(ctx), seen)
	case Halt:
		return e.halt(context.WithoutCancel(ctx), why)
	case Turn:
		return nil, e.turn(why)
	case Return:
		o := &Outcome{Phase: Finished, Reason: e.reason, Return: true}
		return o, e.note(Finished, stepEnd, journal.Observed, o)
	case Watch:
		return nil, e.watch(ctx, seen)
	case Drain:
		e.pause(ctx)
		return nil, nil
	case Settle:
		return e.settle(ctx, why, seen)
	}
	if action == Stage {
		if outcome, err := e.mustAnswer(ctx, seen); err != nil || outcome != nil || e.intent.Goal == RolledBack {
			return outcome, err
		}
		if outcome, err := e.learn(ctx, seen); err != nil || outcome != nil || e.intent.Goal == RolledBack {
			return outcome, err
		}
	}
	return e.act(ctx, action, seen)
}

// act announces the action, does it, and records what came of it.
func (e *Engine) act(ctx context.Context, action Action, seen Seen) (*Outcome, error) {
	if err := e.note("", string(action), journal.Intent, nil); err != nil {
		return nil, err
	}
	switch action {
	case Swap:
		e.intent.Swapped = true
	case Finish:
		e.intent.Finishing = true
	case Park:
		e.intent.Winched, e.intent.Revived = true, false
	case Revive:
		e.intent.Revived = true
	}
	// What has begun is finished: a signal to graft waits for the next safe point.
	data, err := e.do(context.WithoutCancel(ctx), action, seen)
	if err == nil {
		if action == Start || action == Verify {
			e.intent.Verified = true
		}
		return nil, e.note("", string(action), journal.Done, data)
	}
	if noteErr := e.note("", string(action), journal.Failed, problem{err.Error()}); noteErr != nil {
		return nil, errors.Join(err, noteErr)
	}
	e.failed[action]++
	if action == Unguard && e.rec.Plan.Returns == "" {
		e.intent.Relaxed = true
		return nil, nil
	}
	// A return that has finished and waits for dpkg has nothing to turn back to.
	if e.intent.Goal != RolledBack && action != Unguard {
		return nil, e.turn(fmt.Sprintf("%s: %v", action, err))
	}
	if e.failed[action] < 3 {
		e.pause(ctx)
		return nil, nil
	}
	return e.halt(context.WithoutCancel(ctx), fmt.Sprintf("%s: %v", action, err))
}

// settle waits for what a killed graft may have sent. If nothing comes of it, it was not sent.
func (e *Engine) settle(ctx context.Context, why string, seen Seen) (*Outcome, error) {
	patience := 5 * time.Second
	starting := e.phase == Swapped && (seen.Forking || seen.OldBin)
	if starting {
		patience = max(patience, e.opts.Patience) // a new master's init_by_lua may take its time
	}
	if e.settled.IsZero() {
		e.settled = time.Now()
	}
	e.pause(ctx)
	if time.Since(e.settled) < patience {
		return nil, nil
	}
	if (e.intent.Winched || e.intent.Revived) && !starting {
		e.intent.Winched, e.intent.Revived, e.settled = false, false, time.Time{}
		return nil, nil
	}
	return e.halt(context.WithoutCancel(ctx), why+", for "+patience.String())
}

func (e *Engine) stop(ctx context.Context, seen Seen) (*Outcome, error) {
	if e.intent.Goal != RolledBack && e.phase != Finished {
		return &Outcome{Phase: e.phase}, nil
	}
	left, _ := seen.left()
	unit, err := e.handOver(ctx, left)
	if err != nil {
		return nil, err
	}
	if e.intent.Goal != RolledBack {
		o := &Outcome{Phase: e.phase, Unit: unit}
		if !e.intent.Finishing {
			o.Held, o.Reason = true, "the old master ended although graft did not ask it to: no gate has passed the new binary, which serves alone now"
		}
		return o, e.note(Finished, stepEnd, journal.Observed, o)
	}
	o := &Outcome{Phase: RolledBack, Reason: e.reason, Untouched: !e.intent.Swapped, Unit: unit}
	if e.intent.Swapped {
		o.Back = e.wayBack(ctx, left)
	}
	return o, e.note(RolledBack, stepEnd, journal.Observed, o)
}

func (e *Engine) halt(ctx context.Context, reason string) (*Outcome, error) {
	o := &Outcome{Phase: Halted, Reason: reason + e.stopped(ctx)}
	return o, e.note(Halted, stepEnd, journal.Observed, o)
}

func (e *Engine) turn(reason string) error {
	e.intent.Goal, e.reason = RolledBack, reason
	return e.note("", stepTurn, journal.Observed, problem{reason})
}

// pause lets a moment pass; an interrupt ends it.
func (e *Engine) pause(ctx context.Context) {
	timer := time.NewTimer(pollPeriod)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// note writes a line and shows it. phase "" is the one that was seen last.
func (e *Engine) note(phase Phase, step string, kind journal.Kind, data any) error {
	if phase == "" {
		phase = e.phase
	}
	event, err := e.journal.Append(string(phase), step, kind, data)
	if err != nil && e.intent.Goal == RolledBack {
		// A disk that is full must not keep a bad binary serving: the host shows what was done.
		e.log.Error("going back without the journal", "step", step, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	e.events = append(e.events, event)
	e.emit(event)
	return nil
}

// share makes what was seen the status that other commands are told.
func (e *Engine) share(seen Seen) {
	s := status(Record{ID: e.rec.ID, Dir: e.rec.Dir, Plan: e.rec.Plan, Events: e.events}, seen)
	s.Running, s.Goal = true, e.intent.Goal
	if seen.guarded() {
		s.Guards = e.guards.ledger.Open()
	}
	if e.gate != nil {
		s.Gate = e.gate.told(e.gates)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shown = s
}

// Status is what was seen last. Any goroutine may ask.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shown
}

type problem struct {
	Reason string `json:"reason"`
}

func reasonOf(event journal.Event) string {
	var p problem
	if json.Unmarshal(event.Data, &p) != nil {
		return ""
	}
	return p.Reason
}
