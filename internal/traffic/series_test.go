package traffic

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

var records = rapid.Custom(func(t *rapid.T) accesslog.Record {
	return accesslog.Record{
		Time:             rapid.Int64Range(0, 400).Draw(t, "time") * 7,
		Status:           rapid.SampledFrom([]int{0, 101, 200, 206, 304, 400, 404, 499, 500, 502, 599, 600, 999}).Draw(t, "status"),
		RequestTime:      rapid.Int32Range(-1, 100_000).Draw(t, "request_time"),
		UpstreamTime:     rapid.Int32Range(-1, 100_000).Draw(t, "upstream_time"),
		UpstreamFailures: rapid.Uint8Range(0, 2).Draw(t, "failures"),
		Bytes:            rapid.Int64Range(-1, 1<<40).Draw(t, "bytes"),
	}
})

// text is all that a series knows.
func text(t interface{ Fatal(...any) }, s *Series) string {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPartsAddUpToTheWholeInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(records).Draw(t, "records")
		var whole Series
		parts := make([]Series, 3)
		for _, r := range all {
			whole.Add(&r)
			parts[rapid.IntRange(0, 2).Draw(t, "part")].Add(&r)
		}
		var ab, cba Series
		for i := range parts {
			ab.Merge(&parts[i])
			cba.Merge(&parts[len(parts)-1-i])
		}
		if diff := cmp.Diff(text(t, &whole), text(t, &ab)); diff != "" {
			t.Fatalf("merged (-whole +merged)\n%s", diff)
		}
		if diff := cmp.Diff(text(t, &ab), text(t, &cba)); diff != "" {
			t.Fatalf("merged backwards\n%s", diff)
		}
		var back Series
		if err := json.Unmarshal([]byte(text(t, &whole)), &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text(t, &whole), text(t, &back)); diff != "" {
			t.Fatalf("read back\n%s", diff)
		}
	})
}

// A plain count of the same records, one signal and one window after the other.
func TestCountsAreThoseOfEachWindow(t *testing.T) {
	const threshold = 90 // of a bucket of its own
	bad := map[analysis.Signal]func(accesslog.Record) (bad, counts bool){
		analysis.Errors5xx:    func(r accesslog.Record) (bool, bool) { return r.Status/100 == 5, true },
		analysis.Errors4xx:    func(r accesslog.Record) (bool, bool) { return r.Status/100 == 4 && r.Status != 499, true },
		analysis.ClientClosed: func(r accesslog.Record) (bool, bool) { return r.Status == 499, true },
		analysis.UpstreamErrors: func(r accesslog.Record) (bool, bool) {
			return r.UpstreamFailures > 0, r.UpstreamFailures > 0 || r.UpstreamTime >= 0
		},
		analysis.SlowP95:      func(r accesslog.Record) (bool, bool) { return r.RequestTime > threshold, r.RequestTime >= 0 },
		analysis.SlowP99:      func(r accesslog.Record) (bool, bool) { return r.RequestTime > threshold, r.RequestTime >= 0 },
		analysis.UpstreamSlow: func(r accesslog.Record) (bool, bool) { return r.UpstreamTime > threshold, r.UpstreamTime >= 0 },
		analysis.Volume:       func(accesslog.Record) (bool, bool) { return false, true },
	}
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(records).Draw(t, "records")
		var s Series
		for _, r := range all {
			s.Add(&r)
		}
		for signal, is := range bad {
			want := map[int64]analysis.Count{}
			for _, r := range all {
				if r.Time < Width { // untimed
					continue
				}
				c := want[r.Time/Width]
				if b, counts := is(r); counts {
					c.Total++
					if b {
						c.Bad++
					}
				}
				want[r.Time/Width] = c
			}
			got := s.Counts(signal, threshold)
			for i, c := range got.Blocks {
				at := got.From.Unix()/Width + int64(i)
				if c != want[at] {
					t.Fatalf("%s at %d: %+v, want %+v", signal, at*Width, c, want[at])
				}
				delete(want, at)
			}
			if len(want) > 0 {
				t.Fatalf("%s: %v are in no block", signal, want)
			}
		}
	})
}

func TestRequestsWithoutATimeAreCountedApart(t *testing.T) {
	var s Series
	s.Add(&accesslog.Record{Status: 502, RequestTime: -1, UpstreamTime: -1, Bytes: -1})
	if s.Untimed.Requests != 1 || s.Untimed.Classes[5] != 1 {
		t.Errorf("untimed %+v", s.Untimed)
	}
	if _, _, ok := s.Span(); ok {
		t.Error("the series has a span")
	}
}

func TestLinesOfAWrongClockAreLeftOut(t *testing.T) {
	var s Series
	for _, at := range []int64{20, 1_800_000_000, 1_800_000_020, 4_000_000_000} {
		s.Add(&accesslog.Record{Time: at, Status: 200, RequestTime: -1, UpstreamTime: -1})
	}
	got := s.Counts(analysis.Volume, 0)
	if diff := cmp.Diff([]analysis.Count{{Total: 1}, {}, {Total: 1}}, got.Blocks); diff != "" || got.From.Unix() != 1_800_000_000 {
		t.Errorf("from %v\n%s", got.From, diff)
	}
}

