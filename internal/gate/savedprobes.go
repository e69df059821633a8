package gate

import (
	"maps"

	"graft/internal/analysis"
	"graft/internal/probe"
)

// savedProbe are a probe's sums. The last minutes of it, by which it raises an alarm, begin anew, as what the
// old binary answers does.
type savedProbe struct {
	Sides    map[analysis.Side]analysis.Count `json:"sides"`
	Fates    map[probe.Fate]int64             `json:"fates"`
	Shared   int64                            `json:"shared,omitempty"`
	Errors5x int64                            `json:"errors_5xx,omitempty"`
	Cuts     int                              `json:"cuts,omitempty"`
	Notes    []string                         `json:"notes,omitempty"`
}

// saved are the sums by the probe's key.
func (p *prober) saved() map[string]savedProbe {
	all := make(map[string]savedProbe, len(p.probes))
	for _, one := range p.probes {
		all[one.key()] = one.saved()
	}
	return all
}

// key tells probes apart: two targets may have the same words for people.
func (p *probing) key() string {
	if p.keeps {
		return p.target.Key() + ", kept"
	}
	return p.target.Key()
}

func (p *probing) saved() savedProbe {
	p.mu.Lock()
	defer p.mu.Unlock()
	return savedProbe{Sides: p.tries.Counts(), Fates: maps.Clone(p.fates), Shared: p.shared, Errors5x: p.errors5x, Cuts: p.cuts, Notes: p.notes}
}

// goOn is for a probe that has not begun.
func (p *probing) goOn(from savedProbe) {
	p.tries.GoOn(from.Sides)
	maps.Copy(p.fates, from.Fates)
	p.shared, p.errors5x, p.cuts, p.notes = from.Shared, from.Errors5x, from.Cuts, from.Notes
}
