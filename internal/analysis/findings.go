package analysis

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Findings are those of A and of B, in this order.
func (m *Monitor) Findings() []Finding {
	lasting := m.sequential()
	if m.seen.Total == 0 { // it has not begun: there is no time to name
		lasting.Words = m.what() + ": no request counted yet" + m.reserve()
	}
	return []Finding{lasting, m.sudden()}
}

func (m *Monitor) sequential() Finding {
	visible := m.visible()
	wealth := m.evidence()
	f := Finding{
		Signal: m.options.Signal, Scope: m.options.Scope, Test: Sequential,
		State: m.states[0].told(m.enough(visible)), Since: m.states[0].Since,
		Before: m.level.Count, After: m.seen, Evidence: wealth, Needed: m.needed(),
		Power: power(visible, time.Duration(m.blocks)*Block),
	}
	f.Words = fmt.Sprintf("%s: %s since %s, %s; e-value %s of %s needed%s",
		m.what(), told(m.seen), m.since(), m.before(), short(wealth), short(m.needed()), m.reserve())
	return f
}

// outage is the share of bad ones in a sudden breakage that B has to see before it says Quiet.
const outage = 0.5

func (m *Monitor) sudden() Finding {
	worst := m.guard.worst()
	sum, limit := m.guard.Sums[worst], m.guard.Limits[worst]
	f := Finding{
		Signal: m.options.Signal, Scope: m.options.Scope, Test: Guard,
		State: m.states[1].told(m.blocks >= longest && limit.ratio(sum)*m.most(m.newest, Count{Total: 1}) <= outage), Since: m.states[1].Since,
		Before: m.level.Count, After: m.seen, Evidence: m.guard.evidence(), Needed: m.guard.Needed,
	}
	if limit.Limit >= never {
		f.Words = fmt.Sprintf("%s: the baseline is too short, or had too few of them, to tell how large a sudden rise may be by chance", m.what())
		return f
	}
	f.Power = power(limit.ratio(sum), time.Duration(windows[worst])*Block)
	f.Words = fmt.Sprintf("%s in the last %s: %.0f, %s expected; the baseline's largest was %s times the expected, an alarm is %s times%s",
		m.what(), time.Duration(windows[worst])*Block, sum.Bad, short(sum.Expected),
		short(math.Exp(limit.Largest*math.Sqrt(sum.variance(limit.Noise)))), short(limit.ratio(sum)), m.reserve())
	return f
}

func (m *Monitor) what() string {
	if m.options.Scope == "" {
		return string(m.options.Signal)
	}
	return string(m.options.Signal) + " of " + m.options.Scope
}

func (m *Monitor) since() string { return blockTime(m.started).Format("15:04") }

// expectedShare is the baseline's share at this watch's times of the day, weighted by its requests.
func (m *Monitor) expectedShare() float64 {
	if m.requests == 0 {
		return m.level.Count.Share()
	}
	return m.expected / m.allowance() / m.requests
}

// before is what the baseline had; one of less than a day knows no times of the day.
func (m *Monitor) before() string {
	if m.level.Span < daySeconds {
		return percent(m.level.Count.Share()) + " before"
	}
	return percent(m.expectedShare()) + " at these times of the day before"
}

// reserve is what else has to be said.
func (m *Monitor) reserve() string {
	switch {
	case m.level.Count.Total == 0:
		return "; there is no baseline"
	case m.past.Broken:
		return "; in the baseline they come in such clumps that only a lasting rise is told from them"
	}
	return ""
}

// smallShare of bad ones, if it would have been seen, is enough to see, however often that is the baseline's.
const smallShare = 0.001

func (m *Monitor) enough(visible float64) bool {
	return m.level.Count.Total > 0 && (visible <= m.options.Enough || visible*m.expectedShare() <= smallShare)
}

// visible is the smallest rise (a factor) that A would have found by now, had it been there from the first block on;
// +Inf if none.
func (m *Monitor) visible() float64 {
	if m.blocks == 0 {
		return math.Inf(1)
	}
	mu, shape := m.expected/m.blocks, m.shape()
	need := math.Max(math.Log(m.needed()/atSwap*float64(len(ratios))), m.past.Limit)
	found := func(rise float64) bool {
		best := 0.0
		for _, r := range ratios {
			g := r * (shape + mu) / (shape + r*mu)
			best = math.Max(best, rise*mu*math.Log(g)+shape*math.Log((shape+mu)/(shape+r*mu)))
		}
		return best*m.blocks >= need
	}
	return smallestRise(found) * m.allowance()
}

// smallestRise is the smallest factor that is found; +Inf if none is.
func smallestRise(found func(rise float64) bool) float64 {
	low, high := 1.0, 1e6
	if !found(high) {
		return math.Inf(1)
	}
	for range 40 {
		if middle := math.Sqrt(low * high); found(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// allowance is what A allows above the baseline's level: the margin, and what the level is not known by.
func (m *Monitor) allowance() float64 { return m.options.Margin * math.Exp(2*m.level.Known) }

const blind = 1000 // a rise that is no rise any more, but everything

func power(rise float64, in time.Duration) string {
	switch {
	case rise > blind && in <= 0:
		return "any rise until now"
	case rise > blind:
		return fmt.Sprintf("any rise in %s", in)
	}
	return fmt.Sprintf("a rise below ×%s in %s", short(rise), in)
}

func told(c Count) string {
	return fmt.Sprintf("%s of %s requests", percent(c.Share()), thousands(c.Total))
}

func percent(share float64) string {
	if share > 0 && share < 0.001 {
		return fmt.Sprintf("%.3f %%", 100*share)
	}
	return fmt.Sprintf("%.2f %%", 100*share)
}

// short has two digits that mean something.
func short(x float64) string {
	switch {
	case math.IsInf(x, 0):
		return "∞"
	case math.Abs(x) >= 1e6:
		return fmt.Sprintf("%.0e", x)
	case math.Abs(x) >= 10:
		return thousands(int64(math.Round(x)))
	}
	return fmt.Sprintf("%.1f", x)
}

// thousands has commas.
func thousands(n int64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// Finding tells how the new workers do against the old ones.
func (c *ConcurrentTest) Finding() Finding {
	value, needed, visible := c.value(), c.needed(), c.visible()
	what := string(c.options.Signal)
	if c.options.Scope != "" {
		what += " of " + c.options.Scope
	}
	return Finding{
		Signal: c.options.Signal, Scope: c.options.Scope, Test: Concurrent,
		State: c.state.told(c.enough(visible)), Since: c.state.Since, Before: c.served[0], After: c.served[1], Evidence: value, Needed: needed,
		Power: power(visible, c.state.Last.Sub(c.begun)),
		Words: fmt.Sprintf("%s: %s by new workers, %s by old ones at the same time; e-value %s of %s needed",
			what, told(c.served[1]), told(c.served[0]), short(value), short(needed)),
	}
}
