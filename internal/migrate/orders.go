package migrate

import (
	"errors"
	"fmt"
	"time"

	"graft/internal/journal"
)

// What another graft may ask of the one that runs.
const (
	OrderRollback = "rollback"
	OrderFinish   = "finish"
	OrderPause    = "pause"    // the gate's clock stands, and it does not pass
	OrderContinue = "continue" // it goes on
	OrderExtend   = "extend"   // the gate watches for longer
	OrderPass     = "pass"     // the gate passes by hand, whatever it misses, unless it fails
)

// Order is one of them, with who gave it and why: the journal keeps it.
type Order struct {
	Do     string        `json:"order"`
	By     string        `json:"by,omitempty"`
	Reason string        `json:"reason,omitempty"`
	Length time.Duration `json:"length_ns,omitempty"` // of extend
	// NoRollback, of pause: what would roll back only by comparison waits, too. Crashes and lost probes
	// do not.
	NoRollback bool `json:"no_rollback,omitempty"`

	done chan<- error // told what became of it; may be nil
}

func (o Order) String() string {
	text := "asked to " + o.Do
	if o.Length != 0 {
		text += " by " + o.Length.String()
	}
	if o.NoRollback {
		text += " without rollback by comparison"
	}
	if o.By != "" {
		text += ", by " + o.By
	}
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}

// Check tells what is wrong with an order.
func (o Order) Check() error {
	switch o.Do {
	case OrderRollback, OrderFinish:
		return nil
	case OrderPause, OrderContinue, OrderExtend, OrderPass:
	default:
		return fmt.Errorf("unknown order %q", o.Do)
	}
	if o.Reason == "" {
		return fmt.Errorf("%s: why? The journal keeps it: --reason TEXT", o.Do)
	}
	if o.Do == OrderExtend && o.Length <= 0 {
		return errors.New("extend: by how long? Want a duration as 30m or 2d")
	}
	return nil
}

// ends tells whether the run ends by it, so that whoever ordered it waits for that.
func (o Order) ends() bool { return o.Do == OrderRollback || o.Do == OrderFinish }

// obey takes the orders that came meanwhile.
func (e *Engine) obey() error {
	order := e.first
	e.first = Order{}
	if order.Do == "" {
		select {
		case order = <-e.orders:
		default:
			return nil
		}
	}
	refused := e.refuse(order)
	if refused == nil {
		if err := e.note("", stepAsk, journal.Observed, order); err != nil {
			return err
		}
		if err := e.carryOrder(order); err != nil {
			return err
		}
		e.share(e.seen) // whoever asked is shown what came of it
	}
	if order.done != nil {
		order.done <- refused // it has room for one
	}
	return nil
}

// carryOrder does what an order says.
func (e *Engine) carryOrder(order Order) error {
	switch order.Do {
	case OrderRollback:
		if e.intent.Goal != RolledBack {
			return e.turn("the operator asked for it")
		}
		return nil
	case OrderFinish:
		if e.intent.Goal != RolledBack {
			e.intent.Goal, e.forced = Finished, true
		}
		return nil
	case OrderPass:
		e.forced = true
		return nil
	case OrderPause:
		e.gates.Paused = &Pause{Since: time.Now().UTC(), By: order.By, Reason: order.Reason, NoRollback: order.NoRollback}
	case OrderContinue:
		e.gates.Paused = nil
	case OrderExtend:
		e.gates.of(e.phase).Extended += order.Length
	}
	if e.gate != nil {
		e.gate.rest = e.restAt(time.Now())
	}
	return e.gates.save()
}

// refuse says why an order means nothing here; nil: it does.
func (e *Engine) refuse(o Order) error {
	if o.ends() {
		return nil
	}
	switch {
	case e.intent.Goal == RolledBack:
		return errors.New("the migration is on its way back: no gate decides any more")
	case e.gated() == "":
		return fmt.Errorf("no gate is open: the migration is %s", e.phase)
	case o.Do == OrderContinue && e.gates.Paused == nil:
		return errors.New("the gate is not paused")
	}
	return nil
}

// gated is the phase if a gate stands between it and the goal; empty otherwise.
func (e *Engine) gated() Phase {
	if e.phase == Overlap && e.intent.Goal != Overlap || e.phase == Parked && e.intent.Goal == Finished {
		return e.phase
	}
	return ""
}
