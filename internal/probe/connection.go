package probe

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"graft/internal/procfs"
)

// Connection is an open connection to a target, to be asked once or many times. It keeps what
// answers say, which a load only counts.
type Connection struct {
	target Target
	raw    net.Conn // nil: QUIC
	speaks session
	begun  time.Time
	reuse  bool
}

// maxKept is how much of a body an [Answer] keeps.
const maxKept = 64 << 10

// Open connects, and greets as far as the target's protocol asks for before a request. The answer
// tells what went wrong where there is no connection.
func Open(ctx context.Context, t Target, userAgent string) (*Connection, Answer) {
	c := &Connection{target: t, begun: time.Now(), reuse: true}
	if err := t.check(); err != nil {
		return nil, Answer{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	fail := func(fate Fate, err error) (*Connection, Answer) {
		return nil, Answer{Fate: fate, Err: err, At: c.begun, Latency: time.Since(c.begun)}
	}
	if t.Protocol == OverHTTP3 {
		h3, err := dialHTTP3(ctx, t, userAgent, true)
		if err != nil {
			return fail(fateOfQUIC(err, onNew), fmt.Errorf("connect: %w", err))
		}
		c.speaks = h3
		return c, Answer{}
	}
	conn, err := t.dial(ctx, 0)
	if err != nil {
		return fail(fateOfDial(err), err)
	}
	deadline, _ := ctx.Deadline()
	err = conn.SetDeadline(deadline)
	var greeted net.Conn
	if err == nil {
		greeted, err = t.greet(ctx, conn)
	}
	if err != nil {
		conn.Close()
		return fail(fateOf(err, onNew), fmt.Errorf("greet: %w", err))
	}
	c.raw = conn
	if c.speaks, err = t.speak(greeted, userAgent, false, true); err != nil {
		conn.Close()
		return fail(fateOf(err, onNew), err)
	}
	return c, Answer{}
}

// speak begins the target's protocol on a connection that was greeted. closing: there will be but
// one request. keepHead: answers carry their headers.
func (t Target) speak(conn net.Conn, userAgent string, closing, keepHead bool) (session, error) {
	switch t.Protocol {
	case OverHTTP2, OverGRPC:
		h, err := newHTTP2(conn, t, userAgent)
		if err != nil {
			return nil, fmt.Errorf("begin HTTP/2: %w", err)
		}
		h.keepHead = keepHead
		return h, nil
	case OverWebSocket:
		w := newWebSocket(conn, t, userAgent)
		w.in.keepHead = keepHead
		return w, nil
	case OverTCP:
		return &plainTCP{conn, t}, nil
	}
	h := newHTTP1(conn, t.request(userAgent, closing))
	h.in.keepHead, h.in.headOnly = keepHead, t.Method == "HEAD"
	return h, nil
}

// Ask sends one request and reads the whole answer, within the deadline of ctx or 10 seconds. It is
// sent once: nothing is tried again.
func (c *Connection) Ask(ctx context.Context) Answer {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	if c.raw != nil {
		stop := context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	a, reuse := answerOf(c.speaks, deadline, begun)
	c.reuse = reuse
	return a
}

// Reusable tells whether the connection takes another request.
func (c *Connection) Reusable() bool { return c.reuse }

// Close ends the connection.
func (c *Connection) Close() { c.speaks.close() }

// keeper keeps the first bytes.
type keeper struct{ bytes.Buffer }

func (k *keeper) Write(p []byte) (int, error) {
	_, _ = k.Buffer.Write(p[:min(len(p), maxKept-k.Len())]) // never fails
	return len(p), nil
}

// sortHeaders puts headers from a map into an order that is always the same.
func sortHeaders(hs []Header) {
	slices.SortStableFunc(hs, func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
}

// Owners tells which process of this host has accepted a connection, by the kernel's word: the
// server's socket is among that process's descriptors. It costs a read of /proc/PID/fd for each
// process that is asked about.
type Owners struct {
	diag *sockDiag
	proc procfs.FS
}

// OpenOwners asks for a way to look.
func OpenOwners(proc procfs.FS) (*Owners, error) {
	diag, err := openSockDiag()
	if err != nil {
		return nil, err
	}
	return &Owners{diag, proc}, nil
}

// Close ends it.
func (o *Owners) Close() { o.diag.close() }

// Of is which of pids has accepted the connection. 0: none of them, or the other end is not on this
// host, has closed already, or is QUIC, for which the kernel keeps no connections.
func (o *Owners) Of(c *Connection, pids []int) (int, error) {
	if c.raw == nil {
		return 0, nil
	}
	side, err := o.diag.serverSide(c.raw)
	if err != nil || side.inode == 0 {
		return 0, err
	}
	for _, pid := range pids {
		sockets, err := o.proc.Sockets(pid)
		if err != nil {
			continue // it has ended, so the connection is not its
		}
		for _, inode := range sockets {
			if inode == side.inode {
				return pid, nil
			}
		}
	}
	return 0, nil
}
