package traffic

import (
	"time"

	"graft/internal/accesslog"
)

// Overview is all that a report tells of a period. The zero value is empty and ready.
type Overview struct {
	Series
	Failing Failing // URIs by 5xx
	Hosts   Groups  // by $host
	Paths   Groups  // by [FirstPart] of the URI
	// first and last are the Unix times of the earliest and the latest request; 0 before there is one.
	first, last int64
}

// Add counts a request.
func (o *Overview) Add(r *accesslog.Record) {
	o.Series.Add(r)
	if r.Time >= Width { // else its time is not told
		o.reach(r.Time, r.Time)
	}
	o.Failing.Add(r)
	if r.Host != nil {
		o.Hosts.Add(r.Host, r)
	}
	if uri := r.URI(); uri != nil {
		o.Paths.Add(FirstPart(uri), r)
	}
}

// Merge adds all that another one counted.
func (o *Overview) Merge(other *Overview) {
	o.Series.Merge(&other.Series)
	if other.first > 0 {
		o.reach(other.first, other.last)
	}
	o.Failing.Merge(&other.Failing.Top)
	o.Hosts.Merge(&other.Hosts)
	o.Paths.Merge(&other.Paths)
}

func (o *Overview) reach(first, last int64) {
	if o.first == 0 || first < o.first {
		o.first = first
	}
	o.last = max(o.last, last)
}

// Seconds is [Series.Span] to the second: from the first request's second to the end of the last one's.
func (o *Overview) Seconds() (from, to time.Time, ok bool) {
	from, to, ok = o.Span()
	if !ok || o.first == 0 {
		return from, to, ok
	}
	// What the span leaves out, lines of a wrong clock, is beyond it.
	return time.Unix(max(from.Unix(), o.first), 0), time.Unix(min(to.Unix(), o.last+1), 0), true
}
