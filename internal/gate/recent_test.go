package gate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"graft/internal/analysis"
)

// steadyDays have one request in twenty that is slow, in the last minutes as many as told.
func steadyDays(random *rand.Rand, until time.Time, last float64) *series {
	s := new(series)
	end := until.Unix() / blockSeconds
	for at := end - 48*3600/blockSeconds; at < end; at++ {
		c := cell{Requests: 30, Timed: 30}
		share := 0.05
		if at >= end-recentBlocks {
			share = last
		}
		for range 30 {
			if random.Float64() < share {
				c.Bad[atSlow95]++
			}
		}
		s.add(at, &c)
	}
	return s
}

func TestWhatWasWorseAlreadyIsNoFaultOfTheNewBinary(t *testing.T) {
	until := time.Unix(1_790_000_000, 0)
	for name, c := range map[string]struct {
		before, after, want float64
		pressure            float64
	}{
		"slow before and after":    {0.5, 0.5, 0, 0},
		"slow from the swap on":    {0.05, 0.5, 1, 0},
		"slower before, then more": {0.1, 0.9, 1, 0},
		"as ever":                  {0.05, 0.05, 0, 0},
		"a host short of CPU":      {0.05, 0.5, 0, 0.6},
	} {
		random := rand.New(rand.NewPCG(21, 22))
		h := &History{Scopes: newSurvey().scopes(), Errors: newErrorHistory(), Until: until, Pressure: c.pressure, Series: []*series{steadyDays(random, until, c.before)}}
		l := newLive(Config{History: h}, until)
		l.learn(h, time.Hour)
		alarms := 0.0
		for at := until; at.Before(until.Add(30 * time.Minute)); at = at.Add(analysis.Block) {
			now := cell{Requests: 30, Timed: 30}
			for range 30 {
				if random.Float64() < c.after {
					now.Bad[atSlow95]++
				}
			}
			l.comparisons[0].addBefore(at, &now)
		}
		for _, f := range l.findings() {
			if f.State == analysis.Alarm {
				alarms = 1
			}
		}
		if alarms != c.want {
			t.Errorf("%s: %v alarms, %+v", name, alarms, l.findings())
		}
		if told := len(l.rises.words()) > 0; told != (c.before > 0.09) {
			t.Errorf("%s: %q", name, l.rises.words())
		}
	}
}

func TestABaselineIsRaisedByWhatItLacks(t *testing.T) {
	b := analysis.Baseline{From: time.Unix(1_790_000_000, 0)}
	for i := range int64(1000) {
		b.Blocks = append(b.Blocks, analysis.Count{Bad: i % 3, Total: 10 + i%7})
	}
	share := func(b analysis.Baseline) float64 {
		var c analysis.Count
		for _, n := range b.Blocks {
			if n.Bad > n.Total {
				t.Fatalf("%+v", n)
			}
			c.Bad, c.Total = c.Bad+n.Bad, c.Total+n.Total
		}
		return c.Share()
	}
	for _, rise := range []float64{1, 2, 5, 100} {
		if got, want := share(raised(b, b.From.Add(24*time.Hour), rise)), math.Min(rise*share(b), recentMost); math.Abs(got-want) > 0.001 {
			t.Errorf("%v times: %v, want %v", rise, got, want)
		}
	}
}
