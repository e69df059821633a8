package traffic

import (
	"time"

	"graft/internal/analysis"
	"graft/internal/sketch"
)

// Block is one window's K bad of N.
type Block struct {
	At time.Time // its start; it is [Width] seconds long
	analysis.Count
}

// Counts is the signal in every window from the first to the last: those without a request are there,
// with nothing of nothing. thresholdMS matters to the slow ones only: a request is bad if it took longer.
// Signals that access logs do not tell of are nil.
func (s *Series) Counts(signal analysis.Signal, thresholdMS int32) []Block {
	count := counter(signal, thresholdMS)
	numbers := s.windows()
	if count == nil || len(numbers) == 0 {
		return nil
	}
	first, last := numbers[0], numbers[len(numbers)-1]
	blocks := make([]Block, 0, last-first+1)
	for at := first; at <= last; at++ {
		b := Block{At: time.Unix(at*Width, 0)}
		if w := s.closed[at]; w != nil {
			b.Count = count(w)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func counter(signal analysis.Signal, ms int32) func(*window) analysis.Count {
	switch signal {
	case analysis.Errors5xx:
		return func(w *window) analysis.Count { return analysis.Count{Bad: w.Classes[5], Total: w.Requests} }
	case analysis.Errors4xx:
		return func(w *window) analysis.Count { return analysis.Count{Bad: w.Errors4xx(), Total: w.Requests} }
	case analysis.ClientClosed:
		return func(w *window) analysis.Count { return analysis.Count{Bad: w.ClientClosed, Total: w.Requests} }
	case analysis.UpstreamErrors:
		return func(w *window) analysis.Count {
			return analysis.Count{Bad: w.UpstreamFailed, Total: w.UpstreamRequests}
		}
	case analysis.Volume:
		return func(w *window) analysis.Count { return analysis.Count{Total: w.Requests} }
	case analysis.SlowP95, analysis.SlowP99:
		return func(w *window) analysis.Count { return slow(w.time, ms) }
	case analysis.UpstreamSlow:
		return func(w *window) analysis.Count { return slow(w.upstream, ms) }
	}
	return nil
}

func slow(sparse []byte, ms int32) analysis.Count {
	bad, total := sketch.CountAboveSparse(sparse, ms)
	return analysis.Count{Bad: bad, Total: total}
}

// Range is what the windows that begin in [from, to) came to; a zero time is no bound.
func (s *Series) Range(from, to time.Time) *Tally {
	t := new(Tally)
	for _, at := range s.windows() {
		if start := time.Unix(at*Width, 0); !from.IsZero() && start.Before(from) || !to.IsZero() && !start.Before(to) {
			continue
		}
		s.closed[at].addTo(t)
	}
	return t
}

// HourOfDay is what the windows of one hour of the day (0 to 23) in that place came to, over all days.
func (s *Series) HourOfDay(hour int, in *time.Location) *Tally {
	t := new(Tally)
	for _, at := range s.windows() {
		if time.Unix(at*Width, 0).In(in).Hour() == hour {
			s.closed[at].addTo(t)
		}
	}
	return t
}

func (w *window) addTo(t *Tally) {
	t.Sums.Add(&w.Sums)
	w.addTimes(t)
}

// Span is the start of the first window and the end of the last; ok is false if there is none.
func (s *Series) Span() (from, to time.Time, ok bool) {
	numbers := s.windows()
	if len(numbers) == 0 {
		return from, to, false
	}
	return time.Unix(numbers[0]*Width, 0), time.Unix((numbers[len(numbers)-1]+1)*Width, 0), true
}
