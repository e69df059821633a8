package probe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"time"
)

// Answer is what one request came to.
type Answer struct {
	Fate    Fate          `json:"fate"`
	Err     error         `json:"-"` // why Fate is not OK
	Status  int           `json:"status,omitempty"`
	Server  string        `json:"server,omitempty"`
	Bytes   int64         `json:"bytes"`             // of the body
	SHA256  string        `json:"sha256,omitempty"`  // of the body, in hex
	Headers []Header      `json:"headers,omitempty"` // in order
	Body    []byte        `json:"body,omitempty"`    // its first 64 KiB
	At      time.Time     `json:"at,omitzero"`       // when it was begun
	Latency time.Duration `json:"latency_ns"`
	Owner   int           `json:"owner,omitempty"` // pid of the process that accepted, where that was asked for
}

// Once sends one request on a new connection within the deadline of ctx or 10 seconds.
func Once(ctx context.Context, t Target) Answer {
	begun := time.Now()
	if err := t.check(); err != nil {
		return Answer{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	if t.Protocol == OverHTTP3 {
		c, a := Open(ctx, t, defaultUserAgent)
		if c != nil {
			defer c.Close()
			a = c.Ask(ctx)
		}
		return a
	}
	conn, err := t.dial(ctx, 0)
	if err != nil {
		return Answer{Fate: fateOfDial(err), Err: err, Latency: time.Since(begun)}
	}
	defer conn.Close()
	return t.ask(ctx, conn, begun)
}

// ask sends the request on an open, unused connection until ctx is done.
func (t Target) ask(ctx context.Context, conn net.Conn, begun time.Time) Answer {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	fail := func(err error) Answer {
		return Answer{Fate: fateOf(err, onNew), Err: fmt.Errorf("greet: %w", err), At: begun, Latency: time.Since(begun)}
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return fail(err)
	}
	greeted, err := t.greet(ctx, conn)
	if err != nil {
		return fail(err)
	}
	speaks, err := t.speak(greeted, defaultUserAgent, true, true)
	if err != nil {
		return fail(err)
	}
	a, _ := answerOf(speaks, deadline, begun)
	return a
}

// answerOf sends one request and keeps what the answer says. reuse: the connection takes another one.
func answerOf(speaks session, deadline, begun time.Time) (a Answer, reuse bool) {
	sum, kept := sha256.New(), &keeper{}
	r := speaks.exchange(deadline, io.MultiWriter(sum, kept))
	a = Answer{Fate: r.fate, Err: r.err, Status: r.status, Server: r.server, Bytes: r.bytes, Headers: r.headers,
		Body: kept.Bytes(), At: begun, Latency: time.Since(begun)}
	if r.fate == OK {
		a.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	return a, r.reuse
}
