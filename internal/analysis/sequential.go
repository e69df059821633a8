package analysis

import "math"

// ratios are the rises (over what the margin allows) that A bets on.
var ratios = [...]float64{1.3, 2, 3.5, 7, 15, 40}

// sequential is engine A: a bet against "no worse than Margin times the level" whose wealth has the mean 1 at most
// when nothing is worse, whenever one looks; for each rise a bet, and for each time at which the rise may have begun
// a share of it. Half the capital is on the swap itself.
type sequential struct {
	Wealth [len(ratios)]float64 `json:"wealth"`
	Begun  bool                 `json:"begun"`
}

const (
	atSwap   = 0.5
	capacity = 1e30 // of wealth: beyond it nothing is decided otherwise
)

// bet lets one block play: k bad, mu the most expected, shape the negative binomial's r. entry is the capital that
// the rises beginning now bring in.
func (s *sequential) bet(k, mu, shape, entry float64) {
	if !s.Begun {
		s.Begun, entry = true, entry+atSwap
	}
	k = math.Min(k, tuneK*mu+3*math.Sqrt(mu))
	for i, ratio := range ratios {
		w := s.Wealth[i] + entry/float64(len(ratios))
		g := ratio * (shape + mu) / (shape + ratio*mu)
		w *= math.Exp(k*math.Log(g) + shape*math.Log((shape+mu)/(shape+ratio*mu)))
		s.Wealth[i] = math.Min(w, capacity)
	}
}

// value is the e-value, the capital not yet at play included.
func (s *sequential) value(unplayed float64) float64 {
	sum := unplayed
	for _, w := range s.Wealth {
		sum += w
	}
	return sum
}
