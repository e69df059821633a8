package main

import (
	"time"

	"graft/internal/analysis"
)

// concurrent is how long test C takes to alarm, within so many blocks.
func (p pair) concurrent(r noise, blocks int, fault float64) time.Duration {
	oldBefore, newBefore := p.stretch(r, baselineBlocks/4, 1)
	baseline := analysis.Baseline{From: start.Add(-time.Duration(len(oldBefore)) * analysis.Block)}
	for i := range oldBefore {
		baseline.Blocks = append(baseline.Blocks, analysis.Count{Bad: oldBefore[i].Bad + newBefore[i].Bad, Total: oldBefore[i].Total + newBefore[i].Total})
	}
	c := analysis.NewConcurrent(analysis.ConcurrentOptions{Signal: analysis.Errors5xx, Alpha: alpha, Baseline: &baseline})
	old, now := p.stretch(r, blocks, fault)
	for i := range old {
		c.Add(start.Add(time.Duration(i)*analysis.Block), old[i], now[i])
		if c.Alarmed() {
			return time.Duration(i+1) * analysis.Block
		}
	}
	return unseen
}
