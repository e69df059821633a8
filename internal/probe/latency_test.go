package probe

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQuantilesAreWithinTheirError compares the histogram with the sorted sample.
func TestQuantilesAreWithinTheirError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sample := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 200).Draw(t, "sample")
		var whole, left, right Latency
		for i, n := range sample {
			whole.add(time.Duration(n))
			if i%2 == 0 {
				left.add(time.Duration(n))
			} else {
				right.add(time.Duration(n))
			}
		}
		left.merge(&right)
		slices.Sort(sample)
		for _, q := range []float64{0, 0.5, 0.99, 1} {
			want := float64(sample[min(int(q*float64(len(sample))), len(sample)-1)])
			got := float64(whole.Quantile(q))
			if math.Abs(got-want) > want/64+1 {
				t.Errorf("quantile %v of %v: %v; want %v", q, sample, got, want)
			}
			if merged := left.Quantile(q); float64(merged) != got {
				t.Errorf("merged quantile %v: %v, not %v", q, merged, got)
			}
		}
		if int64(whole.Max()) != sample[len(sample)-1] {
			t.Errorf("max %v of %v", whole.Max(), sample)
		}
	})
}
