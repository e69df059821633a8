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
		// Within a block one looks each second only where the delay is what is measured: it makes no false alarms
		// more.
		parts := 1
		if fault > 1 {
			parts = blockSeconds
		}
		for part := range parts {
			at := time.Duration(i)*analysis.Block + time.Duration(part)*time.Second
			c.Add(start.Add(at), r.take(&old[i], parts-part), r.take(&now[i], parts-part))
			if c.Alarmed() {
				return at + analysis.Block/time.Duration(parts)
			}
		}
	}
	return unseen
}

// take takes one of so many equal parts out of a count, at random.
func (r noise) take(c *analysis.Count, parts int) analysis.Count {
	if parts == 1 {
		return *c
	}
	part := analysis.Count{Total: c.Total / int64(parts)}
	for range c.Bad {
		if r.IntN(parts) == 0 {
			part.Bad++
		}
	}
	part.Bad = min(part.Bad, part.Total)
	c.Bad -= part.Bad
	c.Total -= part.Total
	return part
}
