package main

import (
	"slices"
	"sync"
	"time"

	"graft/internal/analysis"
)

// start is when all watches start; the worlds draw the phase of the day.
var start = time.Unix(1_790_000_000, 0)

const (
	watchBlocks    = 2 * perDay
	baselineBlocks = 2 * perDay
	delayBlocks    = 12 * perHour // a fault that is not found within it counts as unseen
)

// outcome is what happened in one watch without a fault.
type outcome struct {
	a, b  bool
	rules []bool
}

// watchWithout has the monitor watch a world without a fault, and, if asked for, the other rules.
func watchWithout(w world, r noise, baseline int, others bool) outcome {
	blocks := w.stretch(r, baseline, watchBlocks, 1)
	m := newMonitor(blocks[:baseline])
	var o outcome
	for i, c := range blocks[baseline:] {
		m.Add(start.Add(time.Duration(i)*analysis.Block), c)
		if m.Alarmed() {
			for _, f := range m.Findings() {
				o.a = o.a || f.Test == analysis.Sequential && f.State == analysis.Alarm
				o.b = o.b || f.Test == analysis.Guard && f.State == analysis.Alarm
			}
			break
		}
	}
	var before analysis.Count
	for _, c := range blocks[:baseline] {
		before.Bad += c.Bad
		before.Total += c.Total
	}
	if !others {
		return o
	}
	for _, rule := range rules() {
		o.rules = append(o.rules, rule.fires(before, blocks[baseline:]))
	}
	return o
}

func newMonitor(before []analysis.Count) *analysis.Monitor {
	from := start.Add(-time.Duration(len(before)) * analysis.Block)
	return analysis.NewMonitor(analysis.Baseline{From: from, Blocks: before}, analysis.MonitorOptions{Signal: analysis.Errors5xx, Alpha: alpha})
}

// delay is how long a fault goes unseen that begins after the watch's first blocks; unseen if it does.
func (w world) delay(r noise, fault float64) time.Duration {
	blocks := w.stretch(r, baselineBlocks, delayBlocks, fault)
	m := newMonitor(blocks[:baselineBlocks])
	for i, c := range blocks[baselineBlocks:] {
		m.Add(start.Add(time.Duration(i)*analysis.Block), c)
		if m.Alarmed() {
			return time.Duration(i+1) * analysis.Block
		}
	}
	return unseen
}

const unseen = time.Duration(1<<63 - 1)

// many runs trials on all workers, each with randomness of its own that depends on a seed and its number alone.
func many[T any](s size, runs int, trial func(noise) T) []T {
	results := make([]T, runs)
	next := make(chan int)
	var group sync.WaitGroup
	for range s.workers {
		group.Go(func() {
			for i := range next {
				results[i] = trial(newNoise(s.seeds[i%len(s.seeds)], uint64(i)))
			}
		})
	}
	for i := range runs {
		next <- i
	}
	close(next)
	group.Wait()
	return results
}

// quantile of durations, unseen ones included.
func quantile(list []time.Duration, q float64) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[int(q*float64(len(list)-1)+0.5)]
}
