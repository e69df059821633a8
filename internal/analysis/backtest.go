package analysis

import (
	"math"
	"slices"
)

// past is what the backtest found: A played on the baseline's own stretches, where nothing is a fault, against the level
// of the baseline's other days. From the largest run of each follows which runs chance may have in a whole watch;
// only a longer one is an alarm, whatever the e-value, which rests on a model of the noise.
type past struct {
	Limit   float64 `json:"limit"`   // logarithm of the gain
	Largest float64 `json:"largest"` // of the baseline
	// Broken: errors came so thick that no noise of the engine's kind explains them. Its runs' logarithms are what
	// is extrapolated then, as for a tail by a power law, and only lasting rises will be found.
	Broken bool `json:"broken,omitempty"`
}

const (
	// A baseline with fewer bad ones than these tells nothing of how they come: then an alarm takes a run as long as
	// four or five blocks with some make, close together.
	fewBad       = 30
	unknownLimit = 15
	// Stretches differ by noise; what is so many times beyond it is a difference of days.
	surely = 2.5
	// The best of some thousand times to begin gains this much (a logarithm) by chance.
	brokenModel = 7
)

// mostParts is how many parts a baseline is cut into at most, for each of which the others tell the level.
const mostParts = 4

// replay lets A play on the baseline: each day against the others, less than two days half against half.
func (m *Monitor) replay(b Baseline) past {
	length := stretchOf(b)
	if length < 1 {
		return past{Limit: never}
	}
	parts := min(max(len(b.Blocks)/int(daySeconds/blockSeconds), 2), mostParts)
	levels := make([]level, parts)
	for i := range levels {
		levels[i] = newLevel(b.without(i, parts))
	}
	first := blockOf(b.From)
	var maxima []float64
	apart := 0.0 // how far stretches are from the other days' level, beyond what noise explains: a variance
	for from := 0; from+length <= len(b.Blocks); from += length {
		s := sequential{Begun: true} // without capital: its runs are what is asked for
		longest := 0.0
		var bad, expected float64
		for i := from; i < from+length; i++ {
			if c := b.Blocks[i]; c.Total > 0 {
				other := &levels[i*parts/len(b.Blocks)]
				mu := float64(c.Total) * other.at(first+int64(i))
				bad, expected = bad+float64(c.Bad), expected+mu
				s.bet(float64(c.Bad), mu*m.options.Margin, m.shape(), 0)
				longest = math.Max(longest, s.run())
			}
		}
		maxima = append(maxima, longest)
		if expected > 0 {
			apart += math.Pow(bad/expected-1, 2) - surely*(m.level.Spread/float64(int64(length)*blockSeconds)+1/math.Max(expected, 1))
		}
	}
	m.level.Known = math.Hypot(m.level.Known, math.Sqrt(math.Max(apart/float64(len(maxima)), 0)))
	far := newReach(len(maxima), m.watchBlocks()/float64(length)).of(1 / m.needed())
	p := past{Largest: slices.Max(maxima)}
	if p.Broken = p.Largest > brokenModel+math.Log(m.needed()); p.Broken {
		for i, x := range maxima {
			maxima[i] = math.Log1p(x)
		}
	}
	p.Limit = newTail(maxima).at(far)
	if p.Broken {
		p.Limit = math.Expm1(math.Min(p.Limit, 20))
	}
	// Less than two days may have had none of the bursts that come now and then.
	p.Limit = math.Max(p.Limit, unknownLimit*(1-m.level.Span/longSpan))
	if m.level.Count.Bad < fewBad {
		p.Limit = math.Max(p.Limit, unknownLimit)
	}
	return p
}

// without leaves one of so many parts out.
func (b Baseline) without(part, parts int) Baseline {
	rest := Baseline{From: b.From, Blocks: make([]Count, len(b.Blocks))}
	for i, c := range b.Blocks {
		if i*parts/len(b.Blocks) != part {
			rest.Blocks[i] = c
		}
	}
	return rest
}

// evidence is what a run is worth: needed at the limit.
func (p past) evidence(run, needed float64) float64 {
	if p.Limit <= 0 {
		return capacity
	}
	return math.Exp(math.Min(run/p.Limit*math.Log(needed), 60))
}
