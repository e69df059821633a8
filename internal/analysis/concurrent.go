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
	both    Count // of stretches in which both served
	state   standing
	begun   time.Time
}

// bets are the rises that C bets on, and the part of the capital on each.
var bets = [...]struct{ ratio, part float64 }{{2, 0.25}, {5, 0.5}, {20, 0.25}}

const (
	atStart = 0.75 // of the capital is on a fault from the first stretch on; the rest comes in over the next hours
	entry   = (1 - atStart) / 2160
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

// Add counts what both served in the same stretch of time: a block, or less of it. In a stretch that only one side
// served nothing is compared.
func (c *ConcurrentTest) Add(at time.Time, old, now Count) {
	if c.begun.IsZero() {
		c.begun = at
	}
	c.old, c.now = c.old.plus(old), c.now.plus(now)
	if old.Total <= 0 || now.Total <= 0 {
		return
	}
	c.both = c.both.plus(old).plus(now)
	bring := entry
	if c.entered == 0 {
		bring = atStart
	}
	bring = math.Min(bring, 1-c.entered)
	c.entered += bring
	q := expectedPart(c.options.Margin, old.Total, now.Total)
	k := float64(old.Bad + now.Bad)
	weight := c.clumps.weight(k)
	for i, b := range bets {
		c.wealth[i] += bring * b.part
		if k == 0 {
			continue
		}
		p := expectedPart(c.options.Margin*b.ratio, old.Total, now.Total)
		gain := float64(now.Bad)*math.Log(p/q) + float64(old.Bad)*math.Log((1-p)/(1-q))
		c.wealth[i] = math.Min(c.wealth[i]*math.Exp(gain*weight), capacity)
	}
	c.clumps.see(float64(old.Bad), float64(now.Bad), expectedPart(c.rise(), old.Total, now.Total))
	c.state.move(c.value(), 1/c.options.Alpha, at)
}

// expectedPart is the part of the bad ones that falls to the new workers if their share is ratio times the old ones'.
func expectedPart(ratio float64, old, now int64) float64 {
	return ratio * float64(now) / (ratio*float64(now) + float64(old))
}

// rise is how much larger the new workers' share has been so far, drawn a little towards 1.
func (c *ConcurrentTest) rise() float64 {
	share := func(c Count) float64 { return (float64(c.Bad) + some) / float64(max(c.Total, 1)) }
	return share(c.now) / share(c.old)
}

func (c *ConcurrentTest) value() float64 {
	sum := 1 - c.entered
	for _, w := range c.wealth {
		sum += w
	}
	return sum
}

// visible is the smallest rise that would have been found by now, had it been there from the start.
func (c *ConcurrentTest) visible() float64 {
	if c.old.Total == 0 || c.now.Total == 0 || c.both.Total == 0 {
		return math.Inf(1)
	}
	served := float64(c.both.Total) / float64(c.old.Total+c.now.Total)
	share := (float64(c.old.Bad) + some) / float64(c.old.Total)
	weight := c.clumps.weight(1)
	q := expectedPart(c.options.Margin, c.old.Total, c.now.Total)
	return smallestRise(func(rise float64) bool {
		now, old := share*float64(c.now.Total)*served*rise, share*float64(c.old.Total)*served
		for _, b := range bets {
			p := expectedPart(c.options.Margin*b.ratio, c.old.Total, c.now.Total)
			gain := weight * (now*math.Log(p/q) + old*math.Log((1-p)/(1-q)))
			if gain >= math.Log(1/(c.options.Alpha*b.part*atStart)) {
				return true
			}
		}
		return false
	})
}

// Alarmed tells cheaply whether its finding is an alarm.
func (c *ConcurrentTest) Alarmed() bool { return c.state.State == Alarm }
