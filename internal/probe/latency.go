package probe

import (
	"encoding/json"
	"math/bits"
	"time"
)

// Latency sums up how long requests took, from before connecting (where a connection was opened)
// to the last byte, in a histogram of 32 steps for each power of two: a quantile is at most 1.6 %
// off. Max is exact.
type Latency struct {
	counts []int64 // by bucket
	total  int64
	max    time.Duration
}

const (
	subBits = 5
	// buckets reach 2^44 ns, five hours; longer ones fall into the last.
	buckets = (44 - subBits + 1) << subBits
)

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < 1<<subBits {
		return int(n)
	}
	shift := bits.Len64(n) - subBits - 1
	return min((shift+1)<<subBits|int(n>>shift)&(1<<subBits-1), buckets-1)
}

// middleOf is the middle of a bucket.
func middleOf(bucket int) time.Duration {
	if bucket < 1<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	low := (1<<subBits + bucket&(1<<subBits-1)) << shift
	return time.Duration(low + 1<<shift/2)
}

func (l *Latency) add(d time.Duration) {
	if l.counts == nil {
		l.counts = make([]int64, buckets)
	}
	l.counts[bucketOf(d)]++
	l.total++
	l.max = max(l.max, d)
}

// Quantile is the latency that the share q (0 to 1) of the requests did not exceed, 0 without any.
func (l *Latency) Quantile(q float64) time.Duration {
	if l.total == 0 {
		return 0
	}
	rank := min(int64(q*float64(l.total)), l.total-1)
	for bucket, n := range l.counts {
		if rank -= n; rank < 0 {
			return min(middleOf(bucket), l.max)
		}
	}
	return l.max
}

// Max is the longest.
func (l *Latency) Max() time.Duration { return l.max }

func (l *Latency) merge(other *Latency) {
	if other.total == 0 {
		return
	}
	if l.counts == nil {
		l.counts = make([]int64, buckets)
	}
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.total += other.total
	l.max = max(l.max, other.max)
}

// MarshalJSON gives {"p50_us":,"p99_us":,"max_us":}, in microseconds.
func (l Latency) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		P50 int64 `json:"p50_us"`
		P99 int64 `json:"p99_us"`
		Max int64 `json:"max_us"`
	}{l.Quantile(0.50).Microseconds(), l.Quantile(0.99).Microseconds(), l.max.Microseconds()})
}
