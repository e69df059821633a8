package gate

import (
	"cmp"
	"math"
	"time"

	"graft/internal/analysis"
)

// Half of the false alarms that are allowed goes to the traffic as a whole, the rest in equal parts to its
// parts. Of each, half goes to the comparison with the time before and half to that of the generations, if that can be.
const (
	wholeShare = 0.5
	// Both generations have served so many requests before they are compared, or the time is up: in a
	// moment in which only one has any, nothing can be compared.
	fairRequests = 20
	// slowMargin is how many times as many slow requests the new generation may have, if the policy does not say.
	slowMargin  = 1.5
	fairSeconds = 10
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
	window window
	// whole is what this is a stratum of; nil: of nothing. The whole is compared stratum by stratum, each with
	// its own exposure: where the generations are sent different kinds of requests, sums would compare the kinds.
	whole   *comparison
	stratum int // its number among those of the whole
	// pool is what the strata of this one have served in the block that is open; nil: it is compared by sums.
	pool  []window
	block int64
	// apart: the generations can be told apart, so that they can be compared. If not, the time before has all of α.
	apart bool
}

// window is what both generations have served since they were compared last.
type window struct {
	From int64 `json:"from"` // its first second
	Old  cell  `json:"old"`
	New  cell  `json:"new"`
}

// inPart are the signals that a part of the traffic is compared by. 4xx and 499 are the whole's: a place
// where clients err more than yesterday is no fault of a binary.
func inPart(signal int) bool { return signal != at4xx && signal != atClosed && signal != atSlow99 }

func newComparison(s scope, whole bool, alpha float64, margin func(analysis.Signal) float64, apart bool) *comparison {
	var signals []analysis.Signal
	for i, signal := range compared {
		if whole || inPart(i) {
			signals = append(signals, signal)
		}
	}
	return &comparison{scope: s.Name, alpha: analysis.SplitAlpha(alpha, signals), margin: margin, apart: apart}
}

// learn makes the tests against the time before, which ends at until, and tells by how much its last minutes were
// above it. whole is that of the whole traffic. Of a busy host, times are not compared.
func (c *comparison) learn(past *series, until time.Time, whole rises, length time.Duration, busy bool) rises {
	seen := noRises()
	for i, signal := range compared {
		alpha, ok := c.alpha[signal]
		if !ok {
			continue
		}
		b, any := past.baseline(i)
		if !any || busy && (i == atSlow95 || i == atSlow99 || i == atUpstreamSlow) {
			continue
		}
		if c.apart {
			// How errors come in clumps is known from before: the generations are compared sooner.
			c.together[i] = c.betweenGenerations(i, alpha, &b)
			alpha /= 2
		}
		seen[i] = past.rise(i, b, until, whole[i])
		c.before[i] = analysis.NewMonitor(raised(b, until, seen[i]), analysis.MonitorOptions{
			Signal: signal, Scope: c.scope, Alpha: alpha, Margin: c.margin(signal), Watch: length,
		})
	}
	return seen
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
	if c.window.add(second, old, young) {
		c.compare(second)
	}
}

// add tells whether the window is to be closed. That depends on how many requests there were, never on how
// they were answered.
func (w *window) add(second int64, old, young *cell) bool {
	if w.Old.Requests == 0 && w.New.Requests == 0 {
		w.From = second
	}
	w.Old.merge(old)
	w.New.merge(young)
	return w.Old.Requests >= fairRequests && w.New.Requests >= fairRequests || second-w.From+1 >= fairSeconds
}

// compare closes the window.
func (c *comparison) compare(second int64) {
	if c.window.Old.Requests == 0 { // only new workers serve: the time before is all there is to compare with
		c.addBefore(time.Unix(c.window.From, 0), &c.window.New)
	}
	if c.pool == nil {
		c.test(second, &c.window)
	}
	if c.whole != nil {
		into := &c.whole.pool[c.stratum]
		into.Old.merge(&c.window.Old)
		into.New.merge(&c.window.New)
	}
	c.window = window{}
}

