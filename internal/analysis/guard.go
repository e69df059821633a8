package analysis

import "math"

// windows are the lengths over which B looks for sudden breakage, in blocks: 20 s to 15 min.
var windows = [...]int{2, 3, 6, 12, 30, 90}

const longest = 90

// guard is B: how far is what the last seconds to minutes have from what the baseline's own largest windows lead to
// expect of a whole watch.
type guard struct {
	Bad      [longest]float64        `json:"bad"`      // by block number modulo longest
	Expected [longest]float64        `json:"expected"` // the most that is no fault
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
	stretches    = 8   // of the baseline, at least
	stretchHours = 6   // of one, at most
	farthest     = 48  // times its own length is what a baseline's maxima are extrapolated to; a watch of 48 h takes an hour
	heavier      = 1.3 // is the reach of maxima whose tail is longer than their logarithms' Gumbel distribution has it
)

// newGuard learns from a baseline what its windows' maxima are; watch is in blocks.
func newGuard(b Baseline, l *level, alpha float64, watch float64) guard {
	g := guard{Needed: 1 / alpha}
	length := stretchOf(b)
	if length < 1 || watch > farthest*float64(len(b.Blocks)) {
		for i := range g.Limits {
			g.Limits[i] = tail{Limit: never}
		}
		return g
	}
	var noise [len(windows)]float64
	for w, long := range windows {
		noise[w] = math.Max(relativeVariance(b, l, long), 0)
	}
	maxima := largestWindows(b, l, length, noise)
	// The widest scale goes for all windows: eight maxima alone may happen to lie close together.
	widest := 0.0
	for w := range g.Limits {
		g.Limits[w] = newTail(maxima[w])
		widest = math.Max(widest, g.Limits[w].Scale)
	}
	far := newReach(len(maxima[0]), watch/float64(length)).of(alpha/float64(len(windows))) * heavier
	for w := range g.Limits {
		t := &g.Limits[w]
		t.Noise, t.Stretches, t.Scale = noise[w], watch/float64(length), widest
		t.Limit = t.at(far)
		if windows[w] > length || t.Largest <= 0 { // never filled, or never with more than was expected
			t.Limit = never
		}
	}
	return g
}

// stretchOf is the length, in blocks, of the stretches whose maxima are taken; 0 if the baseline is too short for them.
func stretchOf(b Baseline) int {
	return min(len(b.Blocks)/stretches, stretchHours*3600/int(blockSeconds))
}

// largestWindows are, for each length of windows, the largest excess in each stretch of the baseline.
func largestWindows(b Baseline, l *level, length int, noise [len(windows)]float64) (maxima [len(windows)][]float64) {
	for w := range maxima {
		maxima[w] = make([]float64, len(b.Blocks)/length)
	}
	var past guard
	first := blockOf(b.From)
	for i, c := range b.Blocks[:len(maxima[0])*length] {
		block := first + int64(i)
		past.advance(block)
		if c.Total > 0 {
			past.add(block, float64(c.Bad), float64(c.Total)*l.at(block))
		}
		for w := range windows {
			if past.full(w) {
				maxima[w][i/length] = math.Max(maxima[w][i/length], past.Sums[w].excess(noise[w]))
			}
		}
	}
	return maxima
}

// evidence is that of the window with the most.
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
