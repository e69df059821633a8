package analysis

import (
	"math"
	"time"
)

// ConcurrentOptions say what a concurrent test is about.
type ConcurrentOptions struct {
	Signal Signal `json:"signal"`
	Scope  string `json:"scope,omitempty"`
	// Alpha is the probability of a false alarm, however long one looks. 0: 1 %.
	Alpha float64 `json:"alpha"`
	// Margin is the ratio of the new workers' share to the old ones' that is no fault: 0 means 1.
	Margin float64 `json:"margin"`
	// Baseline, if known, tells how far errors come in clumps (one client's, on one connection, thus to one
	// worker). Without it the test takes them to, until it has seen for itself.
	Baseline *Baseline `json:"-"`
}

// ConcurrentTest compares new workers with old ones that serve at the same time: noise common to both cancels. It is used
// by one goroutine at a time, and its JSON restores it.
type ConcurrentTest struct {
	options ConcurrentOptions
	wealth  [len(concurrentRatios)]float64
	begun   bool
	old     Count
	now     Count
	state   standing
	alike   float64 // how far two bad ones of a block go to the same side together, 0 to 1
}

var concurrentRatios = [...]float64{2, 5, 20}

// NewConcurrent starts a test.
func NewConcurrent(o ConcurrentOptions) *ConcurrentTest {
	if o.Alpha <= 0 {
		o.Alpha = 0.01
	}
	if o.Margin <= 0 {
		o.Margin = 1
	}
	return &ConcurrentTest{options: o}
}

// Add counts what both served in the same stretch of time: a block or less, at must not go back by more than the
// stretches' own length.
func (c *ConcurrentTest) Add(at time.Time, old, now Count) {
	c.old, c.now = c.old.plus(old), c.now.plus(now)
	if old.Total <= 0 || now.Total <= 0 || old.Bad+now.Bad <= 0 {
		return // one side alone is no comparison
	}
	q := c.options.Margin * float64(now.Total) / (c.options.Margin*float64(now.Total) + float64(old.Total))
	k := float64(old.Bad + now.Bad)
	weight := 1 / (1 + (k-1)*c.alike)
	for i, ratio := range concurrentRatios {
		if !c.begun {
			c.wealth[i] = 1 / float64(len(concurrentRatios))
		}
		p := ratio * q / (1 - q + ratio*q)
		w := c.wealth[i] * math.Exp(weight*(float64(now.Bad)*math.Log(p/q)+float64(old.Bad)*math.Log((1-p)/(1-q))))
		c.wealth[i] = math.Min(w, capacity)
	}
	c.begun = true
	c.state.move(c.value(), 1/c.options.Alpha, at)
}

func (c *ConcurrentTest) value() float64 {
	if !c.begun {
		return 1
	}
	sum := 0.0
	for _, w := range c.wealth {
		sum += w
	}
	return sum
}

// Alarmed tells cheaply whether its finding is an alarm.
func (c *ConcurrentTest) Alarmed() bool { return c.state.State == Alarm }

// enough: had the new workers been ten times as bad, it would have been seen.
func (c *ConcurrentTest) enough() bool {
	const fewest = 10
	return c.old.Bad+c.now.Bad >= fewest
}
