package traffic

import (
	"math"
	"slices"
	"time"

	"graft/internal/analysis"
	"graft/internal/sketch"
)

// Counts is the signal in every window from the first to the last, as a baseline has it: those without a
// request are there, with nothing of nothing. thresholdMS matters to the slow ones only: a request is bad if
// it took longer. A signal that access logs do not tell of has no blocks. Lines from a time when the clock
// was wrong by a month or more are left out.
//
// In a series of more than two days slow requests are known of longer stretches than a window only: they are
// spread over its windows as the requests are.
func (s *Series) Counts(signal analysis.Signal, thresholdMS int32) analysis.Baseline {
	numbers := s.mainRun()
	count := counter(signal)
	sketches := sketchOf(signal)
	if count == nil && sketches == nil || len(numbers) == 0 {
		return analysis.Baseline{}
	}
	first, last := numbers[0], numbers[len(numbers)-1]
	b := analysis.Baseline{From: time.Unix(first*Width, 0), Blocks: make([]analysis.Count, last-first+1)}
	if count != nil {
		for _, at := range numbers {
			b.Blocks[at-first] = count(s.closed[at])
		}
		return b
	}
	for len(numbers) > 0 {
		number := numbers[0] / s.times.length()
		end := slices.IndexFunc(numbers, func(at int64) bool { return at/s.times.length() != number })
		if end < 0 {
			end = len(numbers)
		}
		if p := s.times.by[number]; p != nil {
			bad, total := sketch.CountAboveSparse(sketches(p), thresholdMS)
			s.spread(numbers[:end], analysis.Count{Bad: bad, Total: total}, func(at int64, c analysis.Count) {
				b.Blocks[at-first] = c
			})
		}
		numbers = numbers[end:]
	}
	return b
}

// spread gives each window its part of a count, in proportion to its requests, so that the parts add up.
func (s *Series) spread(windows []int64, c analysis.Count, fn func(at int64, c analysis.Count)) {
	all := int64(0)
	for _, at := range windows {
		all += s.closed[at].Requests
	}
	requests, given := int64(0), analysis.Count{}
	for _, at := range windows {
		requests += s.closed[at].Requests
		part := float64(requests) / float64(all)
		until := analysis.Count{Bad: int64(math.Round(float64(c.Bad) * part)), Total: int64(math.Round(float64(c.Total) * part))}
		fn(at, analysis.Count{Bad: until.Bad - given.Bad, Total: until.Total - given.Total})
		given = until
	}
}

// counter is how a signal is counted in a window's numbers; nil if it is not.
func counter(signal analysis.Signal) func(*Sums) analysis.Count {
	switch signal {
	case analysis.Errors5xx:
		return func(w *Sums) analysis.Count { return analysis.Count{Bad: w.Classes[5], Total: w.Requests} }
	case analysis.Errors4xx:
		return func(w *Sums) analysis.Count { return analysis.Count{Bad: w.Errors4xx(), Total: w.Requests} }
	case analysis.ClientClosed:
		return func(w *Sums) analysis.Count { return analysis.Count{Bad: w.ClientClosed, Total: w.Requests} }
	case analysis.UpstreamErrors:
		return func(w *Sums) analysis.Count {
			return analysis.Count{Bad: w.UpstreamFailed, Total: w.UpstreamRequests}
		}
	case analysis.Volume:
		return func(w *Sums) analysis.Count { return analysis.Count{Total: w.Requests} }
	}
	return nil
}

// sketchOf is the sketch that a signal of slow requests is counted in; nil for other signals.
func sketchOf(signal analysis.Signal) func(*packed) []byte {
	switch signal {
	case analysis.SlowP95, analysis.SlowP99:
		return func(p *packed) []byte { return p.time }
	case analysis.UpstreamSlow:
		return func(p *packed) []byte { return p.upstream }
	}
	return nil
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

// Range is what the windows that begin in [from, to) came to; a zero time is no bound. In a series of more
// than two days durations are those of the stretches that begin there.
func (s *Series) Range(from, to time.Time) *Tally {
	return s.where(func(at time.Time) bool {
		return (from.IsZero() || !at.Before(from)) && (to.IsZero() || at.Before(to))
	})
}

// HourOfDay is what the windows of one hour of the day (0 to 23) in that place came to, over all days.
func (s *Series) HourOfDay(hour int, in *time.Location) *Tally {
	return s.where(func(at time.Time) bool { return at.In(in).Hour() == hour })
}

func (s *Series) where(wanted func(time.Time) bool) *Tally {
	t := new(Tally)
	for _, at := range s.windows() {
		if wanted(time.Unix(at*Width, 0)) {
			t.Sums.Add(s.closed[at])
		}
	}
	for number, p := range s.times.by {
		if wanted(time.Unix(number*s.times.length()*Width, 0)) {
			p.addTo(t)
		}
	}
	return t
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
	steps := make(map[int64][]int64) // numbers of their stretches of durations
	for number := range s.times.by {
		step := number * s.times.length() * Width / seconds
		steps[step] = append(steps[step], number)
	}
	numbers := s.mainRun()
	for len(numbers) > 0 {
		step := numbers[0] * Width / seconds
		var t Tally
		for len(numbers) > 0 && numbers[0]*Width/seconds == step {
			t.Sums.Add(s.closed[numbers[0]])
			numbers = numbers[1:]
		}
		for _, number := range steps[step] {
			s.times.by[number].addTo(&t)
		}
		fn(time.Unix(step*seconds, 0), &t)
	}
}
