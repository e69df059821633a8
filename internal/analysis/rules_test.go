package analysis

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var noon = time.Unix(1_790_000_000, 0)

func after(minutes ...float64) []time.Time {
	var at []time.Time
	for _, m := range minutes {
		at = append(at, noon.Add(time.Duration(m*float64(time.Minute))))
	}
	return at
}

func TestWorkersThatEndByASignal(t *testing.T) {
	day := 48 * time.Hour
	for name, c := range map[string]struct {
		events Events
		want   State
	}{
		"none":                               {Events{Watched: time.Minute, BeforeKnown: day}, Quiet},
		"nothing was watched":                {Events{}, TooLittle},
		"the first where there was none":     {Events{At: after(1), Watched: time.Minute, BeforeKnown: day}, Alarm},
		"the first, nothing known":           {Events{At: after(1), Watched: time.Minute}, Alarm},
		"one where there was one":            {Events{At: after(1), Watched: time.Minute, Before: after(-600), BeforeKnown: day}, Quiet},
		"two in ten minutes":                 {Events{At: after(1, 10), Watched: 10 * time.Minute, Before: after(-600), BeforeKnown: day}, Alarm},
		"two in eleven minutes":              {Events{At: after(1, 12.1), Watched: day, Before: after(-600), BeforeKnown: day}, Quiet},
		"two in ten minutes, as before":      {Events{At: after(1, 10), Watched: day, Before: after(-600, -599), BeforeKnown: day}, Suspect},
		"three in ten minutes, two before":   {Events{At: after(1, 2, 3), Watched: day, Before: after(-600, -599), BeforeKnown: day}, Alarm},
		"now and then, far more than before": {Events{At: after(1, 20, 40, 60, 80), Watched: 2 * time.Hour, Before: after(-600), BeforeKnown: day}, Alarm},
		"now and then, as before":            {Events{At: after(1, 800, 1600), Watched: day, Before: after(-2000, -1000, -10), BeforeKnown: day}, Quiet},
	} {
		if got := ExitRule(c.events); got.State != c.want || got.Signal != WorkerExits {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
	if got := RestartRule(Events{At: after(1, 2), Watched: time.Hour}); got.State != Quiet {
		t.Errorf("two restarts: %+v", got)
	}
	if got := RestartRule(Events{At: after(1, 2, 3), Watched: time.Hour}); got.State != Alarm {
		t.Errorf("three restarts: %+v", got)
	}
}

// If nothing changed, the new binary's crashes come as the old one's did: hardly ever an alarm by rate.
func TestCrashesThatComeAsBeforeSeldomAlarm(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const runs = 2000
	alarms := 0
	for range runs {
		poisson := func(span time.Duration) (at []time.Time) {
			for x := random.ExpFloat64() * 6; x < span.Hours(); x += random.ExpFloat64() * 6 { // one in six hours
				at = append(at, noon.Add(time.Duration(x*float64(time.Hour))))
			}
			return at
		}
		e := Events{Before: poisson(48 * time.Hour), BeforeKnown: 48 * time.Hour, At: poisson(24 * time.Hour), Watched: 24 * time.Hour}
		if len(e.Before) > 0 && e.evidence() >= eventNeeded {
			alarms++
		}
	}
	if alarms > runs/100 {
		t.Errorf("%d of %d alarm", alarms, runs)
	}
}

func TestAClassNeverSeenBefore(t *testing.T) {
	for name, c := range map[string]struct {
		unseen Unseen
		want   State
	}{
		"severe, once":                    {Unseen{Severe: true, Lines: 1, Seconds: 1, After: time.Minute}, Alarm},
		"often, in one second":            {Unseen{Lines: 1000, Seconds: 1, After: time.Minute, Before: 48 * time.Hour}, Quiet},
		"twice":                           {Unseen{Lines: 2, Seconds: 2, After: time.Minute, Before: 48 * time.Hour}, Quiet},
		"again and again":                 {Unseen{Lines: 5, Seconds: 3, After: time.Minute, Before: 48 * time.Hour}, Alarm},
		"again and again, little known":   {Unseen{Lines: 5, Seconds: 5, After: time.Minute, Before: time.Minute}, Quiet},
		"very often, little known":        {Unseen{Lines: 50, Seconds: 20, After: time.Minute, Before: time.Minute}, Alarm},
		"very often, nothing known":       {Unseen{Lines: 50, Seconds: 50, After: time.Minute}, Quiet},
		"three times in a day, one known": {Unseen{Lines: 3, Seconds: 3, After: 24 * time.Hour, Before: 24 * time.Hour}, Quiet},
	} {
		if got := UnseenRule(Lua, c.unseen); got.State != c.want {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

func TestTrafficThatStaysAway(t *testing.T) {
	minutes := func(now, yesterday, before int64) []VolumeMinute {
		var list []VolumeMinute
		for range 5 {
			list = append(list, VolumeMinute{Now: now, Yesterday: yesterday, DayBefore: before})
		}
		return list
	}
	for name, c := range map[string]struct {
		minutes []VolumeMinute
		fail    bool
		want    State
	}{
		"too short":                 {minutes(0, 100, 100)[1:], true, TooLittle},
		"as before":                 {minutes(100, 100, 100), true, Quiet},
		"half of one day":           {minutes(40, 100, 70), true, Quiet},
		"half of both":              {minutes(40, 100, 90), true, Alarm},
		"half of both, no failures": {minutes(40, 100, 90), false, Suspect},
		"hardly any traffic":        {minutes(0, 10, 10), true, TooLittle},
		"one day unknown":           {minutes(0, 100, -1), true, TooLittle},
	} {
		if got := VolumeRule(c.minutes, c.fail); got.State != c.want {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

func TestAnAcceptQueueThatOverflows(t *testing.T) {
	for name, c := range map[string]struct {
		o    Overflows
		want State
	}{
		"nothing seen":         {Overflows{}, TooLittle},
		"none":                 {Overflows{Minutes: []int64{0, 0, 0}}, Quiet},
		"a few":                {Overflows{Minutes: []int64{1, 1, 1, 1, 1, 1, 1}}, Quiet},
		"one burst":            {Overflows{Minutes: []int64{500, 0, 0, 0, 0}}, Suspect},
		"again and again":      {Overflows{Minutes: []int64{0, 20, 20, 20, 0}}, Alarm},
		"as before":            {Overflows{Minutes: []int64{20, 20, 20, 20, 20}, Expected: 15}, Quiet},
		"once it was an alarm": {Overflows{Minutes: []int64{20, 20, 20, 0, 0, 0, 0, 0, 0, 0}}, Alarm},
	} {
		if got := AcceptQueueRule(c.o); got.State != c.want {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

const mb = 1 << 20

// usage samples a size every two seconds.
func usage(span time.Duration, size func(s float64) float64) []Usage {
	var list []Usage
	for d := time.Duration(0); d <= span; d += 2 * time.Second {
		list = append(list, Usage{At: noon.Add(d), Each: size(d.Seconds()), Requests: int64(d.Seconds() * 10)})
	}
	return list
}

func TestALeakIsToldFromWarmingUp(t *testing.T) {
	steadyOld := usage(5*time.Minute, func(float64) float64 { return 40 * mb })
	random := rand.New(rand.NewPCG(3, 4))
	saw := func(s float64) float64 { return float64(int(s)%14) * mb } // as a garbage collector leaves it
	for name, c := range map[string]struct {
		new  []Usage
		old  []Usage
		want State
	}{
		"nothing":                       {nil, steadyOld, TooLittle},
		"no old worker known":           {usage(5*time.Minute, func(s float64) float64 { return s * mb }), nil, TooLittle},
		"short":                         {usage(28*time.Second, func(s float64) float64 { return s * 10 * mb }), steadyOld, TooLittle},
		"a leak":                        {usage(5*time.Minute, func(s float64) float64 { return 20*mb + s*mb + saw(s) }), steadyOld, Alarm},
		"a fast leak":                   {usage(32*time.Second, func(s float64) float64 { return 20*mb + s*4*mb }), steadyOld, Alarm},
		"not yet beyond the old":        {usage(time.Minute, func(s float64) float64 { return 10*mb + s*mb/2 }), steadyOld, Quiet},
		"a little beyond the old":       {usage(time.Minute, func(s float64) float64 { return 20*mb + s*mb*2/3 }), steadyOld, Suspect},
		"still":                         {usage(5*time.Minute, func(s float64) float64 { return 40*mb + saw(s) }), steadyOld, Quiet},
		"the old ones grow as well":     {usage(5*time.Minute, func(s float64) float64 { return 20*mb + s*mb }), usage(5*time.Minute, func(s float64) float64 { return 40*mb + s*mb }), Quiet},
		"warming up to twice the size":  {usage(5*time.Minute, func(s float64) float64 { return 80 * mb * (s / (s + 20)) }), steadyOld, Quiet},
		"warm, larger, and wavering":    {usage(5*time.Minute, func(float64) float64 { return (90 + 5*random.Float64()) * mb }), steadyOld, Quiet},
		"larger from the beginning on":  {usage(5*time.Minute, func(float64) float64 { return 200 * mb }), steadyOld, Quiet},
		"grows a little, however large": {usage(5*time.Minute, func(s float64) float64 { return 200*mb + s*mb/100 }), steadyOld, Quiet},
	} {
		if got := MemoryRule(Growth{New: c.new, Old: c.old}); got.State != c.want {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
	leak := MemoryRule(Growth{New: usage(5*time.Minute, func(s float64) float64 { return 20*mb + s*mb }), Old: steadyOld})
	if !strings.Contains(leak.Words, "102.4 kB with each of 3000 requests") {
		t.Error(leak.Words)
	}
	if got := ConnectionsRule(Growth{
		New: usage(5*time.Minute, func(s float64) float64 { return 50 + 3*s }), Old: usage(5*time.Minute, func(float64) float64 { return 120 }),
	}); got.State != Alarm {
		t.Errorf("%+v", got)
	}
}

// Whatever a worker's warm-up looks like, it is no leak: growth that slows down, with noise.
func TestNoWarmUpIsALeak(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for i := range 500 {
		end, pace := 10+200*random.Float64(), 5+100*random.Float64()
		noise := 1 + random.Float64()
		size := func(s float64) float64 { return (5 + end*(1-1/(1+s/pace)) + noise*random.Float64()) * mb }
		old := []Usage{{At: noon, Each: (5 + end) * mb}}
		for _, span := range []time.Duration{time.Minute, 10 * time.Minute, 2 * time.Hour} {
			if f := MemoryRule(Growth{New: usage(span, size), Old: old}); f.State == Alarm {
				t.Fatalf("%d: to %.0f MB with %.0f s, in %s: %+v", i, end, pace, span, f)
			}
		}
	}
}

// What fails as a whole may have its place: it is told beside the reason, and decides nothing by itself.
func TestAPartThatLooksWorseIsTold(t *testing.T) {
	part := Finding{Signal: Errors5xx, Scope: "/cart/", Test: Concurrent, State: Quiet, Evidence: 90, After: Count{9, 10}, Words: "5xx of /cart/: 90 %"}
	whole := Finding{Signal: Errors5xx, Test: Concurrent, State: Alarm, Words: "5xx: 2 %"}
	e := Evidence{Watched: time.Minute, ErrorLogged: true, Logged: true, Findings: []Finding{whole, part}}
	if d := Judge(e, Policy{MinDuration: time.Second}); d.Verdict != Fail || len(d.Why) < 2 || d.Why[0] != whole.Words || d.Why[1] != part.Words {
		t.Errorf("%+v", d)
	}
	e.Findings = []Finding{part}
	if d := Judge(e, Policy{MinDuration: time.Second}); d.Verdict == Fail {
		t.Errorf("alone: %+v", d)
	}
}
