package gate

import (
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
}

func newGenerations(fs procfs.FS, old, young nginx.Process) *generations {
	return &generations{fs: fs, old: old, new: young, of: make(map[int]generation)}
}

// look notes the processes that live now.
func (g *generations) look() {
	g.note(g.old, oldGeneration)
	g.note(g.new, newGeneration)
}

func (g *generations) note(master nginx.Process, whose generation) {
	if master.PID == 0 {
		return
	}
	if _, known := g.of[master.PID]; !known {
		g.of[master.PID] = whose
	}
	if children, err := g.fs.Children(master.PID); err != nil || g.allKnown(children, whose) {
		return // the usual case, in a single read
	}
	tree, err := nginx.ReadTree(g.fs, master.PID)
	if err != nil || tree.Master != master {
		return // it has ended; who notices that is not the gate
	}
	for _, w := range tree.Workers {
		g.of[w.PID] = whose // a pid that comes back is the living one's
	}
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
