package traffic

import (
	"time"

	"graft/internal/analysis"
	"graft/internal/sketch"
)

// Counts is the signal in every window from the first to the last, as a baseline has it: those without a
// request are there, with nothing of nothing. thresholdMS matters to the slow ones only: a request is bad if
// it took longer. A signal that access logs do not tell of has no blocks. Lines from a time when the clock
// was wrong by a month or more are left out.
func (s *Series) Counts(signal analysis.Signal, thresholdMS int32) analysis.Baseline {
	count := counter(signal, thresholdMS)
	numbers := s.mainRun()
	if count == nil || len(numbers) == 0 {
		return analysis.Baseline{}
	}
	first, last := numbers[0], numbers[len(numbers)-1]
	b := analysis.Baseline{From: time.Unix(first*Width, 0), Blocks: make([]analysis.Count, last-first+1)}
	for _, at := range numbers {
		b.Blocks[at-first] = count(s.closed[at])
	}
	return b
}

// mainRun are the windows without those that a month or more parts from where the most requests are: a host
// that boots into 1970 must not cost the memory of half a century.
func (s *Series) mainRun() []int64 {
	const month = 31 * 24 * 60 * 60 / Width
	numbers := s.windows()
	var best []int64
	most := int64(-1)
	for len(numbers) > 0 {
		end, requests := 0, int64(0)
		for end < len(numbers) && (end == 0 || numbers[end]-numbers[end-1] < month) {
			requests += s.closed[numbers[end]].Requests
			end++
		}
		if requests > most {
			best, most = numbers[:end], requests
		}
		numbers = numbers[end:]
	}
	return best
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

// Span is the start of the first window and the end of the last, of those that [Series.Counts] tells; ok is
// false if there is none.
func (s *Series) Span() (from, to time.Time, ok bool) {
	numbers := s.mainRun()
	if len(numbers) == 0 {
		return from, to, false
	}
	return time.Unix(numbers[0]*Width, 0), time.Unix((numbers[len(numbers)-1]+1)*Width, 0), true
}

// Steps hands over what each stretch of so many seconds (a multiple of [Width]) came to, in order, of those that
// have requests. The tally is used again for the next one.
func (s *Series) Steps(seconds int64, fn func(at time.Time, t *Tally)) {
	var t Tally
	begin := int64(0)
	for _, at := range s.mainRun() {
		if start := at * Width / seconds * seconds; start != begin {
			if t.Requests > 0 {
				fn(time.Unix(begin, 0), &t)
			}
			t, begin = Tally{}, start
		}
		s.closed[at].addTo(&t)
	}
	if t.Requests > 0 {
		fn(time.Unix(begin, 0), &t)
	}
}
