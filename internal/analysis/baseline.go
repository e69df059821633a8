package analysis

import (
	"math"
	"time"
)

// Block is the time over which every test counts. Blocks are aligned to Unix time.
const Block = 10 * time.Second

const (
	blockSeconds = int64(Block / time.Second)
	daySeconds   = 24 * 60 * 60
)

// Baseline is one signal in the time before: blocks without a gap, of which those with Total 0 tell nothing
// (no log, or no request).
type Baseline struct {
	From   time.Time // of the first block; what is not aligned to Block is cut off
	Blocks []Count   // one for each 10 s
}

// blockOf numbers blocks from 1970 on.
func blockOf(at time.Time) int64 { return at.Unix() / blockSeconds }

func blockTime(block int64) time.Time { return time.Unix(block*blockSeconds, 0).UTC() }

// level is the share of bad ones to expect at a time of day, and how well that is known.
type level struct {
	Hours [24]float64 `json:"hours"` // the share at the middle of each hour of the (Unix) day
	// Known is the relative error of the level (a standard deviation of its logarithm): noise that lasts makes
	// even a long baseline's mean a matter of chance.
	Known  float64 `json:"known"`
	Spread float64 `json:"spread"` // LRV: seconds; the variance that relative noise has in a long mean, times its length
	Span   float64 `json:"span"`   // seconds of the baseline that tell something
	Count  Count   `json:"count"`
}

// at is the expected share at a block: between the middles of two hours along the straight line.
func (l *level) at(block int64) float64 {
	x := float64(block*blockSeconds%daySeconds)/3600 - 0.5
	if x < 0 {
		x += 24
	}
	i := int(x)
	f := x - float64(i)
	return l.Hours[i]*(1-f) + l.Hours[(i+1)%24]*f
}

// Half of one bad one is added to what was seen: never does nothing seen mean nothing expected.
const halfSeen = 0.5

// newLevel learns the level by the hours, the neighbours' and those of all days together, drawn to the common mean
// as far as noise alone explains that hours differ.
func newLevel(b Baseline) level {
	first := blockOf(b.From)
	var hours [24]Count
	var seen [24]float64
	var l level
	for i, c := range b.Blocks {
		if c.Total <= 0 {
			continue
		}
		h := (first + int64(i)) * blockSeconds % daySeconds / 3600
		hours[h] = hours[h].plus(c)
		seen[h] += float64(blockSeconds)
		l.Count = l.Count.plus(c)
		l.Span += float64(blockSeconds)
	}
	mean := (float64(l.Count.Bad) + halfSeen) / math.Max(float64(l.Count.Total), 1)
	raw := smoothHours(hours, mean)
	l.Hours = raw
	l.Spread = spread(b, &l)
	var between, noise, known float64
	for h := range raw {
		s := seen[(h+23)%24] + seen[h] + seen[(h+1)%24]
		if s == 0 {
			continue
		}
		k := float64(hours[(h+23)%24].Bad+hours[h].Bad+hours[(h+1)%24].Bad) + halfSeen
		between += math.Pow(raw[h]/mean-1, 2)
		noise += l.Spread/s + 1/k
		known++
	}
	keep := 0.0
	if between > noise {
		keep = 1 - noise/between
	}
	for h := range raw {
		l.Hours[h] = mean + keep*(raw[h]-mean)
	}
	l.widen(seen, mean)
	if l.Span > 0 {
		perHour := keep * keep * noise / math.Max(known, 1)
		l.Known = math.Sqrt(l.Spread/l.Span + 1/(float64(l.Count.Bad)+halfSeen) + perHour + l.unseen())
	}
	return l
}

const (
	// What a short baseline cannot know is taken to be large. Hours of the day that it does not reach may have twice
	// the level; noise may last longer than what was seen of it, up to an hour; there is some, with a standard
	// deviation of a third and lasting five minutes, that goes unseen in less than a day; and a level of an hour or
	// less may be off by a factor of e (a standard deviation), one of two days is as good as it looks.
	unknownTide  = 2
	longestNoise = 3600 // seconds
	unseenNoise  = 60   // seconds, as Spread
	unseenLevel  = 0.5  // a variance of the logarithm
	shortSpan    = 2 * 3600.0
	longSpan     = 2 * daySeconds
)

