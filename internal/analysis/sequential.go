package analysis

import (
	"math"
	"slices"
)

// ratios are the rises (over what the margin allows) that A bets on.
var ratios = [...]float64{1.3, 2, 3.5, 7, 15, 40}

// sequential is engine A: a bet against "no worse than Margin times the level" whose wealth has the mean 1 at most
// when nothing is worse, whenever one looks; for each rise a bet, and for each time at which the rise may have begun
// a share of it. Most of the capital is on the swap itself.
type sequential struct {
	Wealth [len(ratios)]float64 `json:"wealth"`
	// Runs are the gains of each bet (logarithms), had it been made when it would have been best to begin.
	Runs  [len(ratios)]float64 `json:"runs"`
	Begun bool                 `json:"begun"`
}

const (
	atSwap   = 0.75
	capacity = 1e30 // of wealth: beyond it nothing is decided otherwise
	// mostTimes the most expected is the most that a block counts for: a burst is to need time, too.
	mostTimes = 25
)

// bet lets one block play: k bad, mu the most expected, shape the negative binomial's r. entry is the capital that
// the rises beginning now bring in.
func (s *sequential) bet(k, mu, shape, entry float64) {
	if !s.Begun {
		s.Begun, entry = true, entry+atSwap
	}
	k = math.Min(k, mostTimes*mu+3*math.Sqrt(mu)+1)
	for i, ratio := range ratios {
		w := s.Wealth[i] + entry/float64(len(ratios))
		g := ratio * (shape + mu) / (shape + ratio*mu)
		gain := k*math.Log(g) + shape*math.Log((shape+mu)/(shape+ratio*mu))
		if w > 0 {
			s.Wealth[i] = math.Min(w*math.Exp(gain), capacity)
		}
		s.Runs[i] = math.Max(s.Runs[i]+gain, 0)
	}
}

// run is the largest of the runs.
func (s *sequential) run() float64 { return slices.Max(s.Runs[:]) }

// steepest is at least the logarithm of what k bad ones multiply any bet by.
func steepest(k, mu, shape float64) float64 {
	return k * math.Log(math.Min(ratios[len(ratios)-1], 1+shape/math.Max(mu, 1e-9)))
}

// value is the e-value, the capital not yet at play included.
func (s *sequential) value(unplayed float64) float64 {
	sum := unplayed
	for _, w := range s.Wealth {
		sum += w
	}
	return sum
}
