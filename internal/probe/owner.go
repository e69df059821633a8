package probe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"graft/internal/procfs"
)

// AnsweredBy proves that one of pids accepts connections on the target and answers them, and tells
// which. The proof is the kernel's: the server's socket of our connection is among the descriptors
// of that process. It needs the right to read /proc/PID/fd of pids, and a target on this host.
//
// Connections are opened in growing bursts. nginx's workers wait for the same listening socket with
// EPOLLEXCLUSIVE, so on an idle host one and the same worker would be woken for every single
// connection; only several at the same time reach the others. Connections that somebody else
// accepted are closed unused, which nginx does not log above the level info.
//
// When ctx is done (at the latest after 10 seconds), the error tells who accepted instead.
func AnsweredBy(ctx context.Context, t Target, pids []int) (int, Answer, error) {
	return prove(ctx, t, pids, true)
}

// AcceptedBy is [AnsweredBy] for servers whose protocol is not known (stream, mail): that one of
// pids accepted is proof enough, and nothing is sent.
func AcceptedBy(ctx context.Context, t Target, pids []int) (int, error) {
	pid, _, err := prove(ctx, t, pids, false)
	return pid, err
}

const (
	firstBurst = 4                      // as many as a small host's old workers take, and a few more
	maxBurst   = 256                    // connections at the same time
	patience   = 50 * time.Millisecond  // for a burst to be accepted
	minPause   = 100 * time.Microsecond // between bursts; doubles
	maxPause   = 50 * time.Millisecond
	farewell   = 200 * time.Millisecond // for the answers to nudged connections that nobody needs
	// Up to this size of burst a miss costs too little to ask all of /proc who it was instead.
	quietBurst = 16
)

// proof is the search for one connection that one of pids accepted.
type proof struct {
	target Target
	pids   []int
	answer bool // must answer too
	proc   procfs.FS
	diag   *sockDiag

	opened   int         // connections so far
	accepted int         // of them, whoever did
	others   map[int]int // who accepted instead: connections by pid
	failure  error       // the last connection or answer that failed
}

func prove(ctx context.Context, t Target, pids []int, answer bool) (int, Answer, error) {
	fail := func(err error) (int, Answer, error) {
		return 0, Answer{}, fmt.Errorf("prove who answers on %s: %w", t.Address, err)
	}
	check := t.checkAddress
	if answer {
		check = t.check
	}
	if err := check(); err != nil {
		return fail(err)
	}
	if len(pids) == 0 {
		return fail(errors.New("no processes given"))
	}
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	diag, err := openSockDiag()
	if err != nil {
		return fail(err)
	}
	defer diag.close()
	p := &proof{target: t, pids: pids, answer: answer, proc: procfs.New("/proc"), diag: diag, others: make(map[int]int)}

	pause := minPause
	for size := firstBurst; ; size = min(4*size, maxBurst) {
		pid, a, err := p.burst(ctx, size)
		if err != nil {
			return fail(err)
		}
		if pid != 0 {
			return pid, a, nil
		}
		if !sleepUntil(ctx, time.Now().Add(pause)) {
			return fail(p.missed())
		}
		pause = min(2*pause, maxPause)
	}
}

// attempt is one connection of a burst.
type attempt struct {
	conn  net.Conn
	begun time.Time
	serverSide
	sent int  // bytes of the request that were sent as a nudge
	used bool // asked and closed
}

// burst opens size connections and looks for one that belongs to pids. No pid and no error means
// that there was none.
func (p *proof) burst(ctx context.Context, size int) (int, Answer, error) {
	var open []*attempt
	defer func() { p.finish(ctx, open) }()
	for range size {
		begun := time.Now()
		conn, err := p.target.dial(ctx, 0)
		if err != nil {
			p.note(err)
			break
		}
		open = append(open, &attempt{conn: conn, begun: begun})
		p.opened++
	}
	start := time.Now()
	for wait := 20 * time.Microsecond; ; wait *= 2 {
		fresh, waiting, err := p.look(open)
		if err != nil {
			return 0, Answer{}, err
		}
		for _, pid := range p.pids {
			for _, a := range fresh[pid] {
				if !p.answer {
					return pid, Answer{Owner: pid}, nil
				}
				answer := p.ask(ctx, a)
				if answer.Owner = pid; answer.Fate == OK {
					return pid, answer, nil
				}
				p.note(fmt.Errorf("process %d accepted, then: %s: %w", pid, answer.Fate, answer.Err))
			}
		}
		if waiting == 0 {
			break
		}
		if p.answer {
			p.nudge(open)
		}
		if time.Since(start) > patience || !sleepUntil(ctx, time.Now().Add(wait)) {
			break
		}
	}
	return 0, Answer{}, p.attribute(open, size)
}

