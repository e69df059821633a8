// Package analysis decides whether the new binary does as well as the old one. It is pure: evidence
// in, verdict and reasons out.
package analysis

import (
	"fmt"
	"math"
	"time"
)

// Verdict is what a gate says. The zero value does not proceed.
type Verdict int

// The verdicts.
const (
	Inconclusive Verdict = iota
	Pass
	Fail
)

var verdictNames = [...]string{"inconclusive", "pass", "fail"}

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
	return fmt.Errorf("verdict %q: want pass, fail or inconclusive", text)
}

// Policy is what a gate asks for.
type Policy struct {
	MinDuration time.Duration `json:"min_duration"` // how long it must have watched
	MinRequests int64         `json:"min_requests"` // answered requests in the access log, graft's own left out
	MinProbes   int64         `json:"min_probes"`   // answered probes
}

// Requests counts answered requests of one period.
type Requests struct {
	Total     int64 `json:"total"`
	Errors5xx int64 `json:"errors_5xx"`
}

// Share is the share of 5xx, 0 to 1.
func (r Requests) Share() float64 {
	if r.Total == 0 {
		return 0
	}
	return float64(r.Errors5xx) / float64(r.Total)
}

// Lines counts error-log lines of one generation by what matters here.
type Lines struct {
	Emerg int64 `json:"emerg"`
	Alert int64 `json:"alert"`
	Crit  int64 `json:"crit"`
	Error int64 `json:"error"`
	Warn  int64 `json:"warn"`
}

// LogShare is one access log, before and after.
type LogShare struct {
	Log    string   `json:"log"`
	Before Requests `json:"before"`
	After  Requests `json:"after"`
}

// Evidence is what a gate has seen since it was entered.
type Evidence struct {
	Watched time.Duration `json:"watched"`

	Before Requests `json:"before"` // the access logs' end before the migration
	After  Requests `json:"after"`  // the access logs since the gate was entered
	// Logs are the same, log by log. The shares are compared within each: summed up, they would
	// change when one site's traffic grows against another's.
	Logs []LogShare `json:"logs,omitempty"`
	// Logged is false if no access log could be followed; then only probes speak of requests.
	Logged    bool  `json:"logged"`
	Malformed int64 `json:"malformed,omitempty"` // lines of the access logs that no format explains

	// ErrorLogged is false if no error log could be followed: then no crash and no alert was seen
	// because none could be.
	ErrorLogged bool  `json:"error_logged"`
	Old         Lines `json:"old_lines"` // the error log since the gate was entered, by the old generation's pids
	New         Lines `json:"new_lines"`
	Unknown     Lines `json:"unknown_lines"` // by pids of neither
	// Familiar counts the new generation's emerg and alert lines, left out of New, that the old one
	// wrote in the same words.
	Familiar int64 `json:"familiar,omitempty"`

	OldCrashes []string `json:"old_crashes,omitempty"` // "worker process 12 exited on signal 11"; the first ones, and not among the lines
	NewCrashes []string `json:"new_crashes,omitempty"`
	Sample     []string `json:"sample,omitempty"` // the new generation's worst lines, a few

	Probes       int64    `json:"probes"`                  // answered
	ProbesLost   int64    `json:"probes_lost"`             // refused, reset, cut or timed out
	ProbesUnsent int64    `json:"probes_unsent,omitempty"` // graft itself could not send them
	Probes5xx    int64    `json:"probes_5xx"`              // of targets that did not answer so before
	ProbeNotes   []string `json:"probe_notes,omitempty"`

	// Unobserved lists what the gate could not look at, and why: logs that go to syslog, say.
	Unobserved []string `json:"unobserved,omitempty"`
}

// Bounds of the comparison of two shares of 5xx. A difference must be large enough to matter, and so
// unlikely under equal shares (about 3 in 100,000 for one look) that looking every second for days
// does not find it by chance often. It is a first, blunt test: errors that come in clumps widen it.
const (
	minErrors   = 10
	minExcess   = 0.005
	minZ        = 4.0
	critPerNew  = 10 // crit lines of the new generation that are too many if the old one has fewer than half
	probeErrors = 3  // answers of 5xx to probes that are too many
)

