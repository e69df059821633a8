package analysis

import "fmt"

const (
	whereMost = 0.5 // of the bad ones beyond those there are anyway, for a part to be the place of the trouble
	wherePart = 0.5 // of all requests, at most: what is nearly everything is no place
)

// where tells in which part of the traffic most of what is bad about the whole lies, if it lies in one: a
// broken location is small, and its own tests need longer than those of the whole. "" if it lies in none.
func where(findings []Finding, signal Signal, scope string) string {
	if scope != "" || !signal.Compared() {
		return ""
	}
	for _, test := range []Test{Concurrent, Sequential} { // which count since the gate was entered; a guard's windows differ
		var whole, best Finding
		for _, f := range findings {
			if f.Signal == signal && f.Test == test && f.Scope == "" {
				whole = f
			}
		}
		for _, f := range findings {
			if f.Signal != signal || f.Test != test || f.Scope == "" || f.After.Bad == 0 {
				continue
			}
			usual := whole.Before.Share()
			most := f.After.beyond(usual) >= whereMost*whole.After.beyond(usual)
			if most && float64(f.After.Total) <= wherePart*float64(whole.After.Total) && (best.Scope == "" || f.After.Share() > best.After.Share()) {
				best = f
			}
		}
		if best.Scope != "" {
			return fmt.Sprintf("; %d of these %d are of %s, %d requests", best.After.Bad, whole.After.Bad, best.Scope, best.After.Total)
		}
	}
	return ""
}

// beyond is how many bad ones there are more than at that share.
func (c Count) beyond(share float64) float64 { return float64(c.Bad) - share*float64(c.Total) }
