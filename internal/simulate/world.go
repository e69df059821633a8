package main

import (
	"math"

	"graft/internal/analysis"
)

const (
	blockSeconds = 10
	perHour      = 3600 / blockSeconds
	perDay       = 24 * perHour
	perMinute    = 60 / blockSeconds
)

// world is a host's traffic and errors without any fault. One world's time before and its watch are one stretch of
// the same randomness: the watch goes on where the baseline ends.
type world struct {
	name  string
	tells string  // for the table
	rps   float64 // mean requests a second
	share float64 // mean share of bad ones
	daily float64 // the traffic's swing over the day, a share
	tide  float64 // the share's swing over the day, in its logarithm

	sd, tau float64 // log-normal noise of the share: its sd and its correlation time in minutes
	rise    float64 // the watch's share against the baseline's that is no fault: 0 is 1

	bursts int // short ones in 48 h, ×5 to ×15, one to five minutes

	steps   float64 // the share moves to another level that often a day …
	stepSD  float64 // … each drawn with this sd of its logarithm
	clumps  float64 // times an hour at which an upstream restarts: a heavy-tailed number of errors in 20 to 60 s
	batch   bool    // a job at about two each night makes half an hour ×8; its begin wanders
	regimes bool    // the noise's sd changes every few hours between 0.2 and 1
	dips    bool    // about every twenty minutes, ten to twenty seconds of a median of ×20 (log-normal, sd 0.7)
	wander  float64 // the noise's sd itself wanders: the sd of its logarithm, τ 8 h
	garch   bool    // large moves of the noise are followed by large ones: GARCH(1,1), gone after half an hour
	weekend bool    // the baseline is a weekend: half the watch's traffic, and two thirds of its share
	beyond  bool    // A and B are known not to keep their bound in it
	untuned bool    // written down before a test was run on it, and nothing was changed for it afterwards
}

// The worlds of the table.
func worlds() []world {
	plain := world{name: "iid", tells: "independent Poisson counts, a daily season of the traffic", rps: 100, share: 0.001, daily: 0.5}
	ar := plain
	ar.name, ar.tells = "ar", "a daily season of traffic and share, log-normal AR(1) noise with sd 0.5 and τ 5 min"
	ar.tide, ar.sd, ar.tau = 0.3, 0.5, 5
	drifting := ar
	drifting.name, drifting.tells, drifting.rise = "drift", "ar, and the watch's share is ×1.3 of the baseline's", 1.3
	hard := ar
	hard.name, hard.tells = "hard", "as ar with sd 0.8 and τ 30 min, and in 48 h 6 bursts of ×5–15 for 1–5 min"
	hard.sd, hard.tau, hard.bursts = 0.8, 30, 6

	stepped := ar
	stepped.name, stepped.tells = "steps", "ar with sd 0.3, and three deployments a day that move the level (log-normal, sd 0.25)"
	stepped.sd, stepped.steps, stepped.stepSD = 0.3, 3, 0.25
	clumped := plain
	clumped.name, clumped.tells = "clumps", "iid, and each hour an upstream restarts: 5 errors or more (Pareto, tail 1.5) within 20–60 s"
	clumped.clumps = 1
	batched := ar
	batched.name, batched.tells = "batch", "ar, and a nightly job makes half an hour ×8; its begin wanders (sd 40 min)"
	batched.batch = true
	slow := ar
	slow.name, slow.tells, slow.untuned, slow.rps = "ar 10 rps", "ar at 10 requests a second", true, 10
	fast := ar
	fast.name, fast.tells, fast.untuned, fast.rps = "ar 1000 rps", "ar at 1,000 requests a second", true, 1000
	quiet := hard
	quiet.name, quiet.tells, quiet.untuned = "small host", "hard at 2 requests a second, next to none at night", true
	quiet.rps, quiet.daily = 2, 0.98
	rough := ar
	rough.name, rough.tells, rough.regimes = "regimes", "ar whose sd changes about every four hours between 0.2 and 1", true
	rough.sd = 1
	dipping := ar
	dipping.name, dipping.tells, dipping.untuned, dipping.dips = "dips", "30 requests a second, 0.05 %, sd 0.3; every twenty minutes 10–20 s of about ×20", true, true
	dipping.rps, dipping.share, dipping.sd = 30, 0.0005, 0.3
	weekly := ar
	weekly.name, weekly.tells, weekly.untuned, weekly.weekend = "weekend", "ar; the baseline is a weekend: half the traffic, two thirds of the share", true, true
	restless := ar
	restless.name, restless.tells, restless.untuned = "restless", "ar whose sd wanders (log-normal around 0.4, sd 0.5, τ 8 h), and two deployments a day move the level (sd 0.2)", true
	restless.sd, restless.wander, restless.steps, restless.stepSD = 0.4, 0.5, 2, 0.2
	garch := ar
	garch.name, garch.tells, garch.untuned, garch.beyond, garch.garch = "garch", "ar whose moves are GARCH(1,1): large ones are followed by large ones for half an hour", true, true, true
	return []world{plain, ar, drifting, hard, stepped, clumped, batched, slow, fast, quiet, rough, dipping, weekly, restless, garch}
}

