package gate

import (
	"time"

	"graft/internal/analysis"
)

const (
	pastStep   = 10 * time.Second
	pastLength = 5 * time.Minute
)

// past keeps the sums of the last minutes, to tell what is recent.
type past struct {
	sums []pastSum // oldest first, at most pastLength/pastStep and one
}

// pastSum is what had been counted at a time.
type pastSum struct {
	at              time.Time
	requests, probe analysis.Requests
}

func (p *past) due(now time.Time) bool {
	return len(p.sums) == 0 || now.Sub(p.sums[len(p.sums)-1].at) >= pastStep
}

func (p *past) note(now time.Time, e analysis.Evidence) {
	p.sums = append(p.sums, pastSum{now, e.After, probesOf(e)})
	for now.Sub(p.sums[0].at) > pastLength {
		p.sums = p.sums[1:]
	}
}

// recent fills in what has come since the oldest sum that is recent.
func (p *past) recent(now time.Time, e *analysis.Evidence) {
	e.Recent, e.RecentProbes = e.After, probesOf(*e)
	for _, sum := range p.sums {
		if now.Sub(sum.at) <= pastLength {
			e.Recent, e.RecentProbes = since(e.Recent, sum.requests), since(e.RecentProbes, sum.probe)
			return
		}
	}
}

func probesOf(e analysis.Evidence) analysis.Requests {
	return analysis.Requests{Total: e.Probes, Errors5xx: e.Probes5xx}
}

// since may not go below zero: graft's own requests are counted before their lines arrive.
func since(now, then analysis.Requests) analysis.Requests {
	return analysis.Requests{Total: max(now.Total-then.Total, 0), Errors5xx: max(now.Errors5xx-then.Errors5xx, 0)}
}
