package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// noisy draws blocks with so many requests each and a share that wanders (sd 0.5, τ 5 min).
func noisy(seed uint64, blocks int, requests int64, share float64) []Count {
	return rough(seed, blocks, requests, share, 0.5)
}

// rough is noisy with another sd.
func rough(seed uint64, blocks int, requests int64, share, sd float64) []Count {
	random := rand.New(rand.NewPCG(seed, 1))
	x := sd * random.NormFloat64()
	list := make([]Count, blocks)
	for i := range list {
		x = 0.967*x + 0.254*sd*random.NormFloat64()
		bad := int64(0)
		for left := float64(requests) * share * math.Exp(x-sd*sd/2); ; bad++ {
			if left -= random.ExpFloat64(); left < 0 {
				break
			}
		}
		list[i] = Count{Bad: min(bad, requests), Total: requests}
	}
	return list
}

const twoDays = 2 * 24 * 360

func baselineOf(blocks []Count) Baseline {
	return Baseline{From: start.Add(-time.Duration(len(blocks)) * Block), Blocks: blocks}
}

// alarmed adds blocks and tells after which one there was an alarm first; -1 if after none.
func alarmed(m *Monitor, blocks []Count) int {
	for i, c := range blocks {
		m.Add(start.Add(time.Duration(i)*Block), c)
		if m.Alarmed() {
			return i
		}
	}
	return -1
}

func findingOf(m *Monitor, test Test) Finding {
	for _, f := range m.Findings() {
		if f.Test == test {
			return f
		}
	}
	return Finding{}
}

func TestAMonitorFindsRisesAndNothingElse(t *testing.T) {
	past := baselineOf(noisy(1, twoDays, 1000, 0.001))
	for name, c := range map[string]struct {
		share    float64
		earliest int // blocks
		latest   int
	}{
		"as before":    {0.001, -1, -1},
		"a third more": {0.0013, -1, -1},
		"×5":           {0.005, 6, 360},
		"×10":          {0.01, 3, 120},
		"×50":          {0.05, 0, 15},
		"an outage":    {1, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMonitor(past, MonitorOptions{Signal: Errors5xx})
			at := alarmed(m, noisy(2, 6*360, 1000, c.share))
			if c.latest < 0 && at >= 0 || c.latest >= 0 && (at < c.earliest || at > c.latest) {
				t.Errorf("an alarm after block %d: %v", at, m.Findings())
			}
			if f := findingOf(m, Sequential); at < 0 && f.State != Quiet {
				t.Errorf("six hours without an alarm, but %q: %s (%s)", f.State, f.Words, f.Power)
			}
		})
	}
}

// The hours before are not called the same times of the day, and their share is the one that was seen.
func TestAShortBaselineKnowsNoTimesOfTheDay(t *testing.T) {
	const words = "at these times of the day before"
	for blocks, whole := range map[int]bool{2 * 360: false, twoDays: true} {
		past := make([]Count, blocks)
		for i := range past {
			past[i] = Count{Bad: 5, Total: 1000}
		}
		m := NewMonitor(baselineOf(past), MonitorOptions{Signal: Errors5xx})
		m.Add(start.Add(12*time.Hour), Count{Bad: 5, Total: 1000})
		got := findingOf(m, Sequential).Words
		if strings.Contains(got, words) != whole || !whole && !strings.Contains(got, ", 0.50 % before;") {
			t.Errorf("of %d blocks: %s", blocks, got)
		}
	}
}

// Noise that became rougher makes A bet less, and a rise does not.
func TestRougherNoiseIsToldFromARise(t *testing.T) {
	past := baselineOf(rough(1, twoDays, 1000, 0.001, 0.3))
	for name, c := range map[string]struct {
		watch       []Count
		least, most float64 // of how much rougher it is held to be
	}{
		"as before":         {rough(2, 4*360, 1000, 0.001, 0.3), 1, 1.2},
		"×5":                {rough(2, 4*360, 1000, 0.005, 0.3), 1, 1.2},
		"×5 after a while":  {append(rough(2, 2*360, 1000, 0.001, 0.3), rough(3, 2*360, 1000, 0.005, 0.3)...), 1, 3},
		"rough":             {rough(2, 4*360, 1000, 0.001, 1), 3, 100},
		"rough, and ×5":     {rough(2, 4*360, 1000, 0.005, 1), 3, 100},
		"calmer than ever":  {rough(2, 4*360, 1000, 0.001, 0), 1, 1},
		"hardly a bad one":  {rough(2, 4*360, 1000, 0.000001, 0.3), 1, 1.2},
		"without a request": {make([]Count, 4*360), 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMonitor(past, MonitorOptions{Signal: Errors5xx})
			before := m.shape()
			alarmed(m, c.watch[:360])
			data, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			var again Monitor
			if err := json.Unmarshal(data, &again); err != nil {
				t.Fatal(err)
			}
			for i, b := range c.watch[360:] {
				at := start.Add(time.Duration(360+i) * Block)
				m.Add(at, b)
				again.Add(at, b)
			}
			if times := before / m.shape(); times < c.least || times > c.most {
				t.Errorf("held to be ×%.2f as rough, want %v to %v", times, c.least, c.most)
			}
			if m.shape() != again.shape() {
				t.Errorf("restored after an hour: %v, not restored: %v", again.shape(), m.shape())
			}
		})
	}
}

