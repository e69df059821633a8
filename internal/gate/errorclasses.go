package gate

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// errorClasses compares the entries of the error logs, class by class: those never seen before by a rule,
// those that were there before by how often they come for each request.
type errorClasses struct {
	past  *errorHistory
	Live  map[string]*liveClass `json:"live"` // by ID
	rates []*errorRate
	all   *errorRate // entries of level error and worse together

	Sought time.Duration `json:"sought"` // how long both generations have been watched together
}

// liveClass is one class since the gate was entered.
type liveClass struct {
	accesslog.Class
	Level   accesslog.Level `json:"level"` // the worst, by the new generation
	Old     int64           `json:"old"`
	New     int64           `json:"new"`
	Seconds int64           `json:"seconds"` // in which the new generation wrote it
	Last    int64           `json:"last"`
	First   time.Time       `json:"first"`
	Sample  string          `json:"sample"`
	Recall  bool            `json:"recall,omitempty"` // it was in the log before the gate
}

// maxRates is how many classes are compared by how often they come, those that came most.
const maxRates = 8

func newErrorClasses(past *errorHistory) *errorClasses {
	return &errorClasses{past: past, Live: make(map[string]*liveClass)}
}

// rated makes the tests of rates, of all entries and of single classes; requests are those of the days before.
func (e *errorClasses) rated(requests *series, alpha, margin float64, length time.Duration) (whole *errorRate, single []*errorRate) {
	chosen := slices.DeleteFunc(slices.Collect(maps.Values(e.past.Classes)), func(c *pastClass) bool {
		return c.Blocks == nil || rank(c.Level) > rank(accesslog.Error)
	})
	slices.SortFunc(chosen, func(a, b *pastClass) int { return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.ID, b.ID)) })
	chosen = chosen[:min(len(chosen), maxRates)]
	all := make(map[int64]int64)
	for _, c := range e.past.Classes {
		if rank(c.Level) <= rank(accesslog.Error) {
			for block, n := range c.Blocks {
				all[block] += n
			}
		}
	}
	share := alpha / float64(len(chosen)+1)
	whole = newErrorRate("", all, e.past.From, requests, share, margin, length)
	for _, c := range chosen {
		r := newErrorRate(c.Template, c.Blocks, e.past.From, requests, share, margin, length)
		r.ID = c.ID
		single = append(single, r)
	}
	return whole, single
}

// recall takes an entry from before the gate, by no process of the new generation.
func (e *errorClasses) recall(l accesslog.ErrorLine) {
	if _, crash := crashOf(l); crash || rank(l.Level) > rank(accesslog.Error) {
		return
	}
	if c := e.class(accesslog.ClassOf(l), l); c != nil {
		c.Recall = true
	}
}

func (e *errorClasses) class(class accesslog.Class, l accesslog.ErrorLine) *liveClass {
	c := e.Live[class.ID]
	if c == nil && len(e.Live) < maxClasses {
		c = &liveClass{Class: class, Level: l.Level}
		e.Live[class.ID] = c
	}
	return c
}

// add takes an entry of either generation.
func (e *errorClasses) add(l accesslog.ErrorLine, whose generation) {
	if _, crash := crashOf(l); crash || rank(l.Level) > rank(accesslog.Error) {
		return
	}
	class := accesslog.ClassOf(l)
	if e.all != nil {
		e.all.add(whose)
	}
	for _, r := range e.rates {
		if r.ID == class.ID {
			r.add(whose)
		}
	}
	c := e.class(class, l)
	if c == nil {
		return
	}
	if whose == oldGeneration {
		c.Old++
		return
	}
	if c.New++; c.New == 1 {
		c.First, c.Level, c.Sample = l.Time, l.Level, cut(l.String())
	}
	if rank(l.Level) < rank(c.Level) {
		c.Level = l.Level
	}
	if second := l.Time.Unix(); second != c.Last {
		c.Last = second
		c.Seconds++
	}
}

// requests lets the rates know what was served in a second.
func (e *errorClasses) requests(second int64, old, young, nobody *cell) {
	if e.all != nil {
		e.all.requests(second, old, young, nobody)
	}
	for _, r := range e.rates {
		r.requests(second, old, young, nobody)
	}
}

