package main

import (
	"math"

	"graft/internal/analysis"
)

// pair is a world in which old and new workers serve at the same time.
type pair struct {
	name    string
	tells   string
	world   world   // whose noise both have
	part    float64 // of the requests that the new workers get
	wander  float64 // sd of the logit of that part, τ 20 min
	clump   float64 // mean size of the clumps in which errors come, each on one side: 0 is one by one
	tail    float64 // of the clumps' Pareto sizes; 0: geometric sizes
	apart   float64 // sd of noise that each side has for itself
	alone   float64 // how long that lasts, in minutes
	untuned bool
}

// pairs are the worlds of the concurrent test.
func pairs() []pair {
	all := worlds()
	iid, ar, hard := all[0], all[1], all[3]
	twice, slow := ar, ar
	twice.rps = 200
	slow.share, slow.sd = 0.05, 0.2
	return []pair{
		{name: "iid", tells: "independent errors, half of the requests each", world: iid, part: 0.5},
		{name: "ar", tells: "common noise as in ar", world: ar, part: 0.5},
		{name: "hard", tells: "common noise as in hard", world: hard, part: 0.5},
		{name: "uneven", tells: "ar, the new workers get a fifth, and that wanders", world: ar, part: 0.2, wander: 0.5},
		{name: "clumps", tells: "ar, errors in clumps of one connection (geometric, mean 4)", world: ar, part: 0.5, clump: 4},
		{name: "heavy clumps", tells: "ar, clumps with a heavy tail (Pareto 1.8, at least 2), a third to the new", world: ar, part: 0.33, clump: 4.5, tail: 1.8},
		{name: "100 rps each", tells: "ar, 200 requests a second, half of them each", world: twice, part: 0.5},
		{name: "latency", tells: "requests slower than the p95 before: 5 %, noise as in ar with sd 0.2", world: slow, part: 0.5},
		{name: "apart", tells: "ar, and each side has noise of its own besides (sd 0.15)", world: ar, part: 0.5, apart: 0.15, alone: 5, untuned: true},
		{name: "apart slowly", tells: "ar, 200 requests a second, a third to the new, and each side has noise of its own (sd 0.1, τ 1 h)", world: twice, part: 0.33, apart: 0.1, alone: 60, untuned: true},
	}
}

// stretch draws the two sides; fault multiplies the new side's share.
func (p pair) stretch(r noise, blocks int, fault float64) (old, now []analysis.Count) {
	w := p.world
	level := make([]float64, blocks)
	w.addNoise(r, level)
	w.addBursts(r, level)
	wander := r.newDrift(p.wander, 20*perMinute)
	sides := [2]drift{r.newDrift(p.apart, p.alone*perMinute), r.newDrift(p.apart, p.alone*perMinute)}
	phase := r.between(0, perDay)
	old, now = make([]analysis.Count, blocks), make([]analysis.Count, blocks)
	for i := range blocks {
		day := math.Sin(2 * math.Pi * (float64(i) + phase) / perDay)
		part := 1 / (1 + math.Exp(-(math.Log(p.part/(1-p.part)) + wander.next(r))))
		n := w.rps * blockSeconds * (1 + w.daily*day)
		share := w.share * math.Exp(level[i]+w.tide*day)
		apart := [2]float64{math.Exp(sides[0].next(r)), fault * math.Exp(sides[1].next(r))}
		old[i] = p.side(r, n*(1-part), share*apart[0])
		now[i] = p.side(r, n*part, share*apart[1])
	}
	return old, now
}

func (p pair) side(r noise, expected, share float64) analysis.Count {
	n := r.poisson(expected)
	if p.clump == 0 {
		return analysis.Count{Bad: min(r.poisson(float64(n)*share), n), Total: n}
	}
	bad := int64(0)
	for range r.poisson(float64(n) * share / p.clump) {
		bad += p.size(r)
	}
	return analysis.Count{Bad: min(bad, n), Total: n}
}

func (p pair) size(r noise) int64 {
	if p.tail > 0 {
		return int64(r.pareto(2, p.tail))
	}
	return 1 + int64(math.Log(1-r.Float64())/math.Log(1-1/p.clump))
}