// Judge says whether the evidence is enough and good. Each reason stands for itself.
func Judge(e Evidence, p Policy) (Verdict, []string) {
	if bad := faults(e); len(bad) > 0 {
		return Fail, bad
	}
	if missing := gaps(e, p); len(missing) > 0 {
		return Inconclusive, missing
	}
	why := []string{
		fmt.Sprintf("watched for %s: no worker crashed, no alert", e.Watched.Round(time.Second)),
		fmt.Sprintf("%d probes answered, none lost", e.Probes),
	}
	if e.Logged {
		why = append(why, fmt.Sprintf("5xx: %.3f %% of %d requests, before %.3f %% of %d",
			100*e.After.Share(), e.After.Total, 100*e.Before.Share(), e.Before.Total))
	} else {
		why = append(why, "no access log could be followed: the probes alone speak for the answers")
	}
	return Pass, why
}

// faults lists what speaks against the new binary, whatever else is missing.
func faults(e Evidence) []string {
	var bad []string
	if n := len(e.NewCrashes); n > 0 {
		bad = append(bad, fmt.Sprintf("%d of the new master's workers crashed: %s", n, e.NewCrashes[0]))
	}
	if n := e.New.Emerg + e.New.Alert; n > 0 {
		bad = append(bad, fmt.Sprintf("%d emerg or alert lines of the new binary in the error log%s", n, sample(e)))
	}
	if e.New.Crit >= critPerNew && e.New.Crit > 2*e.Old.Crit {
		bad = append(bad, fmt.Sprintf("%d crit lines of the new binary in the error log, %d of the old%s", e.New.Crit, e.Old.Crit, sample(e)))
	}
	if e.ProbesLost > 0 {
		bad = append(bad, fmt.Sprintf("%d of %d probes were lost%s", e.ProbesLost, e.Probes+e.ProbesLost, notes(e)))
	}
	if e.Probes5xx >= probeErrors {
		bad = append(bad, fmt.Sprintf("%d of %d probes were answered with 5xx though they were not before", e.Probes5xx, e.Probes))
	}
	if worse, z := worseShare(e.Before, e.After); worse {
		bad = append(bad, fmt.Sprintf("5xx rose from %.3f %% of %d requests to %.3f %% of %d (z = %.1f)",
			100*e.Before.Share(), e.Before.Total, 100*e.After.Share(), e.After.Total, z))
	}
	return bad
}

// worseShare compares two shares by a pooled z-test, one-sided. With no requests before, an
// after of nothing but errors must still show: the pooled share then is the bound minExcess.
func worseShare(before, after Requests) (bool, float64) {
	if after.Errors5xx < minErrors {
		return false, 0
	}
	excess := after.Share() - before.Share()
	if excess < minExcess {
		return false, 0
	}
	n1, n2 := float64(before.Total), float64(after.Total)
	pooled := float64(before.Errors5xx+after.Errors5xx) / (n1 + n2)
	variance := pooled * (1 - pooled) * (1/n1 + 1/n2)
	if before.Total == 0 {
		pooled, excess = minExcess, after.Share()-minExcess
		variance = pooled * (1 - pooled) / n2
	}
	z := excess / math.Sqrt(variance)
	return z >= minZ || math.IsInf(z, 1), z
}

// gaps lists what is still missing for a verdict.
func gaps(e Evidence, p Policy) []string {
	var missing []string
	if e.Watched < p.MinDuration {
		missing = append(missing, fmt.Sprintf("watched for %s of %s", e.Watched.Round(time.Second), p.MinDuration))
	}
	if e.Probes < p.MinProbes {
		missing = append(missing, fmt.Sprintf("%d of %d probes answered", e.Probes, p.MinProbes))
	}
	if e.Logged && e.After.Total < p.MinRequests {
		missing = append(missing, fmt.Sprintf("%d of %d requests in the access log", e.After.Total, p.MinRequests))
	}
	if !e.Logged && p.MinRequests > 0 && p.MinProbes == 0 {
		missing = append(missing, "no access log could be followed and no probe was asked for")
	}
	return missing
}

func sample(e Evidence) string {
	if len(e.Sample) == 0 {
		return ""
	}
	return ": " + e.Sample[0]
}

func notes(e Evidence) string {
	if len(e.ProbeNotes) == 0 {
		return ""
	}
	return ": " + e.ProbeNotes[0]
}
