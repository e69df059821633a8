package traffic

import (
	"encoding/json"
	"fmt"

	"graft/internal/sketch"
)

// savedSeries is a series as it lies in a file.
type savedSeries struct {
	Width   int64         `json:"width"`
	Windows []savedWindow `json:"windows"`
	Untimed Sums          `json:"untimed"`
}

type savedWindow struct {
	At int64 `json:"at"` // Unix time of its start
	Sums
	Time     []byte `json:"time,omitempty"` // sketches in their sparse form
	Upstream []byte `json:"upstream,omitempty"`
}

// MarshalJSON writes the whole series, so that it can be read back and counted on.
func (s *Series) MarshalJSON() ([]byte, error) {
	saved := savedSeries{Width: Width, Windows: []savedWindow{}, Untimed: s.Untimed}
	for _, at := range s.windows() {
		w := s.closed[at]
		saved.Windows = append(saved.Windows, savedWindow{at * Width, w.Sums, w.time, w.upstream})
	}
	return json.Marshal(saved)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Series) UnmarshalJSON(text []byte) error {
	var saved savedSeries
	if err := json.Unmarshal(text, &saved); err != nil {
		return fmt.Errorf("read traffic series: %w", err)
	}
	if saved.Width != Width {
		return fmt.Errorf("read traffic series: its windows are %d s long, not %d", saved.Width, Width)
	}
	read := Series{closed: make(map[int64]*window, len(saved.Windows)), Untimed: saved.Untimed}
	for _, w := range saved.Windows {
		if w.At%Width != 0 || read.closed[w.At/Width] != nil {
			return fmt.Errorf("read traffic series: a window at %d cannot be, or is there twice", w.At)
		}
		var check sketch.Sketch
		for _, sparse := range [][]byte{w.Time, w.Upstream} {
			if err := check.MergeSparse(sparse); err != nil {
				return fmt.Errorf("read traffic series: window at %d: %w", w.At, err)
			}
		}
		read.closed[w.At/Width] = &window{w.Sums, w.Time, w.Upstream}
	}
	*s = read
	return nil
}
