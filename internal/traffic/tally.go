package traffic

import (
	"graft/internal/accesslog"
	"graft/internal/sketch"
)

// Sums are the numbers of some requests, all but how long they took.
type Sums struct {
	Requests     int64    `json:"requests"`
	Classes      [6]int64 `json:"classes"`       // by the status's first digit; 0: any that is none of nginx's, 000 say
	ClientClosed int64    `json:"client_closed"` // 499, which are among the 4xx
	// UpstreamRequests asked an upstream; of them UpstreamFailed had a try that was not answered, or with 5xx.
	UpstreamRequests int64 `json:"upstream_requests"`
	UpstreamFailed   int64 `json:"upstream_failed"`
	Bytes            int64 `json:"bytes"`
}

// Errors4xx are the 4xx but for 499, which the client decided.
func (s *Sums) Errors4xx() int64 { return s.Classes[4] - s.ClientClosed }

// Add adds the numbers of other requests.
func (s *Sums) Add(o *Sums) {
	s.Requests += o.Requests
	for i := range s.Classes {
		s.Classes[i] += o.Classes[i]
	}
	s.ClientClosed += o.ClientClosed
	s.UpstreamRequests += o.UpstreamRequests
	s.UpstreamFailed += o.UpstreamFailed
	s.Bytes += o.Bytes
}

// Tally is what some requests came to. The zero value is of none.
type Tally struct {
	Sums
	Time     sketch.Sketch `json:"time"`     // $request_time, where told
	Upstream sketch.Sketch `json:"upstream"` // $upstream_response_time, where told
}

// count adds a request to the numbers.
func (s *Sums) count(r *accesslog.Record) {
	s.Requests++
	class := uint(r.Status) / 100
	if class > 5 {
		class = 0
	}
	s.Classes[class]++
	if r.Status == 499 {
		s.ClientClosed++
	}
	if r.Bytes > 0 {
		s.Bytes += r.Bytes
	}
	if r.UpstreamFailures > 0 {
		s.UpstreamFailed++
		s.UpstreamRequests++
	} else if r.UpstreamTime >= 0 {
		s.UpstreamRequests++
	}
}

// Add counts a request.
func (t *Tally) Add(r *accesslog.Record) {
	t.Sums.count(r)
	if r.RequestTime >= 0 {
		t.Time.Add(r.RequestTime)
	}
	if r.UpstreamTime >= 0 {
		t.Upstream.Add(r.UpstreamTime)
	}
}

// Merge adds what other requests came to.
func (t *Tally) Merge(o *Tally) {
	t.Sums.Add(&o.Sums)
	t.Time.Merge(&o.Time)
	t.Upstream.Merge(&o.Upstream)
}
