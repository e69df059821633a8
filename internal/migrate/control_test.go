package migrate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"graft/internal/journal"
)

// listen starts a runner that is in the phase parked. When the test is over nothing of it is left.
func listen(t *testing.T, path string) *Runner {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	r := NewRunner()
	err := r.Listen(t.Context(), path, func() Status { return Status{Migration: "m", Phase: Parked} })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func end(t *testing.T, r *Runner) {
	t.Helper()
	if err := r.End(Outcome{Phase: Finished}); err != nil {
		t.Error(err)
	}
}

func socket(t *testing.T) string { return filepath.Join(t.TempDir(), "runner.sock") }

// follower is another graft that asks and keeps what it is told.
type follower struct {
	replies chan Reply
	err     chan error
}

func follow(t *testing.T, path, command string) follower {
	f := follower{replies: make(chan Reply), err: make(chan error, 1)}
	go func() {
		f.err <- Ask(t.Context(), path, command, func(reply Reply) error {
			select {
			case f.replies <- reply:
				return nil
			case <-t.Context().Done(): // the test failed before it asked for all
				return t.Context().Err()
			}
		})
	}()
	return f
}

// next waits for one reply.
func (f follower) next(t *testing.T) Reply {
	t.Helper()
	select {
	case reply := <-f.replies:
		return reply
	case err := <-f.err:
		t.Fatalf("ended: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("no reply within 10s")
	}
	return Reply{}
}

// awaitFollowers waits until so many are known to the runner.
func awaitFollowers(t *testing.T, r *Runner, n int) {
	t.Helper()
	err := until(t.Context(), 10*time.Second, "followers", func() (bool, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.followers) == n, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAllWhoFollowHearEveryEventAndTheEnd(t *testing.T) {
	path := socket(t)
	r := listen(t, path)
	both := []follower{follow(t, path, "follow"), follow(t, path, "follow")}
	awaitFollowers(t, r, 2)
	for seq := 1; seq <= 3; seq++ {
		r.Publish(journal.Event{Seq: seq})
		for i, f := range both {
			if got := f.next(t); got.Event == nil || got.Event.Seq != seq {
				t.Fatalf("follower %d: %+v, want event %d", i, got, seq)
			}
		}
	}
	end(t, r)
	for i, f := range both {
		if got := f.next(t); got.Outcome == nil || got.Outcome.Phase != Finished {
			t.Errorf("follower %d: %+v, want the outcome", i, got)
		}
		if err := <-f.err; err != nil {
			t.Errorf("follower %d: %v", i, err)
		}
	}
}

// A terminal that was stopped, a fleet agent that hangs: the migration goes on without them.
func TestAFollowerThatDoesNotReadIsDropped(t *testing.T) {
	path := socket(t)
	r := listen(t, path)
	stuck, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if err := json.NewEncoder(stuck).Encode(Request{Command: "follow"}); err != nil {
		t.Fatal(err)
	}
	awaitFollowers(t, r, 1)
	reads := follow(t, path, "follow")
	awaitFollowers(t, r, 2)

	// More than the channel and the socket's buffers hold.
	data, err := json.Marshal(strings.Repeat("x", 4096))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for seq := 1; seq <= 600; seq++ {
		r.Publish(journal.Event{Seq: seq, Data: data})
		if got := reads.next(t); got.Event == nil || got.Event.Seq != seq {
			t.Fatalf("the one that reads: %+v, want event %d", got, seq)
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("600 events took %s: somebody was waited for", took)
	}
	awaitFollowers(t, r, 1)
	stuck.Close()
	end(t, r)
	if got := reads.next(t); got.Outcome == nil {
		t.Errorf("the one that reads: %+v, want the outcome", got)
	}
	if err := <-reads.err; err != nil {
		t.Error(err)
	}
}

func TestAnOrderArrivesOnceAndItsSenderHearsTheEnd(t *testing.T) {
	path := socket(t)
	r := listen(t, path)
	for _, want := range []string{OrderRollback, OrderFinish} {
		sender := follow(t, path, want)
		select {
		case got := <-r.Orders():
			if got.Do != want || got.By == "" || got.By == "somebody" {
				t.Errorf("order %+v, want %q and who gave it", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("order %q has not arrived", want)
		}
		defer func() {
			if got := sender.next(t); got.Outcome == nil {
				t.Errorf("%s: %+v, want the outcome", want, got)
			}
			if err := <-sender.err; err != nil {
				t.Error(err)
			}
		}()
	}
	end(t, r)
	select {
	case again := <-r.Orders():
		t.Errorf("order %+v arrived a second time", again)
	default:
	}
}

// A script that asks again and again while graft is in a long step: the run must still be able to end.
func TestOrdersThatNobodyReadsDoNotHoldTheEndUp(t *testing.T) {
	path := socket(t)
	r := listen(t, path)
	var waiting []follower
	for range cap(r.orders) {
		waiting = append(waiting, follow(t, path, OrderRollback))
	}
	err := until(t.Context(), 10*time.Second, "all orders", func() (bool, error) { return len(r.orders) == cap(r.orders), nil })
	if err != nil {
		t.Fatal(err)
	}
	one := follow(t, path, OrderRollback)
	if err := <-one.err; err == nil || !strings.Contains(err.Error(), "too many orders") {
		t.Errorf("one more: %v, want a refusal", err)
	}
	end(t, r)
	for _, f := range waiting {
		if got := f.next(t); got.Outcome == nil {
			t.Errorf("%+v, want the outcome", got)
		}
		<-f.err
	}
}

func TestStatusIsAnsweredAtOnceAndNonsenseIsRefused(t *testing.T) {
	path := socket(t)
	r := listen(t, path)
	var got *Status
	err := Ask(t.Context(), path, "status", func(reply Reply) error { got = reply.Status; return nil })
	if err != nil || got == nil || got.Phase != Parked {
		t.Errorf("status %+v, %v, want parked", got, err)
	}
	err = Ask(t.Context(), path, "explode", func(Reply) error { return nil })
	if err == nil || !strings.Contains(err.Error(), `"explode"`) {
		t.Errorf("error %v, want one that names the command", err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("no JSON\n")); err != nil {
		t.Fatal(err)
	}
	var reply Reply
	if err := json.NewDecoder(conn).Decode(&reply); err != nil || reply.Error == "" {
		t.Errorf("no JSON: %+v, %v, want an error", reply, err)
	}
	end(t, r)
}

// Root's graft on a host with other users: they may not even ask.
func TestOnlyTheOwnerCanOpenTheSocket(t *testing.T) {
	path := socket(t)
	r := listen(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v, want a socket of mode 0600", info.Mode(), err)
	}
	end(t, r)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end: %v, want no socket", err)
	}
}

func TestTheSocketOfAKilledGraftIsReplaced(t *testing.T) {
	path := socket(t)
	killed, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	killed.SetUnlinkOnClose(false)
	killed.Close()
	silent := func(Reply) error { return nil }
	if err := Ask(t.Context(), path, "status", silent); !errors.Is(err, ErrNoRunner) {
		t.Errorf("nobody listens: %v, want ErrNoRunner", err)
	}
	if err := Ask(t.Context(), path+"2", "status", silent); !errors.Is(err, ErrNoRunner) {
		t.Errorf("no socket: %v, want ErrNoRunner", err)
	}
	r := listen(t, path)
	if err := Ask(t.Context(), path, "status", silent); err != nil {
		t.Error(err)
	}
	end(t, r)
}

func TestWhoeverFollowsCanStop(t *testing.T) {
	path := socket(t)
	r := listen(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- Ask(ctx, path, "follow", func(Reply) error { return nil }) }()
	awaitFollowers(t, r, 1)
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	end(t, r)
}

// A graft that is killed in the middle must not look like one that ended well.
func TestAFollowerOfAKilledGraftIsNotToldAnOutcome(t *testing.T) {
	path := socket(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := follow(t, path, "follow")
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadBytes('\n'); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := <-f.err; err == nil || !strings.Contains(err.Error(), "without a word") {
		t.Errorf("error %v, want one that says so", err)
	}
}
