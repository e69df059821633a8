package probe

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Tally counts what became of requests. The zero value counts none.
//
// Requests = Fates[OK] + Apart() + Lost(); a 5xx answer is OK as a fate, and counted in Errors5xx.
type Tally struct {
	Requests    int64          `json:"requests"`
	Fates       map[Fate]int64 `json:"fates"`
	Status      map[int]int64  `json:"status"`
	Servers     []Server       `json:"servers"` // in the order in which they first answered
	Connections int64          `json:"connections"`
	Bytes       int64          `json:"bytes"` // of bodies
	Latency     Latency        `json:"latency"`
	Failures    []Failure      `json:"failures"` // the first ones that were lost, at most maxFailures
	Start       time.Time      `json:"start"`
	End         time.Time      `json:"end"`
}

// Server is one value of the Server header, and when answers carried it. An answer without one
// counts under the empty name.
type Server struct {
	Name  string    `json:"name"`
	Count int64     `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Failure is a lost request in detail.
type Failure struct {
	Time  time.Time `json:"time"`
	Fate  Fate      `json:"fate"`
	Error string    `json:"error"`
}

const maxFailures = 10

// Lost counts the requests that let a client down.
func (t *Tally) Lost() int64 { return t.count(Fate.Lost) }

// Apart counts the requests that any correct client has to send again.
func (t *Tally) Apart() int64 { return t.count(Fate.Apart) }

func (t *Tally) count(which func(Fate) bool) int64 {
	var n int64
	for fate, count := range t.Fates {
		if which(fate) {
			n += count
		}
	}
	return n
}

// Errors5xx counts the answers with a status of 500 to 599.
func (t *Tally) Errors5xx() int64 {
	var n int64
	for status, count := range t.Status {
		if status >= 500 && status <= 599 {
			n += count
		}
	}
	return n
}

// MarshalJSON adds the sums lost, apart and errors_5xx.
func (t Tally) MarshalJSON() ([]byte, error) {
	type plain Tally
	t.Servers = append([]Server{}, t.Servers...) // never null
	t.Failures = append([]Failure{}, t.Failures...)
	return json.Marshal(struct {
		plain
		Lost      int64 `json:"lost"`
		Apart     int64 `json:"apart"`
		Errors5xx int64 `json:"errors_5xx"`
	}{plain(t), t.Lost(), t.Apart(), t.Errors5xx()})
}

// add counts one request that ended at now and had begun latency earlier.
func (t *Tally) add(now time.Time, latency time.Duration, r reply) {
	if t.Fates == nil {
		t.Fates, t.Status = make(map[Fate]int64), make(map[int]int64)
	}
	t.Requests++
	t.Fates[r.fate]++
	t.Bytes += r.bytes
	t.End = now
	if r.fate == OK {
		t.Status[r.status]++
		t.Latency.add(latency)
		t.answered(r.server, now)
	}
	if r.fate.Lost() && len(t.Failures) < maxFailures {
		t.Failures = append(t.Failures, Failure{now, r.fate, r.err.Error()})
	}
}

func (t *Tally) answered(server string, now time.Time) {
	for i := range t.Servers {
		if s := &t.Servers[i]; s.Name == server {
			s.Count++
			s.Last = now
			return
		}
	}
	t.Servers = append(t.Servers, Server{Name: server, Count: 1, First: now, Last: now})
}

// Merge adds what other counted.
func (t *Tally) Merge(other Tally) {
	if t.Fates == nil {
		t.Fates, t.Status = make(map[Fate]int64), make(map[int]int64)
	}
	t.Requests += other.Requests
	for fate, n := range other.Fates {
		t.Fates[fate] += n
	}
	for status, n := range other.Status {
		t.Status[status] += n
	}
	for _, s := range other.Servers {
		i := slices.IndexFunc(t.Servers, func(have Server) bool { return have.Name == s.Name })
		if i < 0 {
			t.Servers = append(t.Servers, s)
			continue
		}
		have := &t.Servers[i]
		have.Count += s.Count
		have.First = earlier(have.First, s.First)
		have.Last = later(have.Last, s.Last)
	}
	slices.SortFunc(t.Servers, func(a, b Server) int {
		if order := a.First.Compare(b.First); order != 0 {
			return order
		}
		return strings.Compare(a.Name, b.Name)
	})
	t.Connections += other.Connections
	t.Bytes += other.Bytes
	t.Latency.merge(&other.Latency)
	t.Failures = slices.Concat(t.Failures, other.Failures)
	slices.SortStableFunc(t.Failures, func(a, b Failure) int { return a.Time.Compare(b.Time) })
	t.Failures = t.Failures[:min(len(t.Failures), maxFailures)]
	t.Start = earlier(t.Start, other.Start)
	t.End = later(t.End, other.End)
}

// earlier ignores the zero time.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
