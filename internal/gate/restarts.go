package gate

import (
	"fmt"
	"time"

	"graft/internal/nginx"
)

// restarts counts workers of the new generation that ended without being asked to. A worker that is asked
// to says so in its title ("shutting down") before it ends, and a reload asks all of them; one that ended
// by a signal is told by its master, and is none of these.
type restarts struct {
	At   []time.Time `json:"at,omitempty"`
	Last string      `json:"last,omitempty"`

	accepting map[int]bool // at the last look
	reloaded  time.Time    // more workers than before: a reload starts the new ones first
	leaving   map[int]bool // those that were seen to shut down
	vanished  []vanished
}

// vanished is a worker that is gone, until its master has had time to tell why.
type vanished struct {
	pid int
	at  time.Time
}

const (
	maxRestarts = 1000
	// reloadTime is how long after a reload its old workers may end without having been seen to shut down.
	reloadTime = 10 * time.Second
	// tellTime is how long a master's line about a worker's end is waited for.
	tellTime = 2 * time.Second
)

// look compares the workers with those of the look before.
func (r *restarts) look(tree nginx.Tree, now time.Time) {
	if r.leaving == nil {
		r.leaving = make(map[int]bool)
	}
	for _, p := range tree.Leaving() {
		r.leaving[p.PID] = true
	}
	accepting := make(map[int]bool)
	for _, p := range tree.Accepting() {
		accepting[p.PID] = true
	}
	var gone []int
	for pid := range r.accepting {
		if !accepting[pid] && !r.leaving[pid] {
			gone = append(gone, pid)
		}
	}
	if len(gone) == 0 && len(r.accepting) > 0 && len(accepting) > len(r.accepting) {
		r.reloaded = now
	}
	// All at once is a reload whose workers had nothing left to do, or the end of it all.
	if len(gone) < len(r.accepting) && now.Sub(r.reloaded) > reloadTime {
		for _, pid := range gone {
			r.vanished = append(r.vanished, vanished{pid, now})
		}
	}
	r.accepting = accepting
}

// settle counts those of whom no master said that a signal ended them.
func (r *restarts) settle(now time.Time, killed map[int]bool) {
	left := r.vanished[:0]
	for _, v := range r.vanished {
		switch {
		case killed[v.pid]:
		case now.Sub(v.at) < tellTime:
			left = append(left, v)
		case len(r.At) < maxRestarts:
			r.At = append(r.At, v.at)
			r.Last = fmt.Sprintf("worker process %d was gone at %s", v.pid, v.at.Format("15:04:05"))
		}
	}
	r.vanished = left
}