// widen takes account of what the baseline is too short to know.
func (l *level) widen(seen [24]float64, mean float64) {
	for h := range l.Hours {
		if seen[(h+23)%24]+seen[h]+seen[(h+1)%24] == 0 {
			l.Hours[h] = unknownTide * mean
		}
	}
	reached := float64(blockSeconds)
	for _, scale := range spreadScales {
		if long := float64(int64(scale) * blockSeconds); 8*long <= l.Span {
			reached = long
		}
	}
	l.Spread = math.Max(l.Spread*longestNoise/reached, unseenNoise*(1-l.Span/daySeconds))
}

// unseen is the variance of the level's logarithm that a short baseline has no sign of.
func (l *level) unseen() float64 {
	return unseenLevel * math.Min(math.Max(shortSpan/l.Span-shortSpan/longSpan, 0), 2)
}

func smoothHours(hours [24]Count, mean float64) [24]float64 {
	var raw [24]float64
	for h := range hours {
		c := hours[(h+23)%24].plus(hours[h]).plus(hours[(h+1)%24])
		raw[h] = mean
		if c.Total > 0 {
			// One expected bad one of the common mean keeps hours of little traffic from meaning nothing.
			raw[h] = (float64(c.Bad) + 1) / (float64(c.Total) + 1/mean)
		}
	}
	return raw
}

// spreadScales are the lengths at which noise is looked for, in blocks: 10 s to 1 h.
var spreadScales = [...]int{1, 3, 6, 12, 30, 60, twenty, hourly}

const (
	twenty = 120 // blocks of 10 s are twenty minutes
	hourly = 360
	// mostGrowth from twenty minutes to an hour is what noise that lasts an hour has; beyond it nothing is told.
	mostGrowth = 2.4
)

// spread is the largest, over block lengths, of (variance of the relative excess over what Poisson counts have) ×
// length. Where that still grows between twenty minutes and an hour, the noise lasts longer than the hour shows, and
// its whole is extrapolated: exponentially correlated noise of 5 (30) minutes grows 1.2 (2.1) times, and then has 1.1
// (1.8) times what an hour shows.
func spread(b Baseline, l *level) float64 {
	largest, twentyMinutes, hour := 0.0, 0.0, 0.0
	for _, scale := range spreadScales {
		if len(b.Blocks) < 8*scale {
			break
		}
		v := relativeVariance(b, l, scale) * float64(scale) * float64(blockSeconds)
		largest = math.Max(largest, v)
		switch scale {
		case twenty:
			twentyMinutes = v
		case hourly:
			hour = v
		}
	}
	if twentyMinutes > 0 && hour > twentyMinutes {
		largest = math.Max(largest, hour*2/(3-math.Min(hour/twentyMinutes, mostGrowth)))
	}
	return largest
}

// relativeVariance is the variance, beyond Poisson's, of the ratio of what is seen to what is expected in stretches of
// so many blocks. By chance it may be negative.
func relativeVariance(b Baseline, l *level, scale int) float64 {
	first := blockOf(b.From)
	var excess, square float64
	for i := 0; i+scale <= len(b.Blocks); i += scale {
		var k, mu float64
		for j := i; j < i+scale; j++ {
			if n := b.Blocks[j].Total; n > 0 {
				k += float64(b.Blocks[j].Bad)
				mu += float64(n) * l.at(first+int64(j))
			}
		}
		excess += (k-mu)*(k-mu) - mu
		square += mu * mu
	}
	if square == 0 {
		return 0
	}
	return excess / square
}

func (c Count) plus(d Count) Count { return Count{Bad: c.Bad + d.Bad, Total: c.Total + d.Total} }
