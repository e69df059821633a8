package sketch

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var durations = rapid.SliceOf(rapid.OneOf(rapid.Int32Range(0, 300), rapid.Int32Range(0, Limit-1)))

func of(list []int32) *Sketch {
	s := new(Sketch)
	for _, ms := range list {
		s.Add(ms)
	}
	return s
}

func TestQuantilesAreWithinTheStatedError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := durations.Filter(func(l []int32) bool { return len(l) > 0 }).Draw(t, "durations")
		s := of(list)
		slices.Sort(list)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
			rank := max(int(math.Ceil(q*float64(len(list)))), 1)
			want, got := float64(list[rank-1]), s.Quantile(q)
			if math.Abs(got-want) > MaxError*want {
				t.Fatalf("quantile %g of %v: %g, want %g", q, list, got, want)
			}
		}
	})
}

// Every duration there can be, at once: buckets follow each other without a gap, none is too wide.
func TestEveryDurationIsInABucketThatIsNarrowEnough(t *testing.T) {
	last := -1
	for ms := int32(0); ms < Limit; ms++ {
		i := bucket(ms)
		if i != last && i != last+1 {
			t.Fatalf("%d ms is in bucket %d, after %d", ms, i, last)
		}
		if last = i; lowest(i) > ms || math.Abs(middle(i)-float64(ms)) > MaxError*float64(ms) {
			t.Fatalf("%d ms is in bucket %d from %d, told as %g", ms, i, lowest(i), middle(i))
		}
	}
	if last != buckets-1 {
		t.Errorf("the last of %d buckets is %d", buckets, last)
	}
	for ms, want := range map[int32]int{-1: 0, math.MinInt32: 0, Limit: buckets - 1, math.MaxInt32: buckets - 1} {
		if got := clamped(ms); got != want {
			t.Errorf("%d ms is in bucket %d, want %d", ms, got, want)
		}
	}
}

func clamped(ms int32) int {
	s := of([]int32{ms})
	return slices.IndexFunc(s.low[:], func(n uint32) bool { return n > 0 })
}

func TestMergeIsExactAssociativeAndCommutative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := durations.Draw(t, "a"), durations.Draw(t, "b"), durations.Draw(t, "c")
		whole := of(slices.Concat(a, b, c))

		left := of(a)
		left.Merge(of(b))
		left.Merge(of(c))

		bc := of(c)
		bc.Merge(of(b))
		bc.Merge(of(a))

		sparse := new(Sketch)
		for _, part := range [][]int32{b, a, c} {
			if err := sparse.MergeSparse(of(part).AppendSparse(nil)); err != nil {
				t.Fatal(err)
			}
		}
		for name, got := range map[string]*Sketch{"(ab)c": left, "(cb)a": bc, "sparse": sparse} {
			if *got.plain() != *whole.plain() {
				t.Fatalf("%s is not the whole", name)
			}
		}
	})
}

// plain is what can be compared of a sketch without counts above four thousand million.
func (s *Sketch) plain() *struct {
	total uint64
	low   [buckets]uint32
} {
	return &struct {
		total uint64
		low   [buckets]uint32
	}{s.total, s.low}
}

func TestCountsBeyond32BitsAreKept(t *testing.T) {
	s := of([]int32{5, 5, 9})
	for range 40 { // doubled each time
		s.Merge(s.Clone())
	}
	if want := int64(3) << 40; s.Count() != want {
		t.Errorf("%d in all, want %d", s.Count(), want)
	}
	if got, want := s.CountAbove(5), int64(1)<<40; got != want {
		t.Errorf("%d above 5 ms, want %d", got, want)
	}
	s.low[9] = math.MaxUint32
	before := s.at(9)
	s.Add(9)
	if s.at(9) != before+1 {
		t.Errorf("one more than %d is %d", before, s.at(9))
	}
	clone := s.Clone()
	clone.Add(9)
	clone.carry(9, 1)
	if s.at(9) != before+1 {
		t.Error("a clone shares counts with its origin")
	}
	var back Sketch
	if err := back.MergeSparse(s.AppendSparse(nil)); err != nil || back.at(9) != s.at(9) || back.at(5) != s.at(5) {
		t.Errorf("sparse form: %v, %d and %d", err, back.at(9), back.at(5))
	}
}

func TestCountAboveCutsWhereTheQuantileIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := durations.Draw(t, "durations")
		ms := rapid.Int32Range(0, Limit-1).Draw(t, "ms")
		s := of(list)
		want := int64(0)
		for _, d := range list {
			if bucket(d) > bucket(ms) {
				want++
			}
		}
		above, all := CountAboveSparse(s.AppendSparse(nil), ms)
		if got := s.CountAbove(ms); got != want || above != want || all != int64(len(list)) {
			t.Fatalf("above %d ms: %d; of the sparse form %d of %d; want %d of %d", ms, got, above, all, want, len(list))
		}
		if p95 := s.Quantile(0.95); s.CountAbove(int32(p95)) > int64(len(list))/20 {
			t.Fatalf("%d of %d are above their p95, %g ms", s.CountAbove(int32(p95)), len(list), p95)
		}
	})
}

func TestASketchIsReadBackFromJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := of(durations.Draw(t, "durations"))
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back := of([]int32{1, 2, 3})
		if err := json.Unmarshal(text, back); err != nil {
			t.Fatal(err)
		}
		if *back.plain() != *s.plain() {
			t.Fatalf("%s is read back as something else", text)
		}
	})
	text, err := json.Marshal(of([]int32{0, 7, 7, 1001}))
	if diff := cmp.Diff(`[[0,1],[7,2],[1000,1]]`, string(text)); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, bad := range []string{`{}`, `[[129,1]]`, `[[16777216,1]]`, `[[-1,1]]`, `[[18446744073709551615,1]]`} {
		if err := json.Unmarshal([]byte(bad), new(Sketch)); err == nil {
			t.Errorf("%s is taken for a sketch", bad)
		}
	}
}

func FuzzMergeSparse(f *testing.F) {
	f.Add(of([]int32{0, 1, 500, Limit}).AppendSparse(nil))
	f.Add([]byte{0, 1})
	f.Add([]byte{1, 0})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Sketch
		if err := s.MergeSparse(b); err != nil {
			if s.total != 0 {
				t.Fatalf("%v, and the sketch is not as it was", err)
			}
			return
		}
		var back Sketch
		if err := back.MergeSparse(s.AppendSparse(nil)); err != nil || *back.plain() != *s.plain() {
			t.Fatalf("%x is not written as it is read: %v", b, err)
		}
	})
}

func TestASketchIsSmallAndAddsWithoutAllocation(t *testing.T) {
	if size := unsafe.Sizeof(Sketch{}); size > 5<<10 {
		t.Errorf("%d bytes", size)
	}
	s := new(Sketch)
	if n := testing.AllocsPerRun(100, func() { s.Add(12345) }); n != 0 {
		t.Errorf("%g allocations an Add", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	s := new(Sketch)
	var ms [1024]int32
	for i := range ms {
		ms[i] = int32(i*i) & 0x3fff
	}
	for i := range b.N {
		s.Add(ms[i&1023])
	}
}
