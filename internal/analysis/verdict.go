// Package analysis decides whether the new binary does as well as the old one. It is pure: evidence
// in, verdict and reasons out.
package analysis

import "fmt"

// Verdict is what a gate says. The zero value does not proceed, and only Pass does.
type Verdict int

// The verdicts.
const (
	Inconclusive Verdict = iota
	Pass
	Fail
	Degraded // enough was seen, and the new binary does worse in a way that the policy only warns of
)

var verdictNames = [...]string{"inconclusive", "pass", "fail", "degraded"}

func (v Verdict) String() string { return verdictNames[v] }

// MarshalText writes the name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the name.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, name := range verdictNames {
		if name == string(text) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("verdict %q: want pass, fail, degraded or inconclusive", text)
}
