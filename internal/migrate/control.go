package migrate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/journal"
)

// Request is one line that another graft sends to the one that runs.
type Request struct {
	Command string `json:"command"` // "status", "follow", or what an order does
	// Of an order. Who gives it is what the kernel tells of the other end; Name is what that end says.
	Name       string        `json:"name,omitempty"`
	Reason     string        `json:"reason,omitempty"`
	Length     time.Duration `json:"length_ns,omitempty"`
	NoRollback bool          `json:"no_rollback,omitempty"`
}

// Reply is one line of the answer.
type Reply struct {
	Status  *Status        `json:"status,omitempty"`
	Event   *journal.Event `json:"event,omitempty"`
	Outcome *Outcome       `json:"outcome,omitempty"`
	Error   string         `json:"error,omitempty"`
}

// Runner lets other commands talk to the graft that holds the lock, over a unix socket that only its
// owner can open.
type Runner struct {
	listener net.Listener
	orders   chan Order
	status   func() Status

	mu        sync.Mutex
	followers map[chan Reply]bool
	ended     *Outcome
	done      sync.WaitGroup
}

// NewRunner returns a runner that nobody can reach yet.
func NewRunner() *Runner {
	return &Runner{orders: make(chan Order, 8), followers: make(map[chan Reply]bool)}
}

// orderPatience bounds how long whoever gives an order waits until it is taken.
const orderPatience = 30 * time.Second

// Listen opens the socket. A stale one, which a killed graft left, is replaced: the caller holds the lock.
func (r *Runner) Listen(ctx context.Context, path string, status func() Status) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listen for other commands: %w", err)
	}
	mask := unix.Umask(0o177)
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	unix.Umask(mask)
	if err != nil {
		return fmt.Errorf("listen for other commands: %w", err)
	}
	r.listener, r.status = listener, status
	r.done.Go(r.serve)
	return nil
}

// Orders is what the engine takes orders from.
func (r *Runner) Orders() <-chan Order { return r.orders }

// Publish passes an event on to those who follow. One who does not read loses its connection, so
// that nobody can hold the migration up.
func (r *Runner) Publish(event journal.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for follower := range r.followers {
		select {
		case follower <- Reply{Event: &event}:
		default:
			delete(r.followers, follower)
			close(follower)
		}
	}
}

// End tells the followers how it ended and closes the socket.
func (r *Runner) End(outcome Outcome) error {
	err := r.listener.Close()
	r.mu.Lock()
	r.ended = &outcome
	for follower := range r.followers {
		close(follower)
		delete(r.followers, follower)
	}
	r.mu.Unlock()
	r.done.Wait()
	return err
}

func (r *Runner) serve() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.done.Go(func() { r.answer(conn) })
	}
}

func (r *Runner) answer(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return
	}
	out := json.NewEncoder(conn)
	var request Request
	if err := json.Unmarshal(line, &request); err != nil {
		_ = out.Encode(Reply{Error: err.Error()})
		return
	}
	switch request.Command {
	case "status":
		status := r.status()
		_ = out.Encode(Reply{Status: &status})
		return
	case "follow":
		r.tell(conn, out, r.follow())
		return
	}
	order := Order{Do: request.Command, By: caller(conn, request.Name), Reason: request.Reason, Length: request.Length, NoRollback: request.NoRollback}
	if err := order.Check(); err != nil {
		_ = out.Encode(Reply{Error: err.Error()})
		return
	}
	done := make(chan error, 1)
	order.done = done
	follower := r.follow() // before it is given, so that nothing of it is missed
	select {
	case r.orders <- order:
	default:
		r.leave(follower)
		_ = out.Encode(Reply{Error: "too many orders wait already"})
		return
	}
	if order.ends() {
		r.tell(conn, out, follower)
		return
	}
	defer r.leave(follower)
	_ = out.Encode(r.obeyed(done, follower))
}

// obeyed waits until the engine has come to the order, which is at its next look unless it is in the
// middle of an act.
func (r *Runner) obeyed(done <-chan error, follower <-chan Reply) Reply {
	timeout := time.NewTimer(orderPatience)
	defer timeout.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return Reply{Error: err.Error()}
			}
			status := r.status()
			return Reply{Status: &status}
		case _, ok := <-follower: // its events are nothing to whoever gave the order
			if !ok {
				return Reply{Error: "it has ended meanwhile"}
			}
		case <-timeout.C:
			return Reply{Error: fmt.Sprintf("the order is taken, but graft has not come to it within %s: it is in the middle of an act", orderPatience)}
		}
	}
}

// tell passes on what a follower is told, to the end.
func (r *Runner) tell(conn net.Conn, out *json.Encoder, follower chan Reply) {
	for reply := range follower {
		_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if out.Encode(reply) != nil {
			r.leave(follower)
			return
		}
	}
	r.mu.Lock()
	ended := r.ended
	r.mu.Unlock()
	_ = out.Encode(Reply{Outcome: ended})
}

func (r *Runner) follow() chan Reply {
	r.mu.Lock()
	defer r.mu.Unlock()
	follower := make(chan Reply, 256)
	if r.ended != nil {
		close(follower)
		return follower
	}
	r.followers[follower] = true
	return follower
}

func (r *Runner) leave(follower chan Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.followers, follower)
}

// ErrNoRunner says that no graft listens: the caller may take the lock and act itself.
var ErrNoRunner = errors.New("no graft is running")

// Ask sends a command to the running graft and hands its replies to fn until the last one.
func Ask(ctx context.Context, path, command string, fn func(Reply) error) error {
	return Send(ctx, path, Request{Command: command}, fn)
}

// Send is Ask with all that an order may say.
func Send(ctx context.Context, path string, request Request, fn func(Reply) error) error {
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return ErrNoRunner
	}
	if err != nil {
		return fmt.Errorf("talk to the running graft: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return fmt.Errorf("talk to the running graft: %w", err)
	}
	replies := json.NewDecoder(conn)
	for {
		var reply Reply
		if err := replies.Decode(&reply); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("the running graft ended without a word: %w", err)
		}
		if reply.Error != "" {
			return fmt.Errorf("the running graft answers: %s", reply.Error)
		}
		if err := fn(reply); err != nil {
			return err
		}
		if reply.Outcome != nil || reply.Status != nil {
			return nil
		}
	}
}
