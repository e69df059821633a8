package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
)

const euler = 0.5772156649015329

// never is an excess beyond all (JSON has no infinity).
const never = 1e300

// newTail fits a Gumbel distribution to maxima by their L-moments.
func newTail(maxima []float64) tail {
	center, scale := gumbel(maxima)
	return tail{Center: center, Scale: scale, Largest: slices.Max(maxima)}
}

// at is the place so many scales above the center.
func (t tail) at(scales float64) float64 { return t.Center + scales*t.Scale }

func gumbel(maxima []float64) (center, scale float64) {
	slices.Sort(maxima)
	n := float64(len(maxima))
	var mean, weighted float64
	for i, x := range maxima {
		mean += x / n
		weighted += x * float64(i) / (n * math.Max(n-1, 1))
	}
	scale = (2*weighted - mean) / math.Ln2
	return mean - euler*scale, scale
}

// evidence is what an excess is worth: needed at the limit, 1 at what the largest of the baseline leads to expect of
// any watch, between and beyond them by the exponential tail that a Gumbel distribution has.
func (t tail) evidence(w windowSum, needed float64) float64 {
	if w.Bad <= w.Expected {
		return 0
	}
	excess := w.excess(t.Noise)
	usual := t.Center + t.Scale*math.Log(math.Max(t.Stretches, 1))
	if excess <= usual || t.Limit <= usual || t.Limit >= never {
		return 0
	}
	return math.Exp(math.Min((excess-usual)/(t.Limit-usual)*math.Log(needed), 60))
}

// reach is how many scales above the center the largest of the stretches to come lies by chance, given how many
// maxima the center and the scale were learnt from: few of them may be far from the truth, and then the reach is long.
// It depends on the two counts alone, whatever the distribution's place and width.
type reach struct {
	center, scale []float64 // as learnt, in drawn trials, from maxima with center 0 and scale 1
	future        float64
}

const reachTrials = 1000

func newReach(past int, future float64) reach {
	r := reach{make([]float64, reachTrials), make([]float64, reachTrials), future}
	random := rand.New(rand.NewPCG(1, uint64(past))) // the same trials each time: equal baselines, equal limits
	maxima := make([]float64, past)
	for i := range r.center {
		for j := range maxima {
			maxima[j] = -math.Log(random.ExpFloat64())
		}
		r.center[i], r.scale[i] = gumbel(maxima)
	}
	return r
}

// chance is the probability that the largest of the stretches to come exceeds center + x·scale.
func (r reach) chance(x float64) float64 {
	sum := 0.0
	for i := range r.center {
		sum -= math.Expm1(-r.future * math.Exp(-(r.center[i] + x*r.scale[i])))
	}
	return sum / float64(len(r.center))
}

// of is the x that is exceeded with the probability alpha.
func (r reach) of(alpha float64) float64 {
	low, high := 0.0, 1000.0
	for range 40 {
		if middle := (low + high) / 2; r.chance(middle) > alpha {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
