package traffic

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"graft/internal/sketch"
)

// savedSeries is a series as it lies in a file.
type savedSeries struct {
	Width     int64          `json:"width"` // seconds
	Windows   []savedWindow  `json:"windows"`
	Stretch   int64          `json:"stretch"` // windows of one stretch of durations
	Durations []savedStretch `json:"durations"`
	Untimed   Sums           `json:"untimed"`
}

type savedWindow struct {
	At int64 `json:"at"` // Unix time of its start
	Sums
}

type savedStretch struct {
	At       int64  `json:"at"` // Unix time of its start
	Time     []byte `json:"time,omitempty"`
	Upstream []byte `json:"upstream,omitempty"` // both are sketches in their sparse form
}

// MarshalJSON writes the whole series, so that it can be read back and counted on.
func (s *Series) MarshalJSON() ([]byte, error) {
	saved := savedSeries{Width: Width, Windows: []savedWindow{}, Durations: []savedStretch{}, Untimed: s.Untimed}
	for _, at := range s.windows() {
		saved.Windows = append(saved.Windows, savedWindow{at * Width, *s.closed[at]})
	}
	saved.Stretch = s.times.length()
	for _, number := range slices.Sorted(maps.Keys(s.times.by)) {
		p := s.times.by[number]
		saved.Durations = append(saved.Durations, savedStretch{number * s.times.length() * Width, p.time, p.upstream})
	}
	return json.Marshal(saved)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Series) UnmarshalJSON(text []byte) error {
	var saved savedSeries
	if err := json.Unmarshal(text, &saved); err != nil {
		return fmt.Errorf("read traffic series: %w", err)
	}
	if saved.Width != Width || saved.Stretch < 1 {
		return fmt.Errorf("read traffic series: it has windows of %d s, %d for each stretch of durations; want %d s, and 1 or more", saved.Width, saved.Stretch, Width)
	}
	read := Series{closed: make(map[int64]*Sums, len(saved.Windows)), times: durations{windows: saved.Stretch}, Untimed: saved.Untimed}
	for _, w := range saved.Windows {
		if w.At%Width != 0 || read.closed[w.At/Width] != nil {
			return fmt.Errorf("read traffic series: a window at %d cannot be, or is there twice", w.At)
		}
		read.closed[w.At/Width] = &w.Sums
	}
	length := saved.Stretch * Width
	for _, d := range saved.Durations {
		if d.At%length != 0 || read.times.by[d.At/length] != nil {
			return fmt.Errorf("read traffic series: durations at %d cannot be, or are there twice", d.At)
		}
		var check sketch.Sketch
		for _, sparse := range [][]byte{d.Time, d.Upstream} {
			if err := check.MergeSparse(sparse); err != nil {
				return fmt.Errorf("read traffic series: durations at %d: %w", d.At, err)
			}
		}
		*read.times.at(d.At / length) = packed{d.Time, d.Upstream}
	}
	*s = read
	return nil
}
