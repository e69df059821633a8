package rehearse

import (
	"fmt"
	"time"

	"graft/internal/parity"
)

// Result is what a rehearsal came to. It holds nothing secret: requests are shown masked.
type Result struct {
	Plan        string        `json:"plan"`        // the plan's ID
	Fingerprint string        `json:"fingerprint"` // of the host as it was
	Time        time.Time     `json:"time"`
	Took        time.Duration `json:"took_ns"`
	Sandbox     string        `json:"sandbox"` // "root", or "user namespaces"
	Acts        []Act         `json:"acts"`
	Clients     Clients       `json:"clients"`
	Parity      *Parity       `json:"parity,omitempty"`
	Green       bool          `json:"green"`
	Problems    []string      `json:"problems"` // why it is not green
}

// Act is one part of the migration, played.
type Act struct {
	Name    string        `json:"name"`
	Does    string        `json:"does"`
	OK      bool          `json:"ok"`
	Took    time.Duration `json:"took_ns"`
	Steps   []Step        `json:"steps,omitempty"`
	Problem string        `json:"problem,omitempty"`
}

// Step is one action of an act, from its intent to its effect.
type Step struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took_ns"`
}

// Clients is what became of the requests that were sent during the acts.
type Clients struct {
	Sent      int64    `json:"sent"`
	Answered  int64    `json:"answered"`
	Lost      int64    `json:"lost"`
	Apart     int64    `json:"apart"`     // idle connections that were closed: any client sends these again
	Addresses []string `json:"addresses"` // that were asked
	Silent    []string `json:"silent"`    // that answer no request of a stranger: only their accepting was seen
	Failures  []string `json:"failures,omitempty"`
}

// Parity is the comparison of the old and the new binary's answers.
type Parity struct {
	*parity.Report
	FromLogs   int              `json:"from_logs"`
	FromConfig int              `json:"from_config"`
	Logs       []parity.LogRead `json:"logs"`
	LeftOut    []parity.LeftOut `json:"left_out"`
	Unanswered []string         `json:"unanswered"` // upstreams that no stub could stand in for
	Took       time.Duration    `json:"took_ns"`
}

// judge decides whether the rehearsal is green. What was not seen counts against it.
func (r *Result) judge(parts ...part) {
	r.Problems = []string{}
	for _, p := range parts {
		if p.err != nil {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: %v", p.role, p.err))
		}
	}
	if len(r.Acts) == 0 {
		r.Acts = []Act{}
		r.Problems = append(r.Problems, "nothing was played")
	}
	for _, a := range r.Acts {
		if !a.OK {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: %s", a.Name, a.Problem))
		}
	}
	if r.Clients.Lost > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("%d of %d requests were lost", r.Clients.Lost, r.Clients.Sent))
	}
	switch {
	case r.Parity == nil:
		r.Problems = append(r.Problems, "the answers were not compared")
	case r.Parity.Requests == 0:
		r.Problems = append(r.Problems, "no request was compared")
	case r.Parity.Breaking > 0:
		r.Problems = append(r.Problems, fmt.Sprintf("%d of %d requests are answered otherwise by the new binary", r.Parity.Breaking, r.Parity.Requests))
	}
	r.Green = len(r.Problems) == 0
}
