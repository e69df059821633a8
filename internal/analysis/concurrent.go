package analysis

import (
	"math"
	"time"
)

// ConcurrentOptions say what a concurrent test is about.
type ConcurrentOptions struct {
	Signal Signal `json:"signal"`
	Scope  string `json:"scope,omitempty"`
	// Alpha is the probability of a false alarm, 0 to 1, however long and however often one looks. 0: 1 %.
	Alpha float64 `json:"alpha"`
	// Margin is the ratio of the new workers' share to the old ones' that is no fault: 0 means 1. (Less than about
	// 1.4 times it is never found: the smallest bet is on twice.)
	Margin float64 `json:"margin"`
	// Enough is the rise (a factor) that must have become visible before it says Quiet: 0 means 10.
	Enough float64 `json:"enough"`
	// Baseline, if known, tells how far errors come in clumps: one client's, on one connection, thus at one
	// worker. Without it the test starts from the suspicion that they come in pairs, and takes longer.
	Baseline *Baseline `json:"-"`
}

// ConcurrentTest compares new workers with old ones that serve at the same time (test C): of k bad ones the new
// workers' part is binomial by the exposures, whatever noise both have in common. It bets against "no more than
// Margin", with a wealth whose mean is 1 at most if nothing is worse. It is used by one goroutine at a time; its JSON
// restores it.
type ConcurrentTest struct {
	options ConcurrentOptions
	wealth  [len(bets)]float64
	entered float64 // capital at play
	clumps  clumps
	old     Count
	now     Count
	// served are the requests that people are told of: the old workers' and the new ones'. The test may have been given
	// exposures instead.
	served [2]Count
	// The block that may still grow, and its number.
	openOld, openNew Count
	block            int64
	state            standing
	begun            time.Time
}

// bets are the rises that C bets on, and the part of the capital on each.
var bets = [...]struct{ ratio, part float64 }{{2, 0.1}, {3.5, 0.55}, {8, 0.25}, {25, 0.1}}

const (
	atStart = 0.95 // of the capital is on a fault from the first stretch on; the rest comes in over the next hours
	entry   = (1 - atStart) / 2160
	// spare is the part of alpha that is kept for what the model of clumps does not tell.
	spare = 0.2
)

// NewConcurrent starts a test.
func NewConcurrent(o ConcurrentOptions) *ConcurrentTest {
	if o.Alpha <= 0 {
		o.Alpha = 0.01
	}
	if o.Margin <= 0 {
		o.Margin = 1
	}
	if o.Enough <= 0 {
		o.Enough = 10
	}
	return &ConcurrentTest{options: o, clumps: newClumps(o.Baseline)}
}

// Add counts what both served in the same stretch of time: a block, or a part of it, in order of time. Of a block that
// only one side served nothing is compared.
func (c *ConcurrentTest) Add(at time.Time, old, now Count) {
	c.AddExposed(at, old, now, [2]Count{old, now})
}

// AddExposed is Add of exposures that stand for what both served; people are told of served.
func (c *ConcurrentTest) AddExposed(at time.Time, old, now Count, served [2]Count) {
	if c.begun.IsZero() {
		c.begun = at
	}
	if block := blockOf(at); block != c.block {
		c.wealth, c.entered = c.played()
		if c.openOld.Total > 0 && c.openNew.Total > 0 {
			part := expectedPart(c.rise(), c.openOld.Total, c.openNew.Total)
			c.clumps.see(float64(c.openOld.Bad), float64(c.openNew.Bad), part)
		}
		c.openOld, c.openNew, c.block = Count{}, Count{}, block
	}
	c.old, c.now = c.old.plus(old), c.now.plus(now)
	c.served[0], c.served[1] = c.served[0].plus(served[0]), c.served[1].plus(served[1])
	c.openOld, c.openNew = c.openOld.plus(old), c.openNew.plus(now)
	c.state.move(c.value(), c.needed(), at)
}

// played is the wealth, and what has come into play of the capital, after the open block.
func (c *ConcurrentTest) played() (wealth [len(bets)]float64, entered float64) {
	old, now := c.openOld, c.openNew
	if old.Total <= 0 || now.Total <= 0 {
		return c.wealth, c.entered
	}
	bring := math.Min(entry, 1-c.entered)
	if c.entered == 0 {
		bring = atStart
	}
	q := expectedPart(c.options.Margin, old.Total, now.Total)
	weight := c.clumps.weight(float64(old.Bad + now.Bad))
	for i, b := range bets {
		p := expectedPart(c.options.Margin*b.ratio, old.Total, now.Total)
		gain := float64(now.Bad)*math.Log(p/q) + float64(old.Bad)*math.Log((1-p)/(1-q))
		wealth[i] = math.Min((c.wealth[i]+bring*b.part)*math.Exp(gain*weight), capacity)
	}
	return wealth, c.entered + bring
}

// needed is the evidence for an alarm.
func (c *ConcurrentTest) needed() float64 { return 1 / ((1 - spare) * c.options.Alpha) }

// expectedPart is the part of the bad ones that falls to the new workers if their share is ratio times the old ones'.
func expectedPart(ratio float64, old, now int64) float64 {
	return ratio * float64(now) / (ratio*float64(now) + float64(old))
}

// rise is how much larger the new workers' share has been so far, drawn a little towards 1.
func (c *ConcurrentTest) rise() float64 {
	share := func(c Count) float64 { return (float64(c.Bad) + some) / float64(max(c.Total, 1)) }
	return share(c.now) / share(c.old)
}

// value is the e-value, the capital not yet at play included.
func (c *ConcurrentTest) value() float64 {
	wealth, entered := c.played()
	sum := 1 - entered
	for _, w := range wealth {
		sum += w
	}
	return sum
}

func (c *ConcurrentTest) enough(visible float64) bool {
	share := (float64(c.old.Bad) + some) / float64(max(c.old.Total, 1))
	return visible <= c.options.Enough || visible*share <= smallShare
}

// visible is the smallest rise that would have been found by now, had it been there from the start.
func (c *ConcurrentTest) visible() float64 {
	if c.old.Total == 0 || c.now.Total == 0 {
		return math.Inf(1)
	}
	share := (float64(c.old.Bad) + some) / float64(c.old.Total)
	weight := c.clumps.weight(1)
	q := expectedPart(c.options.Margin, c.old.Total, c.now.Total)
	return smallestRise(func(rise float64) bool {
		now, old := share*float64(c.now.Total)*rise, share*float64(c.old.Total)
		for _, b := range bets {
			p := expectedPart(c.options.Margin*b.ratio, c.old.Total, c.now.Total)
			gain := weight * (now*math.Log(p/q) + old*math.Log((1-p)/(1-q)))
			if gain >= math.Log(c.needed()/(b.part*atStart)) {
				return true
			}
		}
		return false
	})
}

// Compared are the counts, or exposures, that it rests on: the old workers' and the new ones'.
func (c *ConcurrentTest) Compared() (old, now Count) { return c.old, c.now }

// Alarmed tells cheaply whether its finding is an alarm.
func (c *ConcurrentTest) Alarmed() bool { return c.state.State == Alarm }
