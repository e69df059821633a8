package analysis

import "math"

// windows are the lengths over which B looks for sudden breakage, in blocks: 20 s to 15 min.
var windows = [...]int{2, 3, 6, 12, 30, 90}

const longest = 90

// guard is B: how far is what the last seconds to minutes have from what the baseline's own largest windows lead to
// expect of a whole watch.
type guard struct {
	Bad      [longest]float64        `json:"bad"`      // by block number modulo longest
	Expected [longest]float64        `json:"expected"` // what the level leads to expect, the margin left out
	Oldest   int64                   `json:"oldest"`   // since when blocks have been told without a gap as long as all windows
	Newest   int64                   `json:"newest"`   // block number
	Needed   float64                 `json:"needed"`   // evidence for an alarm
	Limits   [len(windows)]tail      `json:"limits"`
	Sums     [len(windows)]windowSum `json:"sums"`
}

// windowSum is a window that ends with the newest block.
type windowSum struct {
	Bad      float64 `json:"bad"`
	Expected float64 `json:"expected"`
}

// some is added to counts before they are divided: a ratio to nothing is none.
const some = 0.5

// excess is how far a window is above what was expected: the logarithm of the ratio, in which even clumps with a heavy
// tail fall off exponentially, in units of the deviation that it has by its size.
func (w windowSum) excess(noise float64) float64 {
	return math.Log((w.Bad+some)/(w.Expected+some)) / math.Sqrt(w.variance(noise))
}

func (w windowSum) variance(noise float64) float64 { return noise + 1/(w.Expected+some) }

// add counts into a block; one that is older than the longest window is lost to the guard.
func (g *guard) add(block int64, bad, expected float64) {
	g.advance(block)
	age := g.Newest - block
	if age >= longest {
		return
	}
	slot := block % longest
	g.Bad[slot] += bad
	g.Expected[slot] += expected
	for i, w := range windows {
		if age < int64(w) {
			g.Sums[i].Bad += bad
			g.Sums[i].Expected += expected
		}
	}
}

// advance lets blocks fall out of the windows until block is the newest.
func (g *guard) advance(block int64) {
	if g.Newest == 0 || block-g.Newest >= longest {
		g.Bad, g.Expected, g.Sums = [longest]float64{}, [longest]float64{}, [len(windows)]windowSum{}
		g.Oldest, g.Newest = block, block
		return
	}
	for g.Newest < block {
		g.Newest++
		for i, w := range windows {
			old := (g.Newest - int64(w)) % longest
			g.Sums[i].Bad -= g.Bad[old]
			g.Sums[i].Expected -= g.Expected[old]
		}
		g.Bad[g.Newest%longest], g.Expected[g.Newest%longest] = 0, 0
	}
	for i := range g.Sums { // what rounding leaves
		g.Sums[i].Expected = math.Max(g.Sums[i].Expected, 0)
	}
}

// full tells whether a window has been filled; one that has not is another, shorter one.
func (g *guard) full(window int) bool { return g.Newest-g.Oldest+1 >= int64(windows[window]) }

// tail is what the maxima of stretches of the baseline say about larger ones: a Gumbel distribution by its
// L-moments, and how many such stretches a watch has.
type tail struct {
	Noise     float64 `json:"noise"` // relative variance in windows of this length, beyond Poisson's
	Center    float64 `json:"center"`
	Scale     float64 `json:"scale"`
	Limit     float64 `json:"limit"` // the excess that the watch reaches by chance with this window's share of α
	Largest   float64 `json:"largest"`
	Stretches float64 `json:"stretches"` // in one watch
}

const (
	stretches    = 8 // of the baseline, at least
	stretchHours = 6 // of one, at most
)

// newGuard learns from a baseline what its windows' maxima are; watch is in blocks.
func newGuard(b Baseline, l *level, alpha float64, watch float64) guard {
	length := min(len(b.Blocks)/stretches, stretchHours*360)
	g := guard{Needed: 1 / alpha}
	if length < 1 {
		for i := range g.Limits {
			g.Limits[i] = tail{Limit: never}
		}
		return g
	}
	count := len(b.Blocks) / length
	maxima := make([][]float64, len(windows))
	var replay guard
	first := blockOf(b.From)
	var noise [len(windows)]float64
	for w, long := range windows {
		noise[w] = math.Max(relativeVariance(b, l, long), 0)
	}
	for i, c := range b.Blocks {
		block := first + int64(i)
		replay.advance(block)
		if c.Total > 0 {
			replay.add(block, float64(c.Bad), float64(c.Total)*l.at(block))
		}
		stretch := i / length
		if stretch >= count {
			break
		}
		for w := range windows {
			if len(maxima[w]) <= stretch {
				maxima[w] = append(maxima[w], 0)
			}
			if replay.full(w) {
				maxima[w][stretch] = math.Max(maxima[w][stretch], replay.Sums[w].excess(noise[w]))
			}
		}
	}
	far := newReach(count, watch/float64(length)).of(alpha / float64(len(windows)))
	for i := range g.Limits {
		g.Limits[i] = newTail(maxima[i])
		g.Limits[i].Noise = noise[i]
		g.Limits[i].Stretches = watch / float64(length)
	}
	// The widest scale goes for all windows (eight maxima alone may happen to lie close together).
	widest := 0.0
	for i := range g.Limits {
		widest = math.Max(widest, g.Limits[i].Scale)
	}
	for i := range g.Limits {
		g.Limits[i].Scale = math.Max(g.Limits[i].Scale, widest)
		if windows[i] > length || g.Limits[i].Largest <= 0 { // never filled, or never with more than was expected
			g.Limits[i].Limit = never
			continue
		}
		g.Limits[i].Limit = g.Limits[i].at(far)
	}
	return g
}

// evidence is how many watches go by, on average, until chance alone makes a window like the worst of these, divided
// by the number of windows.
func (g *guard) evidence() float64 {
	most := 0.0
	for i := range windows {
		if g.full(i) {
			most = math.Max(most, g.Limits[i].evidence(g.Sums[i], g.Needed))
		}
	}
	return most
}

// worst is the window with the most evidence, or, of none, the one nearest to its limit.
func (g *guard) worst() int {
	worst, most := 0, math.Inf(-1)
	for i := range windows {
		if x := g.Sums[i].excess(g.Limits[i].Noise) / math.Max(g.Limits[i].Limit, 1e-9); g.full(i) && x > most {
			worst, most = i, x
		}
	}
	return worst
}

// ratio is the ratio to the expected at which a window alarms.
func (t tail) ratio(w windowSum) float64 {
	return (math.Exp(t.Limit*math.Sqrt(w.variance(t.Noise)))*(w.Expected+some) - some) / math.Max(w.Expected, 1e-9)
}
