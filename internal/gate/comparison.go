package gate

import (
	"encoding/json"
	"fmt"
	"time"

	"graft/internal/analysis"
)

// Half of the false alarms that are allowed goes to the traffic as a whole, the rest in equal parts to its
// parts. Of each, half goes to the comparison with the time before and half to that of the generations.
const (
	wholeShare = 0.5
	// Both generations have served so many requests before they are compared, or the time is up: in a
	// moment in which only one has any, nothing can be compared.
	fairRequests = 20
	fairSeconds  = 10
)

// comparison is one scope under all tests.
type comparison struct {
	// before are the tests against the time before; nil where nothing is known of it.
	before [signalCount]*analysis.Monitor
	// together are the tests of the new generation against the old one; nil until both serve.
	together [signalCount]*analysis.ConcurrentTest

	scope  string
	alpha  map[analysis.Signal]float64
	margin func(analysis.Signal) float64
	// window is what both generations have served since they were compared last.
	window struct {
		From     int64
		Old, New cell
	}
}

// inPart are the signals that a part of the traffic is compared by. 4xx and 499 are the whole's: a place
// where clients err more than yesterday is no fault of a binary.
func inPart(signal int) bool { return signal != at4xx && signal != atClosed && signal != atSlow99 }

func newComparison(s scope, whole bool, alpha float64, margin func(analysis.Signal) float64) *comparison {
	var signals []analysis.Signal
	for i, signal := range compared {
		if whole || inPart(i) {
			signals = append(signals, signal)
		}
	}
	return &comparison{scope: s.Name, alpha: analysis.SplitAlpha(alpha, signals), margin: margin}
}

// learn makes the tests against the time before.
func (c *comparison) learn(past *series, length time.Duration) {
	for i, signal := range compared {
		alpha, ok := c.alpha[signal]
		if !ok {
			continue
		}
		b, any := past.baseline(i)
		if !any {
			continue
		}
		c.before[i] = analysis.NewMonitor(b, analysis.MonitorOptions{
			Signal: signal, Scope: c.scope, Alpha: alpha / 2, Margin: c.margin(signal), Watch: length,
		})
	}
}

// addBefore lets the time before be compared with what the new generation did.
func (c *comparison) addBefore(at time.Time, now *cell) {
	for i, m := range c.before {
		if n := now.count(i); m != nil && n.Total > 0 {
			m.Add(at, n)
		}
	}
}

// addTogether lets the generations be compared.
func (c *comparison) addTogether(second int64, old, young *cell) {
	w := &c.window
	if w.Old.Requests == 0 && w.New.Requests == 0 {
		w.From = second
	}
	w.Old.merge(old)
	w.New.merge(young)
	if fair := w.Old.Requests >= fairRequests && w.New.Requests >= fairRequests; !fair && second-w.From+1 < fairSeconds {
		return
	}
	c.compare(second)
}

// compare closes the window. Its end depends on how many requests there were, never on how they went.
func (c *comparison) compare(second int64) {
	w := &c.window
	for i, signal := range compared {
		alpha, ok := c.alpha[signal]
		old, young := w.Old.count(i), w.New.count(i)
		if !ok || old.Total == 0 || young.Total == 0 {
			continue
		}
		if c.together[i] == nil {
			c.together[i] = analysis.NewConcurrent(analysis.ConcurrentOptions{Signal: signal, Scope: c.scope, Alpha: alpha / 2})
		}
		c.together[i].Add(time.Unix(second, 0), old, young)
	}
	w.Old, w.New = cell{}, cell{}
}

// findings are those of all tests.
func (c *comparison) findings() []analysis.Finding {
	var list []analysis.Finding
	for _, t := range c.together {
		if t != nil {
			list = append(list, t.Finding())
		}
	}
	for _, m := range c.before {
		if m != nil {
			list = append(list, m.Findings()...)
		}
	}
	return list
}

// savedComparison is a comparison as it lies in a file.
type savedComparison struct {
	Scope    string                                       `json:"scope"`
	Before   map[analysis.Signal]*analysis.Monitor        `json:"before,omitempty"`
	Together map[analysis.Signal]*analysis.ConcurrentTest `json:"together,omitempty"`
	From     int64                                        `json:"from,omitempty"`
	Old      cell                                         `json:"old,omitzero"`
	New      cell                                         `json:"new,omitzero"`
}

// MarshalJSON writes what the tests know.
func (c *comparison) MarshalJSON() ([]byte, error) {
	s := savedComparison{
		Scope: c.scope, From: c.window.From, Old: c.window.Old, New: c.window.New,
		Before: make(map[analysis.Signal]*analysis.Monitor), Together: make(map[analysis.Signal]*analysis.ConcurrentTest),
	}
	for i, signal := range compared {
		if m := c.before[i]; m != nil {
			s.Before[signal] = m
		}
		if t := c.together[i]; t != nil {
			s.Together[signal] = t
		}
	}
	return json.Marshal(s)
}

// UnmarshalJSON restores the tests, whatever α they were made with.
func (c *comparison) UnmarshalJSON(text []byte) error {
	var s savedComparison
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("restore comparison: %w", err)
	}
	c.scope, c.window.From, c.window.Old, c.window.New = s.Scope, s.From, s.Old, s.New
	for i, signal := range compared {
		c.before[i], c.together[i] = s.Before[signal], s.Together[signal]
	}
	return nil
}
