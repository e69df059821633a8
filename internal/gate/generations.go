package gate

import (
	"slices"
	"time"

	"graft/internal/nginx"
	"graft/internal/procfs"
)

// generation is whose a process is. The zero value is nobody's.
type generation uint8

const (
	unknown generation = iota
	oldGeneration
	newGeneration
)

// generations remembers whose each pid is, also after its process has ended: its lines may still
// be on their way.
type generations struct {
	fs       procfs.FS
	old, new nginx.Process
	of       map[int]generation
	// accepting are the workers of each that take new connections, as far as the last full look saw.
	accepting [3][]nginx.Process
	children  [3][]int // at the last full look
	next      time.Time
	restarts  restarts
}

// fullLook is how often titles are read though the children are the same: a worker that is asked to shut
// down stays its master's child.
const fullLook = time.Second

func newGenerations(fs procfs.FS, old, young nginx.Process) *generations {
	return &generations{fs: fs, old: old, new: young, of: make(map[int]generation)}
}

// look notes the processes that live now.
func (g *generations) look(now time.Time) {
	full := !now.Before(g.next)
	if full {
		g.next = now.Add(fullLook)
	}
	g.note(g.old, oldGeneration, now, full)
	g.note(g.new, newGeneration, now, full)
}

func (g *generations) note(master nginx.Process, whose generation, now time.Time, full bool) {
	if master.PID == 0 {
		return
	}
	if _, known := g.of[master.PID]; !known {
		g.of[master.PID] = whose
	}
	children, err := g.fs.Children(master.PID)
	if err != nil {
		g.accepting[whose] = nil // it has ended; who notices that is not the gate
		return
	}
	if !full && slices.Equal(children, g.children[whose]) && g.allKnown(children, whose) {
		return // the usual case, in a single read
	}
	tree, err := nginx.ReadTree(g.fs, master.PID)
	if err != nil || tree.Master != master {
		g.accepting[whose] = nil
		return
	}
	g.children[whose] = children
	for _, w := range tree.Workers {
		g.of[w.PID] = whose // a pid that comes back is the living one's
	}
	g.accepting[whose] = tree.Accepting()
	if whose == newGeneration {
		g.restarts.look(tree, now)
	}
}

// together tells whether both generations take new connections.
func (g *generations) together() bool {
	return len(g.accepting[oldGeneration]) > 0 && len(g.accepting[newGeneration]) > 0
}

// allKnown tells whether there is nothing to learn of a master's children.
func (g *generations) allKnown(children []int, whose generation) bool {
	for _, pid := range children {
		if g.of[pid] != whose && pid != g.new.PID {
			return false
		}
	}
	return true
}

// learn notes what a master's own line tells about a child that came and went between two looks.
func (g *generations) learn(child int, whose generation) {
	if _, known := g.of[child]; !known && whose != unknown {
		g.of[child] = whose
	}
}