// look finds out which connections have been accepted since the last look: those that pids have, by
// pid, and how many nobody has yet.
func (p *proof) look(open []*attempt) (fresh map[int][]*attempt, waiting int, err error) {
	byInode := make(map[uint64]*attempt)
	for _, a := range open {
		if a.inode != 0 {
			continue
		}
		if a.serverSide, err = p.diag.serverSide(a.conn); err != nil {
			return nil, 0, err
		}
		if a.inode == 0 {
			waiting++
		} else {
			byInode[a.inode] = a
		}
	}
	if len(byInode) == 0 {
		return nil, waiting, nil
	}
	p.accepted += len(byInode)
	fresh = make(map[int][]*attempt)
	gone := 0
	for _, pid := range p.pids {
		sockets, err := p.proc.Sockets(pid)
		if procfs.Gone(err) {
			gone++
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read the descriptors of process %d (it takes root or its owner): %w", pid, err)
		}
		for _, inode := range sockets {
			if a := byInode[inode]; a != nil {
				fresh[pid] = append(fresh[pid], a)
			}
		}
	}
	if gone == len(p.pids) {
		return nil, 0, fmt.Errorf("none of the processes %v lives any more", p.pids)
	}
	return fresh, waiting, nil
}

// attribute notes who accepted the connections of a burst in vain.
func (p *proof) attribute(open []*attempt, size int) error {
	if size <= quietBurst {
		return nil
	}
	left := make(map[uint64]bool)
	for _, a := range open {
		if a.inode != 0 {
			left[a.inode] = true
		}
	}
	all, err := p.proc.PIDs()
	if err != nil {
		return err
	}
	// Those seen before first: usually they are all there is.
	for _, pid := range slices.Concat(slices.Collect(maps.Keys(p.others)), all) {
		if len(left) == 0 {
			return nil
		}
		sockets, err := p.proc.Sockets(pid)
		if err != nil {
			continue // gone, or not ours to look at
		}
		for _, inode := range sockets {
			if left[inode] {
				delete(left, inode)
				p.others[pid]++
			}
		}
	}
	return nil
}

// note keeps a failure for the error; that time was up explains less than what came before.
func (p *proof) note(failure error) {
	if p.failure == nil || !isTimeout(failure) {
		p.failure = failure
	}
}

// missed tells what happened instead.
func (p *proof) missed() error {
	var b strings.Builder
	fmt.Fprintf(&b, "none of the processes %v did on %d connections, of which %d were accepted", p.pids, p.opened, p.accepted)
	for _, pid := range slices.Sorted(maps.Keys(p.others)) {
		fmt.Fprintf(&b, "; %d by process %d", p.others[pid], pid)
	}
	if p.opened > 0 && p.accepted == 0 {
		b.WriteString(" (or the kernel cannot tell: that needs its modules tcp_diag and unix_diag)")
	}
	if p.failure != nil {
		return fmt.Errorf("%s; last failure: %w", b.String(), p.failure)
	}
	return errors.New(b.String())
}

func (p *proof) ask(ctx context.Context, a *attempt) Answer {
	defer a.conn.Close()
	a.used = true
	return p.target.ask(ctx, &resumedConn{Conn: a.conn, sent: a.sent}, a.begun)
}

// nudge sends the beginning of the request where the kernel holds the connection back until data
// comes. The rest waits until it is known who has it.
func (p *proof) nudge(open []*attempt) {
	for _, a := range open {
		if !a.held || a.sent != 0 {
			continue
		}
		first := "G"
		switch {
		case p.target.Protocol == OverHTTP2 && !p.target.TLS && !p.target.ProxyProtocol:
			first = "P" // of its preface
		case p.target.ProxyProtocol: // nginx wants this header in one piece
			first = proxyHeader(a.conn.LocalAddr(), a.conn.RemoteAddr())
		case p.target.TLS:
			first = "\x16" // the type of the record that holds ClientHello
		}
		if n, err := a.conn.Write([]byte(first)); err == nil {
			a.sent = n
		}
	}
}

// finish ends a burst. A connection on which a request was begun is used to its end, or nginx would
// log it as a client's fault.
func (p *proof) finish(ctx context.Context, open []*attempt) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	var all sync.WaitGroup
	for _, a := range open {
		if a.used {
			continue
		}
		if a.sent > 0 {
			all.Go(func() { p.ask(ctx, a) })
		} else {
			a.conn.Close()
		}
	}
	all.Wait()
}

// resumedConn swallows the first bytes written, which were sent before.
type resumedConn struct {
	net.Conn
	sent int
}

func (c *resumedConn) Write(b []byte) (int, error) {
	skip := min(c.sent, len(b))
	c.sent -= skip
	if skip == len(b) {
		return skip, nil
	}
	n, err := c.Conn.Write(b[skip:])
	return n + skip, err
}
