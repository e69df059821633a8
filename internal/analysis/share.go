package analysis

import "math"

// Bounds of the comparison of two shares of 5xx. A difference must be large enough to matter, and so
// unlikely under equal shares (about 3 in 100,000 for one look) that looking every second for days
// does not find it by chance often.
//
// That holds for errors that come one by one. Errors in clumps, as an upstream's restart makes them,
// are more uneven than the test believes: the bounds on size are what keeps small clumps from
// failing a gate, and a large one does fail it. See the design of the sequential tests for better.
const (
	minErrors = 10    // answers of 5xx
	minDoubt  = 3     // answers of 5xx that are worth waiting for more of
	minExcess = 0.005 // of the share
	minZ      = 4.0

	// Sudden breakage, judged by the last minutes alone.
	suddenShare = 0.10
	suddenTimes = 10 // times the share before
)

// finding is what a comparison comes to, better ones first.
type finding int

const (
	fine     finding = iota
	doubtful         // worse, but it may be chance
	worse
)

// sample is a share measured on n requests.
type sample struct{ share, n float64 }

func (r Requests) sample() sample { return sample{r.Share(), float64(r.Total)} }

// compare tests whether the share rose: one-sided, two proportions, pooled. Without anything before
// there is nothing to be worse than, and only a majority of errors is.
func compare(before sample, after Requests) (finding, float64) {
	p2, n2 := after.Share(), float64(after.Total)
	excess := p2 - before.share
	if after.Errors5xx < minDoubt || excess < minExcess {
		return fine, 0
	}
	if before.n == 0 {
		if after.Errors5xx >= minErrors && p2 > 0.5 {
			return worse, math.Inf(1)
		}
		return doubtful, 0
	}
	pooled := (before.share*before.n + p2*n2) / (before.n + n2)
	z := excess / math.Sqrt(pooled*(1-pooled)*(1/before.n+1/n2))
	if after.Errors5xx >= minErrors && z >= minZ {
		return worse, z
	}
	return doubtful, z
}

// together compares all logs at once, so that a fault spread thinly over many shows: against the
// share that today's mix of traffic would have had before. Logs without a past are left out.
func together(logs []LogShare) (before sample, after Requests) {
	for _, l := range logs {
		if l.Before.Total > 0 {
			after.Total += l.After.Total
			after.Errors5xx += l.After.Errors5xx
		}
	}
	if after.Total == 0 {
		return sample{}, Requests{}
	}
	spread := 0.0
	for _, l := range logs {
		if l.Before.Total > 0 {
			weight := float64(l.After.Total) / float64(after.Total)
			before.share += weight * l.Before.Share()
			spread += weight * weight / float64(l.Before.Total)
		}
	}
	before.n = 1 / spread // of one sample as uncertain as the weighted ones are
	return before, after
}

// sudden tells whether the last minutes alone are beyond doubt.
func sudden(before float64, recent Requests, least int64) bool {
	return recent.Errors5xx >= least && recent.Share() >= max(suddenShare, min(suddenTimes*before, 1))
}
