package main

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// small is a size at which what is drawn is always the same: its bounds hold or they do not.
var small = size{runs: 16, delays: 16, workers: 2, seeds: [2]uint64{1, 2}}

func TestFewFalseAlarms(t *testing.T) {
	for _, w := range worlds() {
		outcomes := many(small, small.runs, func(r noise) outcome { return watchWithout(w, r, baselineBlocks, true) })
		ab, _ := counted(outcomes)
		most := 1
		if w.beyond {
			most = 4
		}
		if ab > most {
			t.Errorf("%s: %d false alarms in %d watches", w.name, ab, small.runs)
		}
		twice := 0
		for _, o := range outcomes {
			if o.rules[1] {
				twice++
			}
		}
		if twice < small.runs/2 {
			t.Errorf("%s: twice the baseline fired in %d watches only: that is no noise", w.name, twice)
		}
	}
}

func TestFaultsAreFoundInTime(t *testing.T) {
	ar := worlds()[1]
	for rise, most := range map[float64]time.Duration{5: 40 * time.Minute, 10: 15 * time.Minute, 50: 3 * time.Minute} {
		found := many(small, small.delays, func(r noise) time.Duration { return ar.delay(r, rise) })
		if d := quantile(found, 0.5); d > most {
			t.Errorf("×%v is found after %v", rise, d)
		}
	}
	iid := pairs()[0]
	found := many(small, small.delays, func(r noise) time.Duration { return iid.concurrent(r, perHour, 5) })
	if d := quantile(found, 0.5); d > 3*time.Minute {
		t.Errorf("×5 between old and new workers is found after %v", d)
	}
	alarms := many(small, small.delays, func(r noise) time.Duration { return iid.concurrent(r, perDay, 1) })
	if d := quantile(alarms, 0.1); d != unseen {
		t.Errorf("old and new workers alike: an alarm after %v", d)
	}
}

func TestPoissonCountsHaveTheirMeanAndVariance(t *testing.T) {
	for _, mean := range []float64{0.3, 5, 11, 13, 80, 10_000} {
		r := newNoise(1, 1)
		const n = 20_000
		var sum, square float64
		for range n {
			k := float64(r.poisson(mean))
			sum += k
			square += (k - mean) * (k - mean)
		}
		if off := sum/n - mean; math.Abs(off) > 4*math.Sqrt(mean/n) {
			t.Errorf("mean %v: off by %v", mean, off)
		}
		if v := square / n / mean; v < 0.9 || v > 1.1 {
			t.Errorf("mean %v: variance %v times the mean", mean, v)
		}
	}
}

func TestTheTableLandsBetweenItsMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gates.md")
	document := "before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n"
	if err := os.WriteFile(path, []byte(document), 0o644); err != nil {
		t.Fatal(err)
	}
	x := part{"x", func(b *strings.Builder, _ size, _ io.Writer) { b.WriteString("new\n") }}
	if err := run(x, small, path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if got := string(text); err != nil || !strings.HasPrefix(got, "before\n<!-- x: begin -->\nnew\n\nRun on ") || !strings.HasSuffix(got, "<!-- x: end -->\nafter\n") {
		t.Errorf("%q, %v", text, err)
	}
	if err := run(part{name: "y"}, small, path); err == nil || !strings.Contains(err.Error(), "y: begin") {
		t.Errorf("a document without marks: %v", err)
	}
	for _, p := range parts() {
		text, err := os.ReadFile("../../docs/gates.md")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.replaced(string(text), ""); err != nil {
			t.Error(err)
		}
	}
}
