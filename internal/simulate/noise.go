package main

import (
	"math"
	"math/rand/v2"
)

// noise draws what happens by chance.
type noise struct{ *rand.Rand }

func newNoise(seed, run uint64) noise { return noise{rand.New(rand.NewPCG(seed, run))} }

// poisson draws a count with that mean: by products of uniform numbers where it is small, by Hörmann's transformed
// rejection (PTRS, 1993) where it is large.
func (r noise) poisson(mean float64) int64 {
	if mean <= 0 {
		return 0
	}
	if mean < 12 {
		k, p, limit := int64(-1), 1.0, math.Exp(-mean)
		for p > limit {
			p *= r.Float64()
			k++
		}
		return k
	}
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	v0 := 0.9277 - 3.6224/(b-2)
	logMean := math.Log(mean)
	for {
		u := r.Float64() - 0.5
		v := r.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= v0 {
			return int64(k)
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		gamma, _ := math.Lgamma(k + 1)
		if math.Log(v*(1.1239+1.1328/(b-3.4))/(a/(us*us)+b)) <= k*logMean-mean-gamma {
			return int64(k)
		}
	}
}

// between draws evenly.
func (r noise) between(low, high float64) float64 { return low + (high-low)*r.Float64() }

// pareto draws at least smallest, with the tail P(x > c·smallest) = c^-tail.
func (r noise) pareto(smallest, tail float64) float64 {
	return smallest * math.Pow(1-r.Float64(), -1/tail)
}

// drift is a stationary Gaussian AR(1), a value a block.
type drift struct {
	x, keep, step float64
}

// newDrift has the standard deviation sd and the correlation time tau, in blocks.
func (r noise) newDrift(sd, tau float64) drift {
	keep := math.Exp(-1 / tau)
	return drift{x: sd * r.NormFloat64(), keep: keep, step: sd * math.Sqrt(1-keep*keep)}
}

func (d *drift) next(r noise) float64 {
	d.x = d.keep*d.x + d.step*r.NormFloat64()
	return d.x
}