// A series of weeks holds durations by the minute. What was counted adds up all the same, and parts that are
// short enough to hold them by the window become the same whole.
func TestALongSeriesHoldsDurationsOfLongerStretches(t *testing.T) {
	const days = 10
	var whole Series
	parts := make([]Series, days)
	slow := int64(0)
	for i := range days * 8640 {
		r := accesslog.Record{Time: 1_800_000_000 + int64(i)*Width, Status: 200, RequestTime: 10, UpstreamTime: -1}
		if i%5 == 0 {
			r.RequestTime = 100
			slow++
		}
		whole.Add(&r)
		parts[i/8640].Add(&r)
	}
	var merged Series
	for i := range parts {
		if got := parts[i].times.length(); got != 1 && i != 0 {
			t.Errorf("a day has durations by %d windows", got)
		}
		merged.Merge(&parts[i])
	}
	if text(t, &whole) != text(t, &merged) {
		t.Error("the parts together are not the whole")
	}
	if got := whole.times.length(); got != 6 || len(whole.times.by) > stretches {
		t.Errorf("durations by %d windows, %d stretches", got, len(whole.times.by))
	}
	bad, total := int64(0), int64(0)
	for _, c := range whole.Counts(analysis.SlowP95, 50).Blocks {
		if c.Bad < 0 || c.Bad > c.Total {
			t.Fatalf("%+v cannot be", c)
		}
		bad, total = bad+c.Bad, total+c.Total
	}
	if bad != slow || total != days*8640 {
		t.Errorf("%d slow of %d, want %d of %d", bad, total, slow, days*8640)
	}
	all, steps := whole.Range(time.Time{}, time.Time{}), int64(0)
	whole.Steps(3600, func(_ time.Time, tally *Tally) {
		if tally.Requests != tally.Time.Count() {
			t.Fatalf("a step of %d requests has %d durations", tally.Requests, tally.Time.Count())
		}
		steps += tally.Requests
	})
	if all.Requests != days*8640 || all.Time.Count() != days*8640 || steps != all.Requests {
		t.Errorf("%d requests, %d durations, %d in steps", all.Requests, all.Time.Count(), steps)
	}
}

func TestHoursOfTheDayAreThoseOfTheirPlace(t *testing.T) {
	var s Series
	for hour := range int64(72) {
		s.Add(&accesslog.Record{Time: 1_800_000_000/86400*86400 + hour*3600, Status: 200, RequestTime: int32(hour % 24), UpstreamTime: -1})
	}
	east := time.FixedZone("east", 2*3600)
	if got := s.HourOfDay(5, east); got.Requests != 3 || got.Time.Quantile(0) != 3 || got.Time.Quantile(1) != 3 {
		t.Errorf("%d requests of %g to %g ms", got.Requests, got.Time.Quantile(0), got.Time.Quantile(1))
	}
}

func TestADamagedSeriesIsRefused(t *testing.T) {
	for _, text := range []string{
		`{"width":60,"stretch":1}`,
		`{"width":10}`,
		`{"width":10,"stretch":1,"windows":[{"at":7}]}`,
		`{"width":10,"stretch":1,"windows":[{"at":10},{"at":10}]}`,
		`{"width":10,"stretch":1,"durations":[{"at":7}]}`,
		`{"width":10,"stretch":6,"durations":[{"at":10}]}`,
		`{"width":10,"stretch":1,"durations":[{"at":10},{"at":10}]}`,
		`{"width":10,"stretch":1,"durations":[{"at":10,"time":"AAA="}]}`,
		`{"width":10,"stretch":1,"durations":[{"at":10,"upstream":"gICAgICAgICAgICA"}]}`,
	} {
		s := Series{Untimed: Sums{Requests: 7}}
		if err := json.Unmarshal([]byte(text), &s); err == nil || s.Untimed.Requests != 7 {
			t.Errorf("%s: %v, and the series is %+v", text, err, s.Untimed)
		}
	}
}

func TestTopIsExactForFewNamesAndBoundedForMany(t *testing.T) {
	var top Top
	for i := range 3 * topRoom {
		top.Add([]byte{'/', byte(i), byte(i >> 8)})
		top.Add([]byte("/broken"))
	}
	if len(top.counts) > topRoom {
		t.Errorf("%d names are held", len(top.counts))
	}
	first := top.First(1)
	if len(first) != 1 || first[0] != (Named{"/broken", 3 * topRoom}) {
		t.Errorf("first %+v", first)
	}
	var a, b Top
	for range 3 {
		a.Add([]byte("x"))
	}
	b.Add([]byte("x"))
	b.Add([]byte("y"))
	a.Merge(&b)
	if diff := cmp.Diff([]Named{{"x", 4}, {"y", 1}}, a.First(9)); diff != "" || a.Short() != 0 {
		t.Errorf("merged, short by %d\n%s", a.Short(), diff)
	}
}

func BenchmarkSeriesAdd(b *testing.B) {
	var s Series
	r := accesslog.Record{Time: 1_800_000_000, Status: 200, RequestTime: 12, UpstreamTime: 11, Bytes: 5120}
	b.ReportAllocs()
	for i := range b.N {
		r.Time = 1_800_000_000 + int64(i>>10) // a thousand requests a second
		r.RequestTime = int32(i*7919) & 1023
		r.UpstreamTime = r.RequestTime
		s.Add(&r)
	}
}
