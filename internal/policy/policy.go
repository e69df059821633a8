// Package policy is what an operator asks of the gates, as a file says it: how long they watch, what counts
// against the new binary and how much of it, what follows from that, and when nothing may follow.
package policy

import (
	"slices"
	"time"

	"graft/internal/analysis"
	"graft/internal/gate"
)

// End is what follows where a gate's time is over and it has not passed.
type End string

// The ends.
const (
	Hold    End = "hold"     // stay, and leave it to a person
	Proceed End = "proceed"  // go on as if it had passed
	GiveUp  End = "rollback" // go back
)

// Stricter is the more careful of two ends: going back, then staying, then going on.
func Stricter(a, b End) End {
	for _, end := range []End{GiveUp, Hold} {
		if a == end || b == end {
			return end
		}
	}
	return Proceed
}

// Policy is the whole of it. Defaults has the values of keys that a file leaves out.
type Policy struct {
	Gates        Gates                      `yaml:"gates" json:"gates"`
	Baseline     Duration                   `yaml:"baseline" json:"baseline"` // how much of the logs of the time before is read; 0: nothing
	Alpha        float64                    `yaml:"alpha" json:"alpha"`       // false alarms of all signals together, as a probability
	Margin       float64                    `yaml:"margin" json:"margin"`     // the rise (a factor) that is no fault
	Minimum      Minimum                    `yaml:"minimum" json:"minimum"`
	Undetermined End                        `yaml:"undetermined" json:"undetermined"` // too little evidence
	Degraded     End                        `yaml:"degraded" json:"degraded"`         // an alarm that is only warned of
	Calm         Duration                   `yaml:"calm" json:"calm"`                 // how long such an alarm counts after it was last seen
	Signals      map[analysis.Signal]Signal `yaml:"signals,omitempty" json:"signals,omitempty"`
	Blackout     []Window                   `yaml:"blackout,omitempty" json:"blackout,omitempty"`
	FinishOnly   []Window                   `yaml:"finish_only,omitempty" json:"finish_only,omitempty"` // when the old master may be ended; none: at any time
	Probes       Probes                     `yaml:"probes" json:"probes"`
}

// Gates are the lengths of the two gates.
type Gates struct {
	Overlap Duration `yaml:"overlap" json:"overlap"` // while both serve
	Park    Duration `yaml:"park" json:"park"`       // while the new binary serves alone
}

// Minimum is what each gate must have seen.
type Minimum struct {
	Requests int64 `yaml:"requests" json:"requests"` // of clients, in the access logs
}

// Signal is what is said of one signal. The zero value of each says nothing of its own.
type Signal struct {
	Action   analysis.Action `yaml:"action,omitempty" json:"action,omitempty"`
	Margin   float64         `yaml:"margin,omitempty" json:"margin,omitempty"`
	Required bool            `yaml:"required,omitempty" json:"required,omitempty"` // a test of it must have had enough to go on
}

// Probes are graft's own requests.
type Probes struct {
	Rate float64          `yaml:"rate" json:"rate"`                     // per second and listening address
	URLs []gate.ProbeSpec `yaml:"urls,omitempty" json:"urls,omitempty"` // besides what the configuration serves
}

// Defaults is the policy where nothing is said.
func Defaults() Policy {
	return Policy{
		Gates:    Gates{Overlap: Duration(5 * time.Minute), Park: Duration(24 * time.Hour)},
		Baseline: Duration(48 * time.Hour), Alpha: 0.01, Margin: 1.5, Minimum: Minimum{Requests: 100},
		Undetermined: Hold, Degraded: Hold, Calm: Duration(10 * time.Minute),
		Probes: Probes{Rate: 5},
	}
}

// Effective is the policy with every signal spelled out.
func (p Policy) Effective() Policy {
	signals := make(map[analysis.Signal]Signal)
	for _, name := range analysis.Signals() {
		s := p.Signals[name]
		if s.Action == "" {
			s.Action = analysis.DefaultAction(name)
		}
		if s.Margin == 0 && name.Compared() {
			s.Margin = p.Margin
		}
		signals[name] = s
	}
	p.Signals = signals
	return p
}

// Gate is what a gate of the length asks for, and does about what it finds.
func (p Policy) Gate(length time.Duration) analysis.Policy {
	g := analysis.Policy{
		MinDuration: length, MinRequests: p.Minimum.Requests, MinProbes: minProbes(length, p.Probes.Rate),
		Actions: make(map[analysis.Signal]analysis.Action), Calm: time.Duration(p.Calm),
	}
	for name, s := range p.Signals {
		if s.Action != "" {
			g.Actions[name] = s.Action
		}
		if s.Required {
			g.Required = append(g.Required, name)
		}
	}
	slices.Sort(g.Required)
	return g
}

// minProbes asks for half of the probes that fit into the gate's time, and for one at least.
func minProbes(length time.Duration, rate float64) int64 {
	return max(1, min(100, int64(length.Seconds()*rate/2)))
}

// Margins are those of the signals that have one of their own.
func (p Policy) Margins() map[analysis.Signal]float64 {
	margins := make(map[analysis.Signal]float64)
	for name, s := range p.Signals {
		if s.Margin != 0 {
			margins[name] = s.Margin
		}
	}
	return margins
}
