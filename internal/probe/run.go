package probe

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Running is a load under way.
type Running struct {
	load    Load
	issued  atomic.Int64
	body    atomic.Pointer[[sha256.Size]byte] // of the first whole download
	clients []*client
	done    chan struct{}
}

// Run puts a load on its target and returns what became of it. The only error is a load that is
// refused; a target that cannot be reached shows in the tally. When ctx is done no request begins
// any more, and those under way are still finished: a prober must not make the noise that it is
// there to hear.
func Run(ctx context.Context, l Load) (Tally, error) {
	running, err := Start(ctx, l)
	if err != nil {
		return Tally{}, err
	}
	return running.Wait(), nil
}

// Start is [Run] without waiting. The load stops by itself, or when ctx is done.
func Start(ctx context.Context, l Load) (*Running, error) {
	l, err := l.checked()
	if err != nil {
		return nil, err
	}
	r := &Running{load: l, done: make(chan struct{})}
	stop := func() {}
	if l.Duration > 0 {
		ctx, stop = context.WithTimeout(ctx, l.Duration)
	}
	var all sync.WaitGroup
	start := time.Now()
	for i := range l.Clients {
		c := &client{
			running: r,
			pause:   l.Think * time.Duration(i+1) / time.Duration(l.Clients),
			due:     start,
		}
		c.tally.Start = start
		if l.Rate > 0 {
			c.interval = time.Duration(float64(l.Clients) / l.Rate * float64(time.Second))
			c.due = start.Add(c.interval * time.Duration(i) / time.Duration(l.Clients))
		}
		r.clients = append(r.clients, c)
		all.Go(func() { c.run(ctx) })
	}
	go func() {
		all.Wait()
		stop()
		close(r.done)
	}()
	return r, nil
}

// Tally is what became of the requests that have ended so far.
func (r *Running) Tally() Tally {
	var sum Tally
	for _, c := range r.clients {
		c.mu.Lock()
		sum.Merge(c.tally)
		c.mu.Unlock()
	}
	return sum
}

// Wait returns the tally of the whole load once it has ended.
func (r *Running) Wait() Tally {
	<-r.done
	return r.Tally()
}

// session is an open connection on which a protocol is spoken.
type session interface {
	exchange(deadline time.Time, sink io.Writer) reply
	close()
}

// client sends one request after the other.
type client struct {
	running  *Running
	session  session // nil: no open connection
	due      time.Time
	interval time.Duration // between two requests; 0: no pace to keep
	pause    time.Duration // before the second request; spreads clients over the time they think

	mu    sync.Mutex
	tally Tally
}

// reopenPause keeps clients of a dead server from trying tens of thousands of times in a second.
const reopenPause = 10 * time.Millisecond

func (c *client) run(ctx context.Context) {
	l := &c.running.load
	defer c.drop()
	for sleepUntil(ctx, c.due) {
		if n := c.running.issued.Add(1); l.Requests > 0 && n > l.Requests {
			return
		}
		begun := time.Now()
		r, opened := c.try(ctx, begun)
		now := time.Now()
		c.mu.Lock()
		c.tally.add(now, now.Sub(begun), r)
		if opened {
			c.tally.Connections++
		}
		c.mu.Unlock()
		c.plan(now, r)
	}
}

// plan sets when the next request is due.
func (c *client) plan(now time.Time, r reply) {
	// A pace missed is not made up for: a burst after a stall would be a load of its own.
	c.due = later(now, c.due.Add(c.interval))
	switch {
	case r.fate == OK:
		c.due = later(c.due, now.Add(c.pause))
		c.pause = c.running.load.Think
	case r.fate.Apart(): // the client sends it again at once
		c.due = now
	default:
		c.due = later(c.due, now.Add(reopenPause))
	}
}

// try sends one request, on a new connection where none is open.
func (c *client) try(ctx context.Context, begun time.Time) (r reply, opened bool) {
	l := &c.running.load
	deadline := begun.Add(l.Timeout)
	if c.session == nil {
		if c.session, r = c.open(ctx, deadline); c.session == nil {
			return r, false
		}
		opened = true
	}
	if l.Mode == Download {
		sum := sha256.New()
		if r = c.session.exchange(deadline, sum); r.fate == OK && r.status == 200 {
			c.running.compare(&r, [sha256.Size]byte(sum.Sum(nil)))
		}
	} else {
		r = c.session.exchange(deadline, nil)
	}
	if !r.reuse || l.Mode == Connect {
		c.drop()
	}
	return r, opened
}

func (c *client) open(ctx context.Context, deadline time.Time) (session, reply) {
	l := &c.running.load
	// Not cut by the end of the load: what was begun is finished.
	patient, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	if l.Target.Protocol == OverHTTP3 {
		h3, err := dialHTTP3(patient, l.Target, l.UserAgent, false)
		if err != nil {
			return nil, reply{fate: fateOfQUIC(err, onNew), err: err}
		}
		return h3, reply{}
	}
	slow := &slowConn{timeout: l.Timeout, hurry: ctx.Done()}
	var err error
	if slow.Conn, err = l.Target.dial(patient, receiveBuffer(l.Mode)); err != nil {
		return nil, reply{fate: fateOfDial(err), err: err}
	}
	conn, err := l.Target.greet(patient, slow)
	if err != nil {
		slow.Close()
		return nil, reply{fate: fateOf(err, onNew), err: err}
	}
	slow.rate = l.BytesPerSecond
	speaks, err := l.Target.speak(conn, l.UserAgent, l.Mode == Connect, false)
	if err != nil {
		slow.Close()
		return nil, failed(err, onNew, "begin")
	}
	return speaks, reply{}
}

func receiveBuffer(mode Mode) int {
	if mode == Download {
		return slowBuffer
	}
	return 0
}

func (c *client) drop() {
	if c.session != nil {
		c.session.close()
		c.session = nil
	}
}

var errAltered = errors.New("the body differs from the one of the first answer")

// compare turns r into a loss if its body is not the first one's.
func (r *Running) compare(got *reply, sum [sha256.Size]byte) {
	if !r.body.CompareAndSwap(nil, &sum) && *r.body.Load() != sum {
		got.fate, got.err = Altered, errAltered
	}
}

// sleepUntil reports false once ctx is done.
func sleepUntil(ctx context.Context, due time.Time) bool {
	if wait := time.Until(due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
