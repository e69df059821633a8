package rehearse

import "sync"

// programme tells the acts of both halves in their order, although they are played side by side: those
// of the second half when the first is over. The start, which each half begins with, is told once.
type programme struct {
	tell func(Act)

	mu      sync.Mutex
	started bool
	ended   bool  // the first half
	held    []Act // of the second half meanwhile
}

func (g *programme) act(of role, a Act) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.Name == startName && a.OK {
		if g.started {
			return
		}
		g.started = true
		g.tell(a)
		return
	}
	if of == playsOn && !g.ended {
		g.held = append(g.held, a)
		return
	}
	g.tell(a)
}

// over is said when all of a clone's acts have come.
func (g *programme) over(of role) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if of != playsBack {
		return
	}
	g.ended = true
	for _, a := range g.held {
		g.tell(a)
	}
	g.held = nil
}
