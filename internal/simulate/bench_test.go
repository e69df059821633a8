package main

import (
	"testing"
	"time"

	"graft/internal/analysis"
)

func BenchmarkWorld(b *testing.B) {
	w := worlds()[1]
	r := newNoise(1, 1)
	for b.Loop() {
		w.stretch(r, baselineBlocks, watchBlocks, 1)
	}
}

func BenchmarkOpen(b *testing.B) {
	w := worlds()[1]
	blocks := w.stretch(newNoise(1, 1), baselineBlocks, watchBlocks, 1)
	for b.Loop() {
		newMonitor(blocks[:baselineBlocks])
	}
}

func BenchmarkWatch(b *testing.B) {
	w := worlds()[1]
	blocks := w.stretch(newNoise(1, 1), baselineBlocks, watchBlocks, 1)
	for b.Loop() {
		m := newMonitor(blocks[:baselineBlocks])
		for i, c := range blocks[baselineBlocks:] {
			m.Add(start.Add(time.Duration(i)*analysis.Block), c)
		}
	}
}
