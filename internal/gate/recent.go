package gate

import (
	"fmt"
	"math"
	"time"

	"graft/internal/analysis"
)

const (
	// recentBlocks are the last minutes before the swap.
	recentBlocks = int64(10 * time.Minute / analysis.Block)
	// recentPrior is how many bad ones weigh as much as what is already known: a few do not make a level.
	recentPrior = 5
	// recentRise is what makes it another level.
	recentRise = 1.5
	// recentMost is the largest share that is taken as a level.
	recentMost = 0.9
)

// rises are by how much each signal was above its level of the days before in the last minutes before the swap. 1:
// it was not.
type rises [signalCount]float64

func noRises() (r rises) {
	for i := range r {
		r[i] = 1
	}
	return r
}

// rise compares the minutes before until with the whole baseline. whole is that of the whole traffic, which a part
// of it with few requests goes by.
func (s *series) rise(signal int, b analysis.Baseline, until time.Time, whole float64) float64 {
	var all, last analysis.Count
	end := until.Unix() / blockSeconds
	for i, c := range b.Blocks {
		into := &all
		if at := b.From.Unix()/blockSeconds + int64(i); at >= end-recentBlocks {
			into = &last
		}
		into.Bad, into.Total = into.Bad+c.Bad, into.Total+c.Total
	}
	if all.Total == 0 || last.Total == 0 {
		return whole
	}
	expected := float64(last.Total) * math.Max(all.Share(), 1/float64(all.Total))
	r := (float64(last.Bad) + recentPrior*whole) / (expected + recentPrior)
	if r < recentRise {
		return 1
	}
	return r
}

// raised is the baseline at the level of the last minutes: what was worse already before the swap is no fault of the
// new binary. What it lacks before those is added evenly.
func raised(b analysis.Baseline, until time.Time, rise float64) analysis.Baseline {
	if rise <= 1 {
		return b
	}
	var all analysis.Count
	for _, c := range b.Blocks {
		all.Bad, all.Total = all.Bad+c.Bad, all.Total+c.Total
	}
	lacks := math.Min(rise*all.Share(), recentMost) - all.Share()
	owed := 0.0
	blocks := make([]analysis.Count, len(b.Blocks))
	last := until.Unix()/blockSeconds - recentBlocks - b.From.Unix()/blockSeconds
	for i, c := range b.Blocks {
		if int64(i) >= last {
			blocks[i] = c
			continue
		}
		owed += math.Max(0, lacks) * float64(c.Total)
		more := min(int64(owed), c.Total-c.Bad)
		owed -= float64(more)
		blocks[i] = analysis.Count{Bad: c.Bad + more, Total: c.Total}
	}
	return analysis.Baseline{From: b.From, Blocks: blocks}
}

// words tell which signals were above their levels already.
func (r rises) words() (list []string) {
	for i, signal := range compared {
		if r[i] > 1 {
			list = append(list, fmt.Sprintf("%s: in the last minutes before the swap it was %.1f times what the days before were; that is taken as its level", signal, r[i]))
		}
	}
	return list
}
