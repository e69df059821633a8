package gate

import (
	"cmp"
	"slices"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// live counts the requests that come in while the gate watches, second by second, and hands each second to
// the tests when its lines may be expected to be there.
type live struct {
	scopes      *scopes
	comparisons []*comparison // by scope
	blackout    analysis.Calendar
	slots       map[int64]*slot
	closed      int64 // the newest second that was handed over
	lag         int64 // seconds that a line may be late
	// Attributed counts requests by generation: what both have served, and what nobody knows whose it is.
	attributed [3]int64
	mix        mix
	volume     volume
	rises      rises   // of the whole, before the swap
	errorAlpha float64 // what of α is for the error log's classes
}

// slot is one second.
type slot struct {
	// Cells by generation and scope.
	Cells [3][]cell `json:"cells"`
	// Waiting are those of pids that are not known yet.
	Waiting map[int][]cell `json:"waiting,omitempty"`
}

const (
	// usualLag lets lines arrive that are written when they come: another second, and a look.
	usualLag = 2
	// longestLag bounds how long buffered logs (flush=) are waited for. What comes later is counted in
	// the second that is open then.
	longestLag = 10
	// errorShare of α is for how often classes of the error log come.
	errorShare = 0.1
	// maxStrangers bounds the unknown pids of a second.
	maxStrangers = 16
)

// newLive makes the comparisons, of which those with the days before have yet to [live.learn].
func newLive(cfg Config, now time.Time) *live {
	l := &live{
		slots: make(map[int64]*slot), closed: now.Unix() - 1, lag: cmp.Or(min(cfg.Logs.Flush, longestLag), usualLag), blackout: cfg.Blackout,
	}
	past := cfg.History
	if past == nil {
		l.scopes = newSurvey().scopes()
	} else {
		l.scopes = past.Scopes
		l.volume.learn(past)
	}
	alpha := cfg.Alpha
	if alpha <= 0 {
		alpha = 0.01
	}
	l.errorAlpha = alpha * errorShare
	alpha -= l.errorAlpha
	margin := func(s analysis.Signal) float64 { return cmp.Or(cfg.Margins[s], cfg.Margin) }
	for i, s := range l.scopes.List {
		share := alpha
		if parts := len(l.scopes.List) - 1; parts > 0 {
			if share = alpha * wholeShare; i > 0 {
				share = alpha * (1 - wholeShare) / float64(parts)
			}
		}
		l.comparisons = append(l.comparisons, newComparison(s, i == 0, share, margin, cfg.Logs.apart()))
	}
	for n, i := range l.scopes.strata() {
		l.comparisons[i].whole, l.comparisons[i].stratum = l.comparisons[0], n
		l.comparisons[0].pool = append(l.comparisons[0].pool, window{})
	}
	return l
}

// learn makes the tests against the days before: of a host with much traffic in many parts, that takes a second.
// Meanwhile what comes is kept.
func (l *live) learn(past *History, length time.Duration) {
	l.rises = noRises()
	for i, c := range l.comparisons {
		seen := c.learn(past.Series[i], past.Until, l.rises, length, past.busy())
		if i == 0 {
			l.rises = seen
		}
	}
}

// source is a log as its lines are counted.
type source struct {
	scope int // 0: it has none of its own
	slow  limits
}

func (l *live) source(path string) source {
	return source{l.scopes.Logs[path], l.scopes.PerLog[path]}
}

// add counts a request.
func (l *live) add(from source, r *accesslog.Record, whose generation, now time.Time) {
	second := r.Time
	if second <= 0 || second > now.Unix() {
		second = now.Unix()
	}
	cells := l.slot(max(second, l.closed+1)).cells(l, whose, r.PID)
	cells[0].add(r, from.slow)
	l.scopes.of(from.scope, r, func(i int) { cells[i].add(r, l.scopes.List[i].limits) })
}

func (l *live) slot(second int64) *slot {
	s := l.slots[second]
	if s == nil {
		s = new(slot)
		l.slots[second] = s
	}
	return s
}

// cells are the place for a request of that generation, or of that unknown pid.
func (s *slot) cells(l *live, whose generation, pid int) []cell {
	if whose == unknown && pid > 0 && (s.Waiting[pid] != nil || len(s.Waiting) < maxStrangers) {
		if s.Waiting == nil {
			s.Waiting = make(map[int][]cell)
		}
		if s.Waiting[pid] == nil {
			s.Waiting[pid] = make([]cell, len(l.scopes.List))
		}
		return s.Waiting[pid]
	}
	if s.Cells[whose] == nil {
		s.Cells[whose] = make([]cell, len(l.scopes.List))
	}
	return s.Cells[whose]
}

// settle hands over the seconds whose time has come. together: both generations take new connections. done
// is called with each second's sums for the whole.
func (l *live) settle(now time.Time, pids *generations, together bool, done func(second int64, old, young, nobody *cell)) {
	l.until(now.Unix()-l.lag, pids, together, done)
}

func (l *live) until(last int64, pids *generations, together bool, done func(second int64, old, young, nobody *cell)) {
	if len(l.slots) == 0 {
		l.closed = max(l.closed, last)
		return
	}
	for l.closed < last {
		l.closed++
		s := l.slots[l.closed]
		if s == nil {
			continue
		}
		delete(l.slots, l.closed)
		s.know(l, pids)
		at := time.Unix(l.closed, 0)
		l.volume.add(at, s)
		whole := [3]cell{}
		for i := range s.Cells {
			if s.Cells[i] != nil {
				whole[i] = s.Cells[i][0]
				l.attributed[i] += int64(whole[i].Requests)
			}
		}
		if !l.blackout.Covers(at) {
			l.compare(at, s, together)
			done(l.closed, &whole[oldGeneration], &whole[newGeneration], &whole[unknown])
		}
	}
}

// know gives what waited to whom it belongs to.
func (s *slot) know(l *live, pids *generations) {
	for pid, cells := range s.Waiting {
		to := s.cells(l, pids.of[pid], 0)
		for i := range cells {
			to[i].merge(&cells[i])
		}
	}
	s.Waiting = nil
}

func (l *live) compare(at time.Time, s *slot, together bool) {
	old, young, nobody := s.Cells[oldGeneration], s.Cells[newGeneration], s.Cells[unknown]
	if together {
		l.mix.add(old, young)
	}
	l.comparisons[0].turn(at.Unix())
	for i, c := range l.comparisons {
		var o, n, after cell
		if old != nil {
			o = old[i]
		}
		if young != nil {
			n = young[i]
		}
		// While both serve they are compared with each other, and what happens to both is no fault of either.
		if !together {
			after = n
		}
		if nobody != nil {
			after.merge(&nobody[i])
		}
		if after.Requests > 0 {
			c.addBefore(at, &after)
		}
		if together && o.Requests+n.Requests > 0 {
			c.addTogether(at.Unix(), &o, &n)
		}
	}
}

// maxDoubtful is how many parts that are not yet alarms are told of: they may say where a fault of the whole is.
const maxDoubtful = 2

// wholeDoubtful is the evidence that makes a signal of the whole one to look for in its parts.
const wholeDoubtful = 5

// partDoubtful is the evidence that is worth a hint by itself: the whole is told of once a block, its parts at once.
const partDoubtful = 25

// findings are those of the whole; of its parts only the alarms, and the few that come nearest to one, which are no
// more than a hint: among many, some always look a little worse by chance.
func (l *live) findings() []analysis.Finding {
	list := l.comparisons[0].findings()
	whole := make(map[analysis.Signal]float64)
	for _, f := range list {
		whole[f.Signal] = max(whole[f.Signal], f.Evidence)
	}
	var doubtful []analysis.Finding
	for _, c := range l.comparisons[1:] {
		for _, f := range c.findings() {
			switch {
			case f.State == analysis.Alarm:
				list = append(list, f)
			case f.Test != analysis.Guard && f.After.Bad > 0 && (whole[f.Signal] >= wholeDoubtful || f.Evidence >= partDoubtful):
				if f.State == analysis.Suspect {
					f.State = analysis.Quiet
				}
				doubtful = append(doubtful, f)
			}
		}
	}
	// The graver signals first, of each the part that looks worst.
	slices.SortStableFunc(doubtful, func(a, b analysis.Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(compared[:], a.Signal), slices.Index(compared[:], b.Signal)), cmp.Compare(b.Evidence, a.Evidence))
	})
	doubtful = slices.CompactFunc(doubtful, func(a, b analysis.Finding) bool { return a.Signal == b.Signal })
	return append(list, doubtful[:min(len(doubtful), maxDoubtful)]...)
}
