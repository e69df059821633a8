package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"graft/internal/analysis"
	"graft/internal/sketch"
	"graft/internal/traffic"
)

// Lengths of lists.
const (
	mostURIs   = 20
	mostGroups = 40
)

// New describes one period, or compares two: before and after.
func New(o Options, periods ...*Input) *Report {
	r := &Report{Formats: o.Formats, Readings: o.Readings}
	var span time.Duration
	for _, in := range periods {
		if from, to, ok := in.Counts.Span(); ok {
			span = max(span, to.Sub(from))
		}
	}
	for _, in := range periods {
		r.Periods = append(r.Periods, newPeriod(in, step(span)))
	}
	after := periods[len(periods)-1]
	before := &Input{Counts: new(traffic.Overview)}
	if len(periods) == 2 {
		before = periods[0]
		r.judge(before, after, o)
	}
	r.FailingURIs = failing(&before.Counts.Failing, &after.Counts.Failing)
	r.FailingShort = before.Counts.Failing.Short() + after.Counts.Failing.Short()
	r.Hosts = groups(&before.Counts.Hosts, &after.Counts.Hosts, len(periods) == 2)
	r.Paths = groups(&before.Counts.Paths, &after.Counts.Paths, len(periods) == 2)
	if r.Verdict != nil && *r.Verdict == analysis.Fail {
		for _, words := range []string{culprit("server", r.Hosts), culprit("path", r.Paths)} {
			if words != "" {
				r.Why = append(r.Why, words)
			}
		}
	}
	r.ErrorLog = grown(before.Errors, after.Errors)
	return r
}

func newPeriod(in *Input, stepSeconds int64) *Period {
	all := in.Counts.Range(zero, zero)
	sums := all.Sums
	sums.Add(&in.Counts.Untimed)
	p := &Period{
		Name: in.Name, Requests: sums.Requests, Statuses: statuses(&sums), Bytes: sums.Bytes,
		Untimed: in.Counts.Untimed.Requests, Time: times(&all.Time), StepSeconds: stepSeconds,
	}
	if sums.UpstreamRequests > 0 {
		p.Upstream = &Upstream{
			Requests: sums.UpstreamRequests, Failed: sums.UpstreamFailed,
			Share: share(sums.UpstreamFailed, sums.UpstreamRequests), Time: times(&all.Upstream),
		}
	}
	if from, to, ok := in.Counts.Seconds(); ok {
		p.From, p.To = from, to
		p.PerSecond = float64(all.Requests) / to.Sub(from).Seconds()
		p.Timeline = timeline(&in.Counts.Series, stepSeconds)
	}
	return p
}

func statuses(s *traffic.Sums) []Status {
	list := []Status{
		{Name: "2xx", N: s.Classes[2]}, {Name: "3xx", N: s.Classes[3]}, {Name: "4xx", N: s.Errors4xx()},
		{Name: "499", N: s.ClientClosed}, {Name: "5xx", N: s.Classes[5]},
		{Name: "1xx", N: s.Classes[1]}, {Name: "other", N: s.Classes[0]},
	}
	for i := range list {
		list[i].Share = share(list[i].N, s.Requests)
	}
	return list
}

func share(k, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(k) / float64(n)
}

func times(s *sketch.Sketch) *Times {
	if s.Count() == 0 {
		return nil
	}
	return &Times{N: s.Count(), P50: s.Quantile(0.5), P95: s.Quantile(0.95), P99: s.Quantile(0.99)}
}

func failing(before, after *traffic.Failing) []URI {
	known := make(map[string]int64)
	for _, u := range before.First(-1) {
		known[u.Name] = u.N
	}
	var list []URI
	for _, u := range after.First(-1) {
		list = append(list, URI{u.Name, known[u.Name], u.N})
		delete(known, u.Name)
	}
	for name, n := range known {
		list = append(list, URI{URI: name, Before: n})
	}
	slices.SortFunc(list, func(a, b URI) int {
		return cmp.Or(cmp.Compare(b.After, a.After), cmp.Compare(b.Before, a.Before), strings.Compare(a.URI, b.URI))
	})
	return list[:min(len(list), mostURIs)]
}
