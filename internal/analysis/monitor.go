package analysis

import (
	"math"
	"time"
)

// MonitorOptions say what a monitor is about and what it may cost.
type MonitorOptions struct {
	Signal Signal `json:"signal"`
	Scope  string `json:"scope,omitempty"`
	// Alpha is the probability of a false alarm, 0 to 1, over the whole of Watch, of A and B together. 0: 1 %.
	Alpha float64 `json:"alpha"`
	// Margin is the rise (a factor) that is no fault: 0 means 1.5.
	Margin float64 `json:"margin"`
	// Watch is how long it is meant to look: 0 means 48 h. It may go on longer, at its own risk.
	Watch time.Duration `json:"watch"`
	// Enough is the rise (a factor) that must have become visible before it says Quiet: 0 means 10.
	Enough float64 `json:"enough"`
}

func (o MonitorOptions) withDefaults() MonitorOptions {
	or := func(x *float64, usual float64) {
		if *x <= 0 {
			*x = usual
		}
	}
	or(&o.Alpha, 0.01)
	or(&o.Margin, 1.5)
	or(&o.Enough, 10)
	if o.Watch <= 0 {
		o.Watch = 48 * time.Hour
	}
	return o
}

// open is how many blocks at the end may still be counted into: lines come late by a block.
const open = 2

// Monitor compares one signal with the time before: engine A (Sequential) and guard B (Guard). It is used by one
// goroutine at a time. Its JSON restores it: a gate that is resumed goes on, it does not begin anew.
type Monitor struct {
	options MonitorOptions
	level   level
	engine  sequential
	guard   guard
	// The blocks that may still grow, by number modulo open, and the newest one's number. The engine has settled
	// all before.
	pending [open]Count
	newest  int64
	started int64
	seen    Count
	late    Count // came too late to be counted
	// What was settled: blocks, their requests, and the most they led to expect, for the words about power.
	blocks   float64
	requests float64
	expected float64
	entered  float64 // capital of A that came into play after the swap
	past     past
	wobble   wobble
	states   [2]standing
}

// NewMonitor learns from the baseline and starts. Any baseline will do: the less of it, the more has to happen before
// the monitor speaks, and its findings say so.
func NewMonitor(b Baseline, o MonitorOptions) *Monitor {
	m := &Monitor{options: o.withDefaults(), level: newLevel(b)}
	m.guard = newGuard(b, &m.level, m.options.Alpha*guardShare, m.watchBlocks())
	m.past = m.replay(b)
	m.wobble = newWobble(b, &m.level)
	return m
}

func (m *Monitor) watchBlocks() float64 { return m.options.Watch.Seconds() / float64(blockSeconds) }

// Add counts into the block of at: all of the block at once or in parts. Blocks without anything need not be told.
// What comes later than a block after the newest is not counted but for the words.
func (m *Monitor) Add(at time.Time, c Count) {
	block := blockOf(at)
	if m.started == 0 {
		m.newest, m.started = block, block
	}
	if block <= m.newest-open {
		m.late = m.late.plus(c)
		return
	}
	for i := int64(0); i < open && m.newest < block; i++ {
		m.settle(m.newest + 1 - open)
		m.newest++
	}
	m.newest = max(m.newest, block) // over a gap; nothing is pending any more
	m.seen = m.seen.plus(c)
	m.pending[block%open] = m.pending[block%open].plus(c)
	m.guard.add(block, float64(c.Bad), m.most(block, c))
	m.judge()
}

// settle lets A play a block that no line will come for any more.
func (m *Monitor) settle(block int64) {
	c := m.pending[block%open]
	m.pending[block%open] = Count{}
	if c.Total <= 0 && c.Bad <= 0 {
		return
	}
	mu := m.most(block, c)
	m.blocks++
	m.requests += float64(c.Total)
	m.expected += mu
	entry := math.Min((1-atSwap)/m.watchBlocks(), 1-atSwap-m.entered)
	m.entered += entry
	m.engine.bet(float64(c.Bad), mu, m.shape(), entry)
	m.wobble.add(float64(c.Bad), float64(c.Total)*m.level.at(block))
}

// most is the most that is no fault.
func (m *Monitor) most(block int64, c Count) float64 {
	return float64(c.Total) * m.level.at(block) * m.allowance()
}

// shape is the r of the negative binomial of one block: so that long sums vary as the baseline's did, or as they must
// since the noise has become rougher.
func (m *Monitor) shape() float64 {
	const smallest = 1e-3 // seconds: no log is perfectly Poisson
	return float64(blockSeconds) / math.Max(m.level.Spread*m.wobble.times(), smallest)
}

// ahead is the engine with the blocks that may still grow.
func (m *Monitor) ahead() sequential {
	now := m.engine
	for block := max(m.newest+1-open, 0); block <= m.newest; block++ { // 0: nothing was counted yet
		if c := m.pending[block%open]; c.Total > 0 || c.Bad > 0 {
			now.bet(float64(c.Bad), m.most(block, c), m.shape(), 0)
		}
	}
	return now
}

// evidence is A's: the e-value, and never more than the past's own runs allow.
func (m *Monitor) evidence() float64 {
	now := m.ahead()
	if !now.Begun {
		return 1
	}
	return math.Min(now.value(1-atSwap-m.entered), m.past.evidence(now.run(), m.needed()))
}

// judge moves both tests' states after something was counted.
func (m *Monitor) judge() {
	at := blockTime(m.newest)
	if m.states[0].State != TooLittle || !m.unremarkable() {
		m.states[0].move(m.evidence(), m.needed(), at)
	}
	m.states[1].move(m.guard.evidence(), m.guard.Needed, at)
}

// unremarkable: whatever the open blocks make of it, A's evidence is below what Suspect takes. It spares the work that
// evidence would be.
func (m *Monitor) unremarkable() bool {
	if !m.engine.Begun {
		return false
	}
	gain := 0.0
	for _, c := range m.pending {
		if c.Bad > 0 {
			gain += steepest(float64(c.Bad), m.most(m.newest, c), m.shape())
		}
	}
	return 1-atSwap-m.entered+m.engine.value(0)*math.Exp(gain) < math.Sqrt(m.needed())
}

// guardShare is B's part of alpha: an outage is far beyond any limit, and A finds the rest sooner with more.
const guardShare = 0.2

// needed is the evidence for A's alarm.
func (m *Monitor) needed() float64 { return 1 / ((1 - guardShare) * m.options.Alpha) }

// Alarmed tells cheaply whether one of its findings is an alarm.
func (m *Monitor) Alarmed() bool { return m.states[0].State == Alarm || m.states[1].State == Alarm }
