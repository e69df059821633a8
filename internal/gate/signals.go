package gate

import (
	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// compared are the signals that access logs tell, in the order of cell.
var compared = [...]analysis.Signal{
	analysis.Errors5xx, analysis.Errors4xx, analysis.ClientClosed, analysis.UpstreamErrors,
	analysis.SlowP95, analysis.SlowP99, analysis.UpstreamSlow,
}

const (
	at5xx = iota
	at4xx
	atClosed
	atUpstream
	atSlow95
	atSlow99
	atUpstreamSlow
	signalCount
)

// cell counts the requests of one scope in one stretch of time.
type cell struct {
	Requests uint32              // the total of the first three signals
	Upstream uint32              // that asked an upstream
	Timed    uint32              // that tell $request_time
	Waited   uint32              // that tell $upstream_response_time
	Bad      [signalCount]uint32 // by signal
}

// limits are the times in ms beyond which a request is slow. 0: not known, nothing is slow.
type limits struct {
	P95      int32 `json:"p95,omitempty"`
	P99      int32 `json:"p99,omitempty"`
	Upstream int32 `json:"upstream_p95,omitempty"`
}

func (c *cell) add(r *accesslog.Record, slow limits) {
	c.Requests++
	switch {
	case r.Status >= 500 && r.Status <= 599:
		c.Bad[at5xx]++
	case r.Status == 499:
		c.Bad[atClosed]++
	case r.Status >= 400 && r.Status <= 498:
		c.Bad[at4xx]++
	}
	if r.UpstreamFailures > 0 || r.UpstreamTime >= 0 {
		c.Upstream++
		if r.UpstreamFailures > 0 {
			c.Bad[atUpstream]++
		}
	}
	if r.RequestTime >= 0 && slow.P95 > 0 {
		c.Timed++
		if r.RequestTime > slow.P95 {
			c.Bad[atSlow95]++
		}
		if r.RequestTime > slow.P99 {
			c.Bad[atSlow99]++
		}
	}
	if r.UpstreamTime >= 0 && slow.Upstream > 0 {
		c.Waited++
		if r.UpstreamTime > slow.Upstream {
			c.Bad[atUpstreamSlow]++
		}
	}
}

func (c *cell) merge(o *cell) {
	c.Requests += o.Requests
	c.Upstream += o.Upstream
	c.Timed += o.Timed
	c.Waited += o.Waited
	for i := range c.Bad {
		c.Bad[i] += o.Bad[i]
	}
}

// count is one signal, by its place in compared.
func (c *cell) count(signal int) analysis.Count {
	total := c.Requests
	switch signal {
	case atUpstream:
		total = c.Upstream
	case atSlow95, atSlow99:
		total = c.Timed
	case atUpstreamSlow:
		total = c.Waited
	}
	return analysis.Count{Bad: int64(c.Bad[signal]), Total: int64(total)}
}
