package gate

import (
	"context"
	"slices"
	"sync"
	"time"

	"graft/internal/analysis"
	"graft/internal/nginx"
	"graft/internal/probe"
	"graft/internal/procfs"
)

// sides tells which generation has answered a probe. While only the new one accepts, it is that.
// While both do, the Server header may tell; else the kernel is asked whose descriptors hold the other
// end. That costs a read of all descriptors of the workers, tens of thousands on a busy host: so much
// of the time is spent on it, and the other answers are nobody's.
type sides struct {
	fs       procfs.FS
	old, new nginx.Process

	mu     sync.Mutex // guards all below
	owners *probe.Owners
	looked time.Time // at the workers
	young  []int     // pids of the new workers
	aged   []int     // pids of the old workers that accept
	both   bool      // the old master lives
	rested time.Time // the kernel is not asked before
	hunted time.Time // the last hunt
}

const (
	sideLook = 250 * time.Millisecond // between two looks at the workers
	sideRest = 20                     // times as long as a question took, until the next
	huntRest = time.Second            // between two hunts
	huntTime = time.Second            // of one
)

func newSides(cfg Config) (*sides, error) {
	owners, err := probe.OpenOwners(cfg.FS)
	if err != nil {
		return nil, err
	}
	return &sides{fs: cfg.FS, old: cfg.OldMaster, new: cfg.NewMaster, owners: owners}, nil
}

func (s *sides) close() { s.owners.Close() }

// twoMasters tells whether the old master lives, whose QUIC sockets stay in the kernel's choice: without
// workers, too.
func (s *sides) twoMasters() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	return s.both
}

// of is whose the answer is. before is the Server header of the old binary, "" if it is not known.
func (s *sides) of(c *probe.Connection, a probe.Answer, before string) analysis.Side {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	if len(s.aged) == 0 {
		return analysis.NewSide
	}
	if before != "" && a.Server != "" && a.Server != before {
		return analysis.NewSide
	}
	begun := time.Now()
	if begun.Before(s.rested) {
		return ""
	}
	pid, err := s.owners.Of(c, slices.Concat(s.young, s.aged))
	s.rested = time.Now().Add(sideRest * time.Since(begun))
	if err != nil || pid == 0 {
		return ""
	}
	if slices.Contains(s.young, pid) {
		return analysis.NewSide
	}
	return analysis.OldSide
}

// hunt asks the new binary for certain, while both accept: on an idle host one and the same worker
// takes every single connection, and may be an old one for hours. It takes bursts of connections,
// most of which are closed unused: so it is done seldom.
func (s *sides) hunt(ctx context.Context, t probe.Target) (probe.Answer, bool) {
	s.mu.Lock()
	s.look()
	now := time.Now()
	if len(s.aged) == 0 || len(s.young) == 0 || now.Sub(s.hunted) < huntRest || t.Protocol == probe.OverHTTP3 {
		s.mu.Unlock()
		return probe.Answer{}, false
	}
	s.hunted = now
	young := slices.Clone(s.young)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, huntTime)
	defer cancel()
	_, a, err := probe.AnsweredBy(ctx, t, young)
	return a, err == nil
}

func (s *sides) look() {
	if time.Since(s.looked) < sideLook {
		return
	}
	s.looked = time.Now()
	s.young, _ = s.accepting(s.new)
	s.aged, s.both = s.accepting(s.old)
}

// accepting are a master's workers that accept, and whether the master lives.
func (s *sides) accepting(master nginx.Process) (pids []int, lives bool) {
	if master.PID == 0 {
		return nil, false
	}
	tree, err := nginx.ReadTree(s.fs, master.PID)
	if err != nil || tree.Master != master {
		return nil, false
	}
	for _, w := range tree.Accepting() {
		pids = append(pids, w.PID)
	}
	return pids, true
}