// findings are what the classes say.
func (e *errorClasses) findings(watched time.Duration, until time.Time) []analysis.Finding {
	var list []analysis.Finding
	known := e.Sought
	if e.past != nil && !e.past.From.IsZero() {
		known += until.Sub(e.past.From) - watched
	}
	for _, id := range slices.Sorted(maps.Keys(e.Live)) {
		c := e.Live[id]
		if c.New == 0 || c.Old > 0 || c.Recall || e.past != nil && e.past.Classes[id] != nil {
			continue
		}
		u := analysis.Unseen{
			Class: c.Template, Level: string(c.Level), Severe: severe(c.Level), Lines: c.New, Seconds: c.Seconds,
			First: c.First, Sample: c.Sample, After: watched, Before: max(0, known),
		}
		signal := c.signal()
		if c.Level == accesslog.Crit && (c.Kind == accesslog.KindCertificate || c.Kind == accesslog.KindRequest) {
			u.Severe = false // a scanner's odd handshake is crit, too
		}
		if u.Severe && signal != analysis.NewClass {
			list = append(list, analysis.UnseenRule(analysis.NewClass, u))
			u.Severe = false // one line is no fault of its kind yet
		}
		list = append(list, analysis.UnseenRule(signal, u))
	}
	if e.all != nil {
		list = append(list, e.all.findings()...)
	}
	for _, r := range e.rates {
		list = append(list, r.findings()...)
	}
	return list
}

// signal is what a class that was never seen speaks of. What clients bring about by what they ask for, and what
// servers behind nginx do, is news and no more than that: how often it comes is another signal's.
func (c *liveClass) signal() analysis.Signal {
	switch c.Kind {
	case accesslog.KindLua:
		return analysis.Lua
	case accesslog.KindCertificate:
		return analysis.Certificate
	case accesslog.KindRequest, accesslog.KindFile, accesslog.KindLimit, accesslog.KindPHP, accesslog.KindUpstream:
		return analysis.NewClass
	}
	if severe(c.Level) {
		return analysis.NewClass
	}
	return analysis.ErrorLines
}

// errorRate compares how many entries come for each request.
type errorRate struct {
	ID       string                   `json:"id,omitempty"`
	Before   *analysis.Monitor        `json:"before,omitempty"`
	Together *analysis.ConcurrentTest `json:"together,omitempty"`
	// The window that is open: entries, and the requests of each generation and of nobody known.
	From   int64          `json:"from,omitempty"`
	Old    analysis.Count `json:"old"`
	New    analysis.Count `json:"new"`
	Nobody int64          `json:"nobody,omitempty"`
}

// mostlyKnown: so small a part of the requests may be nobody's where generations are compared.
const mostlyKnown = 10

func newErrorRate(scope string, blocks map[int64]int64, from time.Time, requests *series, alpha, margin float64, length time.Duration) *errorRate {
	r := &errorRate{Together: analysis.NewConcurrent(analysis.ConcurrentOptions{Signal: analysis.ErrorLines, Scope: scope, Alpha: alpha / 2})}
	first, last, ok := requests.span()
	first = max(first, (from.Unix()+blockSeconds-1)/blockSeconds)
	if !ok || last < first || from.IsZero() {
		return r
	}
	b := analysis.Baseline{From: time.Unix(first*blockSeconds, 0), Blocks: make([]analysis.Count, last-first+1)}
	for at := first; at <= last; at++ {
		if c := requests.block(at); c != nil {
			b.Blocks[at-first] = analysis.Count{Bad: blocks[at], Total: int64(c.Requests)}
		}
	}
	r.Before = analysis.NewMonitor(b, analysis.MonitorOptions{
		Signal: analysis.ErrorLines, Scope: scope, Alpha: alpha / 2, Margin: margin, Watch: length,
	})
	return r
}

// add counts an entry.
func (r *errorRate) add(whose generation) {
	if whose == oldGeneration {
		r.Old.Bad++
	} else {
		r.New.Bad++
	}
}

func (r *errorRate) requests(second int64, old, young, nobody *cell) {
	if r.From == 0 {
		r.From = second
	}
	r.Old.Total += int64(old.Requests)
	r.New.Total += int64(young.Requests)
	r.Nobody += int64(nobody.Requests)
	if second-r.From+1 < fairSeconds {
		return
	}
	at, all := time.Unix(r.From, 0), r.Old.Total+r.New.Total+r.Nobody
	switch known := r.Nobody*mostlyKnown < all; {
	case known && r.Old.Total > 0 && r.New.Total > 0:
		r.Together.Add(at, r.Old, r.New)
	case r.Before == nil:
	case known:
		r.Before.Add(at, r.New)
	default: // entries of both generations, and requests of both
		r.Before.Add(at, analysis.Count{Bad: r.Old.Bad + r.New.Bad, Total: all})
	}
	r.From, r.Old, r.New, r.Nobody = 0, analysis.Count{}, analysis.Count{}, 0
}

// findings are those of the rate; of a single class, only alarms.
func (r *errorRate) findings() []analysis.Finding {
	list := []analysis.Finding{r.Together.Finding()}
	if r.Before != nil {
		list = append(list, r.Before.Findings()...)
	}
	if r.ID != "" {
		list = slices.DeleteFunc(list, func(f analysis.Finding) bool { return f.State != analysis.Alarm })
	}
	return list
}

func cut(text string) string {
	if len(text) > maxText {
		return text[:maxText] + "…"
	}
	return text
}
