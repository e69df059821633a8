package traffic

import "graft/internal/accesslog"

// Overview is all that a report tells of a period. The zero value is empty and ready.
type Overview struct {
	Series
	Failing Failing // URIs by 5xx
	Hosts   Groups  // by $host
	Paths   Groups  // by [FirstPart] of the URI
}

// Add counts a request.
func (o *Overview) Add(r *accesslog.Record) {
	o.Series.Add(r)
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
	o.Failing.Merge(&other.Failing.Top)
	o.Hosts.Merge(&other.Hosts)
	o.Paths.Merge(&other.Paths)
}
