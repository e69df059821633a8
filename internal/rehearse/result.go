package rehearse

import (
	"fmt"
	"slices"
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
func (r *Result) judge(http bool, parts ...part) {
	r.Problems = []string{}
	for _, p := range parts {
		if p.err != nil {
			r.problem("%s: %v", p.role, p.err)
		}
	}
	r.judgeActs()
	if r.Clients.Lost > 0 {
		r.problem("%d of %d requests were lost", r.Clients.Lost, r.Clients.Sent)
	}
	for _, p := range parts {
		r.judgeClients(p)
	}
	r.judgeParity(http)
	r.Green = len(r.Problems) == 0
}

func (r *Result) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// judgeActs asks for every act, one by one. Behind one that failed none is played.
func (r *Result) judgeActs() {
	played, failed := map[string]bool{}, false
	for _, a := range r.Acts {
		played[a.Name] = true
		if !a.OK {
			failed = true
			r.problem("%s: %s", a.Name, a.Problem)
		}
	}
	if failed {
		return
	}
	for _, name := range actNames() {
		if !played[name] {
			r.problem("%s: it was not played", name)
		}
	}
}

// judgeClients wants the clients of each clone to have asked wherever those of any other did.
func (r *Result) judgeClients(p part) {
	if halves[p.role] == nil || p.err != nil || len(p.acts) > 0 && !p.acts[0].OK {
		return
	}
	for _, address := range r.Clients.Addresses {
		if !slices.Contains(p.clients.Addresses, address) {
			r.problem("%s: %s did not answer a client there", p.role, address)
		}
	}
	if len(p.clients.Addresses) > 0 && p.clients.Answered == 0 {
		r.problem("%s: clients were to ask %d addresses during the acts, and got no answer", p.role, len(p.clients.Addresses))
	}
}

// judgeParity wants answers from wherever HTTP is spoken.
func (r *Result) judgeParity(http bool) {
	p := r.Parity
	switch {
	case p == nil || p.Report == nil:
		r.problem("the answers were not compared")
	case p.Requests == 0 && http:
		r.problem("no request was compared")
	case p.Breaking > 0:
		r.problem("%d of %d requests are answered otherwise by the new binary", p.Breaking, p.Requests)
	}
	if p == nil || p.Report == nil {
		return
	}
	if p.NotAsked > 0 {
		r.problem("%d of %d requests were not sent to both binaries", p.NotAsked, p.Requests)
	}
	for _, address := range p.Mute {
		r.problem("%s: not one request was answered there, by either binary", address)
	}
}