// The largest of seconds say nothing of days.
func TestBDoesNotExtrapolateMinutesToDays(t *testing.T) {
	past := baselineOf(noisy(1, 60, 1000, 0.001))
	for watch, want := range map[time.Duration]bool{48 * time.Hour: false, time.Hour: true} {
		m := NewMonitor(past, MonitorOptions{Signal: Errors5xx, Watch: watch})
		outage := make([]Count, 12)
		for i := range outage {
			outage[i] = Count{1000, 1000}
		}
		if at := alarmed(m, outage); at < 0 {
			t.Errorf("%v: an outage is no alarm: %v", watch, m.Findings())
		}
		if got := m.guard.Limits[0].Limit < never; got != want {
			t.Errorf("%v: B has a limit: %v, want %v", watch, got, want)
		}
	}
}

func TestAFaultThatBeginsLaterIsFound(t *testing.T) {
	m := NewMonitor(baselineOf(noisy(1, twoDays, 1000, 0.001)), MonitorOptions{Signal: Errors5xx})
	good := 12 * 360
	at := alarmed(m, append(noisy(3, good, 1000, 0.001), noisy(4, 360, 1000, 0.01)...))
	if at < good || at > good+240 {
		t.Errorf("an alarm after block %d, the fault began with %d", at, good)
	}
}

// A rise to twice the share in the same hours of every day is the day's tide.
func TestTheTimeOfTheDayIsTakenIntoAccount(t *testing.T) {
	tide := func(seed uint64, days int) []Count {
		var list []Count
		for d := range days {
			list = append(list, noisy(seed+uint64(2*d), 12*360, 1000, 0.001)...)
			list = append(list, noisy(seed+uint64(2*d)+1, 12*360, 1000, 0.006)...)
		}
		return list
	}
	m := NewMonitor(baselineOf(tide(10, 3)), MonitorOptions{Signal: Errors5xx})
	if at := alarmed(m, tide(20, 1)); at >= 0 {
		t.Errorf("the day's tide is an alarm after block %d: %v", at, m.Findings())
	}
}

