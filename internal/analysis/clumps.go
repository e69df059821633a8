package analysis

import "math"

// clumps tells how far bad ones come together and not one by one: then a clump on one side is one event, not many.
type clumps struct {
	Square float64 `json:"square"` // sum of squared deviations, in units of what single ones have
	Bad    float64 `json:"bad"`    // sum of bad ones
	Usual  float64 `json:"usual"`  // bad ones of a stretch
	Seen   float64 `json:"seen"`   // stretches
}

const (
	suspectedClump = 2  // the size of clumps where nothing is known
	priorBad       = 30 // bad ones that what was known before counts as
	priorStretches = 30
	mostAtOnce     = 8 // bad ones that a stretch can count for, beyond twice what is usual
	mostClumps     = 3

	certainly = 1.2 // the size from which on there are clumps
	unlike    = 1.5 // clumps differ in size, and the largest are yet to come
)

// newClumps learns from a baseline by comparing each block with the next: what both have in common, traffic and slow
// noise, is no clump.
func newClumps(b *Baseline) clumps {
	c := clumps{Square: suspectedClump * priorBad, Bad: priorBad}
	if b == nil {
		return c
	}
	var square, bad, blocks float64
	for i := 1; i < len(b.Blocks); i++ {
		x, y := b.Blocks[i-1], b.Blocks[i]
		if x.Total <= 0 || y.Total <= 0 {
			continue
		}
		k := float64(x.Bad + y.Bad)
		q := float64(y.Total) / float64(x.Total+y.Total)
		square += math.Pow(float64(y.Bad)-k*q, 2) / (q * (1 - q))
		bad += k
		blocks++
	}
	if bad < priorBad {
		return c
	}
	c.Square = math.Max(square/bad, 1) * priorBad
	c.Usual, c.Seen = bad/2/blocks*priorStretches, priorStretches
	return c
}

// weight is what a bad one counts for in a stretch with k of them: less where they come in clumps. Never do all of a
// stretch count for more than some, for one heavy client is no fault of the new workers; where there are clumps, for
// more than three of them.
func (c *clumps) weight(k float64) float64 {
	size := c.Square / c.Bad
	if size > certainly {
		size = 1 + unlike*(size-1)
	}
	size = math.Max(size, 1)
	most := math.Max(mostClumps, mostAtOnce/size) + 2*c.Usual/math.Max(c.Seen, 1)/size
	return math.Min(1/size, most/math.Max(k, 1))
}

// see learns from a stretch; part is that of its bad ones which falls to the new workers as things stand, so that a
// lasting difference is no clump.
func (c *clumps) see(old, now, part float64) {
	c.Seen++
	c.Usual += old + now
	if k := old + now; k > 0 {
		c.Square += math.Pow(now-k*part, 2) / (part * (1 - part))
		c.Bad += k
	}
}
