package traffic

import (
	"maps"
	"slices"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// Width is how long a window of a series is, in seconds. Windows begin at multiples of it in Unix time.
const Width = int64(analysis.Block / time.Second)

// open is how many windows of a series are counted into at once; a power of two. Lines come nearly in
// order, but workers with buffered logs and files read one behind another do not keep it.
const open = 8

// Series is traffic over time. The zero value is empty and ready.
//
// Windows hold numbers, whatever their age. Durations are held for each window of two days; of longer
// series for longer stretches (see [durations]), so that months of a busy host fit into memory.
type Series struct {
	at      int64  // number of the window that current counts; windows are numbered by Unix time / Width
	current *Tally // nil: none yet
	recent  [open]struct {
		at    int64
		tally *Tally
	}
	closed map[int64]*Sums
	times  durations
	// Untimed counts requests whose format tells no time: they are in no window.
	Untimed Sums
}

// Add counts a request in the window of its time.
func (s *Series) Add(r *accesslog.Record) {
	if uint64(r.Time-s.at*Width) >= uint64(Width) || s.current == nil {
		at := r.Time / Width
		if at <= 0 { // the first window of 1970 is nobody's
			s.Untimed.count(r)
			return
		}
		s.turnTo(at)
	}
	s.current.Add(r)
}

// turnTo makes a window the current one.
func (s *Series) turnTo(at int64) {
	slot := &s.recent[at&(open-1)]
	switch {
	case slot.tally == nil:
		slot.tally = new(Tally)
	case slot.at != at:
		s.close(slot.at, slot.tally)
		*slot.tally = Tally{}
	}
	slot.at = at
	s.at, s.current = at, slot.tally
}

// close adds a tally to its closed window.
func (s *Series) close(at int64, t *Tally) {
	if t.Requests == 0 {
		return
	}
	s.sums(at).Add(&t.Sums)
	s.times.add(at, &t.Time, &t.Upstream)
}

func (s *Series) sums(at int64) *Sums {
	if s.closed == nil {
		s.closed = make(map[int64]*Sums)
	}
	sums := s.closed[at]
	if sums == nil {
		sums = new(Sums)
		s.closed[at] = sums
	}
	return sums
}

// flush closes all windows.
func (s *Series) flush() {
	for i := range s.recent {
		if slot := &s.recent[i]; slot.tally != nil {
			s.close(slot.at, slot.tally)
			slot.tally = nil
		}
	}
	s.current = nil
}

// Merge adds all that another series counted. The other is not changed, but that its windows close.
func (s *Series) Merge(other *Series) {
	s.flush()
	other.flush()
	for at, sums := range other.closed {
		s.sums(at).Add(sums)
	}
	s.times.merge(&other.times)
	s.Untimed.Add(&other.Untimed)
}

// windows are the numbers of all windows, in order.
func (s *Series) windows() []int64 {
	s.flush()
	return slices.Sorted(maps.Keys(s.closed))
}