func TestTooLittleIsNeverQuiet(t *testing.T) {
	long := baselineOf(noisy(1, twoDays, 1000, 0.001))
	rare := baselineOf(noisy(1, twoDays, 1, 0.001))
	for name, c := range map[string]struct {
		past   Baseline
		blocks []Count
	}{
		"no baseline":                 {Baseline{}, noisy(2, 360, 1000, 0.001)},
		"a baseline of a minute":      {baselineOf(noisy(1, 6, 1000, 0.001)), noisy(2, 360, 1000, 0.001)},
		"seconds of watching":         {long, noisy(2, 2, 1000, 0.001)},
		"hardly a request":            {rare, noisy(2, 360, 1, 0)},
		"a baseline without requests": {baselineOf(make([]Count, twoDays)), noisy(2, 360, 1000, 0.001)},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMonitor(c.past, MonitorOptions{Signal: Errors5xx})
			if at := alarmed(m, c.blocks); at >= 0 {
				t.Errorf("an alarm after block %d: %v", at, m.Findings())
			}
			for _, f := range m.Findings() {
				if f.State != TooLittle || f.Words == "" {
					t.Errorf("%s is %q: %s", f.Test, f.State, f.Words)
				}
			}
			if f := findingOf(m, Sequential); !strings.Contains(f.Power, "rise") {
				t.Errorf("what would go unseen is not told: %q", f.Power)
			}
			data, err := json.Marshal(m)
			if err == nil {
				err = json.Unmarshal(data, &Monitor{})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAShortBaselineTakesMore(t *testing.T) {
	faulty := noisy(2, 6*360, 1000, 0.01)
	last := -1
	for _, blocks := range []int{twoDays, 6 * 360, 360} {
		m := NewMonitor(baselineOf(noisy(1, blocks, 1000, 0.001)), MonitorOptions{Signal: Errors5xx})
		at := alarmed(m, faulty)
		if at < 0 {
			at = len(faulty)
		}
		if at < last {
			t.Errorf("%d blocks of baseline find it after block %d, more of it after %d", blocks, at, last)
		}
		last = at
	}
}

// One client's burst is no fault, though nothing like it was ever seen.
func TestAnErrorFreeBaselineDoesNotMakeOneBurstAFault(t *testing.T) {
	clean := baselineOf(noisy(1, twoDays, 1000, 0))
	burst := noisy(2, 360, 1000, 0)
	burst[50].Bad, burst[51].Bad = 20, 10
	if at := alarmed(NewMonitor(clean, MonitorOptions{Signal: Errors5xx}), burst); at >= 0 {
		t.Errorf("an alarm after block %d", at)
	}
	if at := alarmed(NewMonitor(clean, MonitorOptions{Signal: Errors5xx}), noisy(2, 360, 1000, 0.01)); at < 0 || at > 30 {
		t.Errorf("a steady hundredth is an alarm after block %d", at)
	}
}

func TestAClumpyBaselineIsTold(t *testing.T) {
	blocks := noisy(1, twoDays, 1000, 0.001)
	for i := 300; i < len(blocks); i += 700 {
		blocks[i].Bad, blocks[i+1].Bad = 150, 300
	}
	m := NewMonitor(baselineOf(blocks), MonitorOptions{Signal: Errors5xx})
	again := noisy(2, 360, 1000, 0.001)
	again[40].Bad, again[41].Bad = 200, 350
	if at := alarmed(m, again); at >= 0 {
		t.Errorf("a clump such as came every two hours is an alarm after block %d: %v", at, m.Findings())
	}
}

func TestBlocksMayComeInPartsAndLate(t *testing.T) {
	past := baselineOf(noisy(1, 6*360, 1000, 0.001))
	blocks := noisy(2, 100, 1000, 0.003)
	whole := NewMonitor(past, MonitorOptions{Signal: Errors5xx})
	parts := NewMonitor(past, MonitorOptions{Signal: Errors5xx})
	for i, c := range blocks {
		at := start.Add(time.Duration(i) * Block)
		whole.Add(at, c)
		first := Count{c.Bad / 2, c.Total / 3}
		parts.Add(at, first)
		if i > 0 { // the rest of the block before comes only now
			before := blocks[i-1]
			parts.Add(at.Add(-Block), Count{before.Bad - before.Bad/2, before.Total - before.Total/3})
		}
	}
	last := blocks[99]
	parts.Add(start.Add(99*Block), Count{last.Bad - last.Bad/2, last.Total - last.Total/3})
	for i, f := range whole.Findings() {
		g := parts.Findings()[i]
		if f.After != g.After || math.Abs(f.Evidence-g.Evidence) > 1e-9*f.Evidence {
			t.Errorf("whole blocks: %v\nin parts: %v", f, g)
		}
	}
	parts.Add(start, Count{1000, 1000})
	if got := findingOf(parts, Sequential).After; got != findingOf(whole, Sequential).After {
		t.Errorf("a block that comes long after is counted: %v", got)
	}
}

func TestAStandingDoesNotFlicker(t *testing.T) {
	var s standing
	for _, c := range []struct {
		evidence float64
		want     State
	}{{1, TooLittle}, {9, TooLittle}, {11, Suspect}, {5, Suspect}, {2, TooLittle}, {11, Suspect}, {100, Alarm}, {50, Alarm}, {4, Alarm}, {3, TooLittle}} {
		s.move(c.evidence, 100, start)
		if s.State != c.want {
			t.Errorf("with %v: %q, want %q", c.evidence, s.State, c.want)
		}
	}
}

func TestSplitAlphaSharesOutAll(t *testing.T) {
	split := SplitAlpha(0.01, []Signal{Errors5xx, SlowP95, Errors5xx, "a signal of tomorrow"})
	sum := 0.0
	for _, a := range split {
		sum += a
	}
	if len(split) != 3 || math.Abs(sum-0.01) > 1e-12 || split[Errors5xx] <= split[SlowP95] {
		t.Errorf("%v", split)
	}
}

// The chance that the largest of 8 further maxima lies beyond the reach is what was asked for.
func TestAReachIsExceededAsOftenAsAskedFor(t *testing.T) {
	r := newReach(8, 8)
	far := r.of(0.05)
	random := rand.New(rand.NewPCG(7, 7))
	draw := func() float64 { return -math.Log(random.ExpFloat64()) }
	const trials = 4000
	beyond := 0
	for range trials {
		past := make([]float64, 8)
		for i := range past {
			past[i] = draw()
		}
		center, scale := gumbel(past)
		for range 8 {
			if draw() > center+far*scale {
				beyond++
				break
			}
		}
	}
	if p := float64(beyond) / trials; p < 0.035 || p > 0.065 {
		t.Errorf("%.3f are beyond, 0.05 should be", p)
	}
}

func TestAWatchThatCountedNothingNamesNoTime(t *testing.T) {
	m := NewMonitor(baselineOf(noisy(1, twoDays, 1000, 0.001)), MonitorOptions{Signal: Errors5xx})
	if words := m.Findings()[0].Words; words != "5xx: no request counted yet" {
		t.Error(words)
	}
}