// stretch draws blocks of the world: before of the baseline and then after of the watch. A fault multiplies the
// watch's share by fault.
func (w world) stretch(r noise, before, after int, fault float64) []analysis.Count {
	total := before + after
	level := make([]float64, total) // the logarithm of what multiplies the share
	extra := make([]float64, total) // expected errors beyond the share
	w.addNoise(r, level)
	w.addSteps(r, level)
	w.addBursts(r, level)
	w.addBatch(r, level)
	w.addClumps(r, extra)
	w.addDips(r, level)
	phase := r.between(0, perDay) // baselines begin at any time of the day
	blocks := make([]analysis.Count, total)
	for i := range blocks {
		day := math.Sin(2 * math.Pi * (float64(i) + phase) / perDay)
		rps, share := w.rps, w.share*math.Exp(level[i]+w.tide*day)
		if w.weekend && i < before {
			rps, share = rps/2, share*2/3
		}
		n := r.poisson(rps * blockSeconds * (1 + w.daily*day))
		if i >= before {
			share *= fault
			if w.rise > 0 {
				share *= w.rise
			}
		}
		bad := r.poisson(float64(n)*share + extra[i])
		blocks[i] = analysis.Count{Bad: min(bad, n), Total: n}
	}
	return blocks
}

// Of GARCH(1,1): the moves have a kurtosis of 6 with these.
const (
	garchMove = 0.05
	garchKeep = 0.945
	garchRest = 1 - garchMove - garchKeep
)

func (w world) addNoise(r noise, level []float64) {
	if w.sd == 0 {
		return
	}
	d, sd := r.newDrift(1, w.tau*perMinute), w.sd
	var wandering drift
	if w.wander > 0 {
		wandering = r.newDrift(w.wander, 8*perHour)
	}
	now := 1.0 // of garch: the variance of moves, in units of the usual
	for i := range level {
		if w.wander > 0 {
			sd = w.sd * math.Exp(wandering.next(r))
		}
		if w.garch {
			move := math.Sqrt(now) * r.NormFloat64()
			d.x = d.keep*d.x + d.step*move
			now = garchRest + garchMove*move*move + garchKeep*now
			level[i] += sd * d.x
			continue
		}
		if w.regimes && (i == 0 || r.Float64() < 1.0/(4*perHour)) {
			sd = []float64{0.2, w.sd}[r.IntN(2)]
		}
		level[i] += sd*d.next(r) - sd*sd/2
	}
}

func (w world) addDips(r noise, level []float64) {
	if !w.dips {
		return
	}
	for range r.poisson(3 * float64(len(level)) / perHour) {
		from := r.IntN(len(level))
		height := math.Log(20) + 0.7*r.NormFloat64()
		for i := from; i < min(from+1+r.IntN(2), len(level)); i++ {
			level[i] += height
		}
	}
}

func (w world) addSteps(r noise, level []float64) {
	if w.steps == 0 {
		return
	}
	at := 0.0
	for i := range level {
		if i == 0 || r.Float64() < w.steps/perDay {
			at = w.stepSD * r.NormFloat64()
		}
		level[i] += at
	}
}

func (w world) addBursts(r noise, level []float64) {
	for range w.bursts * len(level) / (2 * perDay) {
		from, long := r.IntN(len(level)), int(r.between(1, 5)*perMinute)
		height := math.Log(r.between(5, 15))
		for i := from; i < min(from+long, len(level)); i++ {
			level[i] += height
		}
	}
}

func (w world) addBatch(r noise, level []float64) {
	if !w.batch {
		return
	}
	for night := 0; night < len(level); night += perDay {
		from := night + perDay/2 + int(40*perMinute*r.NormFloat64())
		for i := max(from, 0); i < min(from+30*perMinute, len(level)); i++ {
			level[i] += math.Log(8)
		}
	}
}

func (w world) addClumps(r noise, extra []float64) {
	for range r.poisson(w.clumps * float64(len(extra)) / perHour) {
		from, long := r.IntN(len(extra)), 2+r.IntN(5)
		size := math.Min(r.pareto(5, 1.5), 0.3*w.rps*120)
		for i := from; i < min(from+long, len(extra)); i++ {
			extra[i] += size / float64(long)
		}
	}
}