// turn compares the block that has ended by its strata: of the bad ones of each, the new workers' part is as their part
// of the stratum's requests, if nothing is worse. Exposures of the whole are chosen to give the same mean.
func (c *comparison) turn(second int64) {
	block := second / blockSeconds
	if c.pool == nil || block == c.block {
		return
	}
	at := c.block * blockSeconds
	c.block = block
	for i := range compared {
		var old, young analysis.Count
		var served [2]analysis.Count // all of it, also what is not compared
		var bad, expected float64
		for j := range c.pool {
			o, n := c.pool[j].Old.count(i), c.pool[j].New.count(i)
			served[0], served[1] = sum(served[0], o), sum(served[1], n)
			if o.Total == 0 || n.Total == 0 {
				continue // one side alone is no comparison
			}
			old, young = sum(old, o), sum(young, n)
			k := float64(o.Bad + n.Bad)
			bad += k
			expected += k * float64(n.Total) / float64(o.Total+n.Total)
		}
		if bad > 0 {
			all := old.Total + young.Total
			young.Total = min(max(int64(math.Round(float64(all)*expected/bad)), 1), all-1)
			old.Total = all - young.Total
		}
		c.testSignal(i, at, old, young, served)
	}
	clear(c.pool)
}

func (c *comparison) test(second int64, w *window) {
	for i := range compared {
		old, young := w.Old.count(i), w.New.count(i)
		c.testSignal(i, second, old, young, [2]analysis.Count{old, young})
	}
}

func sum(a, b analysis.Count) analysis.Count {
	return analysis.Count{Bad: a.Bad + b.Bad, Total: a.Total + b.Total}
}

func (c *comparison) testSignal(i int, second int64, old, young analysis.Count, served [2]analysis.Count) {
	alpha, ok := c.alpha[compared[i]]
	if !ok || !c.apart || old.Total == 0 || young.Total == 0 {
		return
	}
	if c.together[i] == nil {
		c.together[i] = c.betweenGenerations(i, alpha, nil)
	}
	c.together[i].AddExposed(time.Unix(second, 0), old, young, served)
}

// betweenGenerations is test C of a signal. An error more than the old workers make is one too many; in how long
// requests take, workers differ that have just started, or that have other connections.
func (c *comparison) betweenGenerations(i int, alpha float64, b *analysis.Baseline) *analysis.ConcurrentTest {
	o := analysis.ConcurrentOptions{Signal: compared[i], Scope: c.scope, Alpha: alpha / 2, Baseline: b}
	if i == atSlow95 || i == atSlow99 || i == atUpstreamSlow {
		o.Margin = cmp.Or(c.margin(compared[i]), slowMargin)
	}
	return analysis.NewConcurrent(o)
}

// findings are those of all tests.
func (c *comparison) findings() []analysis.Finding {
	var list []analysis.Finding
	for _, t := range c.together {
		if t != nil && c.apart {
			list = append(list, t.Finding())
		}
	}
	for i, m := range c.before {
		if m == nil {
			continue
		}
		for _, f := range m.Findings() {
			list = append(list, meanwhile(f, c.together[i]))
		}
	}
	return list
}

// savedComparison is a comparison as it lies in a file.
type savedComparison struct {
	Scope    string                                       `json:"scope"`
	Before   map[analysis.Signal]*analysis.Monitor        `json:"before,omitempty"`
	Together map[analysis.Signal]*analysis.ConcurrentTest `json:"together,omitempty"`
	Window   window                                       `json:"window"`
	Pool     []window                                     `json:"pool,omitempty"`
	Block    int64                                        `json:"block,omitempty"`
}

// save is what the tests know.
func (c *comparison) save() savedComparison {
	s := savedComparison{
		Scope: c.scope, Window: c.window, Pool: c.pool, Block: c.block,
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
	return s
}

// restore goes on with what was saved, at the α that it was begun with.
func (c *comparison) restore(s savedComparison) {
	c.window, c.pool, c.block = s.Window, s.Pool, s.Block
	for i, signal := range compared {
		c.before[i], c.together[i] = s.Before[signal], s.Together[signal]
	}
	if len(s.Before) > 0 && len(s.Together) == 0 {
		c.apart = false // the time before was given all of α, though the logs may tell the generations apart by now
	}
}
