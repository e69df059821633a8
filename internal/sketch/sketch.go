package sketch

import "math/bits"

// MaxError is the largest relative error of a quantile below [Limit].
const MaxError = 1.0 / 128

// Limit is the first duration, in ms, that is no longer told from longer ones (4 h 39 min).
const Limit = 1 << limitBits

const (
	perOctave = 64 // buckets for each doubling
	exactBits = 7  // durations of so many bits have a bucket each
	limitBits = 24
	buckets   = perOctave * (limitBits - exactBits + 2)
)

// Sketch counts durations in ms. The zero value is empty and ready; a copy counts on its own only
// after [Sketch.Clone].
type Sketch struct {
	total uint64
	low   [buckets]uint32
	high  []uint32 // what overflowed low, bucket by bucket; nil below four thousand million
}

// Add counts a duration in ms; a negative one counts as 0, one of [Limit] and more as just below it.
func (s *Sketch) Add(ms int32) {
	i := bucket(ms)
	s.total++
	s.low[i]++
	if s.low[i] == 0 {
		s.carry(i, 1)
	}
}

func (s *Sketch) addN(i int, n uint64) {
	s.total += n
	sum := uint64(s.low[i]) + n&(1<<32-1)
	s.low[i] = uint32(sum)
	if carry := sum>>32 + n>>32; carry > 0 {
		s.carry(i, uint32(carry))
	}
}

func (s *Sketch) carry(i int, n uint32) {
	if s.high == nil {
		s.high = make([]uint32, buckets)
	}
	s.high[i] += n
}

func (s *Sketch) at(i int) uint64 {
	if s.high == nil {
		return uint64(s.low[i])
	}
	return uint64(s.high[i])<<32 | uint64(s.low[i])
}

// Merge adds all that another sketch counted.
func (s *Sketch) Merge(other *Sketch) {
	if other.total == 0 {
		return
	}
	for i := range other.low {
		if n := other.at(i); n > 0 {
			s.addN(i, n)
		}
	}
}

// Clone is a copy that shares nothing.
func (s *Sketch) Clone() *Sketch {
	c := *s
	if s.high != nil {
		c.high = append([]uint32(nil), s.high...)
	}
	return &c
}

// Reset forgets everything.
func (s *Sketch) Reset() { *s = Sketch{} }

// Count is how many durations there are.
func (s *Sketch) Count() int64 { return int64(s.total) }

// Quantile is the duration in ms that a share q (0 to 1) of all is not longer than, off by
// [MaxError] at most; 0 of none.
func (s *Sketch) Quantile(q float64) float64 {
	if s.total == 0 {
		return 0
	}
	// The rank is counted from 1, as that of sorted durations.
	rank := uint64(q * float64(s.total))
	if float64(rank) < q*float64(s.total) || rank == 0 {
		rank++
	}
	rank = min(rank, s.total)
	seen := uint64(0)
	for i := range s.low {
		if seen += s.at(i); seen >= rank {
			return middle(i)
		}
	}
	return Limit
}

// CountAbove is how many durations are longer than ms: those of the buckets behind the one that ms is
// in. It is exact for ms below 128 and where ms is a bucket's end; else ms is off by twice [MaxError]
// at most. What [Sketch.Quantile] gave is a good ms: every sketch cuts there alike.
func (s *Sketch) CountAbove(ms int32) int64 {
	n := uint64(0)
	for i := bucket(ms) + 1; i < buckets; i++ {
		n += s.at(i)
	}
	return int64(n)
}

func bucket(ms int32) int {
	if uint32(ms) < 1<<exactBits {
		return int(ms)
	}
	return wide(ms)
}

// wide is the bucket of a duration that has none of its own.
func wide(ms int32) int {
	v := uint32(min(max(ms, 0), Limit-1))
	if v < 1<<exactBits {
		return int(v)
	}
	shift := bits.Len32(v) - exactBits
	return shift*perOctave + int(v>>shift)
}

// lowest is the shortest duration of a bucket, in ms.
func lowest(i int) int32 {
	if i < 1<<exactBits {
		return int32(i)
	}
	shift := i/perOctave - 1
	return int32(i-shift*perOctave) << shift
}

func middle(i int) float64 {
	width := 1.0
	if i >= 1<<exactBits {
		width = float64(int32(1) << (i/perOctave - 1))
	}
	return float64(lowest(i)) + (width-1)/2
}
