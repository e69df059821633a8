package analysis

import "time"

// Action is what a policy does about an alarm of a signal.
type Action string

// The actions.
const (
	Rollback Action = "rollback" // the gate fails
	Warn     Action = "warn"     // the gate is degraded
	Ignore   Action = "ignore"   // it is listed, and has no effect
)

// Policy is what a gate asks for, and what it does about what it finds.
type Policy struct {
	MinDuration time.Duration `json:"min_duration"` // how long it must have watched
	MinRequests int64         `json:"min_requests"` // answered requests in the access log, graft's own left out
	MinProbes   int64         `json:"min_probes"`   // answered probes

	// Actions by signal; a signal that is not named has its DefaultAction.
	Actions map[Signal]Action `json:"actions,omitempty"`
	// Required are signals of which a test must have had enough to go on.
	Required []Signal `json:"required,omitempty"`
	// Calm is how long an alarm that is only warned of goes on counting after it was last seen.
	Calm time.Duration `json:"calm,omitempty"`
}

// Signals are all of them, in the order in which people read them.
func Signals() []Signal {
	return []Signal{
		WorkerExits, Restarts, Probes, Errors5xx, UpstreamErrors, SlowP95, SlowP99, UpstreamSlow, ErrorLines, Lua, Certificate,
		NewClass, Memory, Volume, Errors4xx, ClientClosed, AcceptQueue, Connections,
	}
}

// DefaultAction is what an alarm of the signal does where the policy does not say.
//
// What only warns is what clients cause as easily as the binary (4xx, 499, volume), what the whole host
// shares (the accept queue), and what says little on its own (a class of lines that is new, connections).
func DefaultAction(s Signal) Action {
	switch s {
	case Errors4xx, ClientClosed, Volume, AcceptQueue, Connections, NewClass:
		return Warn
	}
	return Rollback
}

// Action is what an alarm of the signal does.
func (p Policy) Action(s Signal) Action {
	if a, ok := p.Actions[s]; ok {
		return a
	}
	return DefaultAction(s)
}

// asksForNothing: any evidence would be enough for it.
func (p Policy) asksForNothing() bool {
	return p.MinDuration == 0 && p.MinRequests == 0 && p.MinProbes == 0 && len(p.Required) == 0
}

// Hard tells whether an alarm of the signal is beyond doubt and cannot wait: processes that crash, answers
// that are lost. Such an alarm acts inside a blackout, too.
func (s Signal) Hard() bool { return s == WorkerExits || s == Restarts || s == Probes }

// Compared tells whether the signal is K bad of N, held against the time before or the old workers with
// a margin. The others are counted events.
func (s Signal) Compared() bool {
	switch s {
	case Errors5xx, Errors4xx, ClientClosed, UpstreamErrors, SlowP95, SlowP99, UpstreamSlow, ErrorLines:
		return true
	}
	return false
}
