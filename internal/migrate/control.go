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
	Command string `json:"command"` // "status", "follow", or an Order, which is followed too
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
	case string(OrderRollback), string(OrderFinish):
	default:
		_ = out.Encode(Reply{Error: fmt.Sprintf("unknown command %q", request.Command)})
		return
	}
	follower := r.follow()
	if request.Command != "follow" {
		select {
		case r.orders <- Order(request.Command):
		default:
			r.leave(follower)
			_ = out.Encode(Reply{Error: "too many orders wait already"})
			return
		}
	}
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

// Ask sends a request to the running graft and hands its replies to fn until the last one.
func Ask(ctx context.Context, path, command string, fn func(Reply) error) error {
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
	if err := json.NewEncoder(conn).Encode(Request{Command: command}); err != nil {
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
