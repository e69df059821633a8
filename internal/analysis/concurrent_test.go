package analysis

import (
	"encoding/json"
	"testing"
	"time"
)

// sideBySide adds what both serve and tells after which block there was an alarm first; -1 if after none.
func sideBySide(c *ConcurrentTest, old, now []Count) int {
	for i := range old {
		c.Add(start.Add(time.Duration(i)*Block), old[i], now[i])
		if c.Alarmed() {
			return i
		}
	}
	return -1
}

// bothSides have the same noise; factor is how much worse the new side is, requests are each side's per block.
func bothSides(blocks int, old, now int64, factor float64) (a, b []Count) {
	return noisy(5, blocks, old, 0.001), noisy(5, blocks, now, 0.001*factor)
}

func TestWorseNewWorkersAreFoundAndOthersNot(t *testing.T) {
	past := baselineOf(noisy(1, twoDays, 1000, 0.001))
	for name, c := range map[string]struct {
		old, now int64
		factor   float64
		latest   int
	}{
		"alike":                   {500, 500, 1, -1},
		"alike, a tenth is new":   {900, 100, 1, -1},
		"alike, nine tenths":      {100, 900, 1, -1},
		"×5":                      {500, 500, 5, 60},
		"×50":                     {500, 500, 50, 4},
		"×50, a twentieth is new": {950, 50, 50, 12},
		"better":                  {500, 500, 0.2, -1},
		"everything fails":        {500, 500, 1000, 1},
	} {
		t.Run(name, func(t *testing.T) {
			test := NewConcurrent(ConcurrentOptions{Signal: Errors5xx, Baseline: &past})
			old, now := bothSides(24*360, c.old, c.now, c.factor)
			at := sideBySide(test, old, now)
			if c.latest < 0 && at >= 0 || c.latest >= 0 && (at < 0 || at > c.latest) {
				t.Errorf("an alarm after block %d: %s", at, test.Finding().Words)
			}
			if f := test.Finding(); at < 0 && f.State != Quiet {
				t.Errorf("a day without an alarm, but %q: %s (%s)", f.State, f.Words, f.Power)
			}
		})
	}
}

// Keep-alive brings one client's errors to one worker: they are one event.
func TestAClumpOnOneSideIsNoFault(t *testing.T) {
	old, now := bothSides(360, 500, 500, 1)
	now[30].Bad = 300
	test := NewConcurrent(ConcurrentOptions{Signal: Errors5xx})
	if at := sideBySide(test, old, now); at >= 0 {
		t.Errorf("an alarm after block %d: %s", at, test.Finding().Words)
	}
}

func TestOneSideAloneIsNoComparison(t *testing.T) {
	test := NewConcurrent(ConcurrentOptions{Signal: Errors5xx})
	none := make([]Count, 360)
	if at := sideBySide(test, none, noisy(2, 360, 1000, 0.5)); at >= 0 {
		t.Errorf("an alarm after block %d without old workers", at)
	}
	if f := test.Finding(); f.State != TooLittle || f.Power == "" {
		t.Errorf("%q: %s (%s)", f.State, f.Words, f.Power)
	}
	few := NewConcurrent(ConcurrentOptions{Signal: Errors5xx})
	few.Add(start, Count{0, 10}, Count{0, 10})
	if f := few.Finding(); f.State != TooLittle {
		t.Errorf("ten requests are %q: %s (%s)", f.State, f.Words, f.Power)
	}
}

func TestAConcurrentTestThatIsRestoredGoesOn(t *testing.T) {
	past := baselineOf(noisy(1, twoDays, 1000, 0.001))
	test := NewConcurrent(ConcurrentOptions{Signal: Errors5xx, Scope: "a.log", Baseline: &past})
	old, now := bothSides(40, 500, 500, 2)
	sideBySide(test, old[:20], now[:20])
	data, err := json.Marshal(test)
	if err != nil {
		t.Fatal(err)
	}
	var again ConcurrentTest
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	for i := 20; i < 40; i++ {
		at := start.Add(time.Duration(i) * Block)
		test.Add(at, old[i], now[i])
		again.Add(at, old[i], now[i])
	}
	if f, g := test.Finding(), again.Finding(); f != g {
		t.Errorf("%v\nrestored: %v", f, g)
	}
}
