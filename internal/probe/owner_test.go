package probe_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/probe"
)

// TestOwnerOfAConnection: this process is the server, so it has to be the one that is found.
func TestOwnerOfAConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n.sock")
	deferred := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 10)
		})
	}}
	heldBack, err := deferred.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dual := listen(t, "tcp", ":0")
	for _, test := range []struct {
		name     string
		listener net.Listener
		url      string
	}{
		{"IPv4", listen(t, "tcp4", "127.0.0.1:0"), ""},
		{"IPv6", listen(t, "tcp6", "[::1]:0"), ""},
		{"IPv4 to a socket of both", dual, fmt.Sprintf("http://127.0.0.1:%d/", dual.Addr().(*net.TCPAddr).Port)},
		{"unix", listen(t, "unix", path), "http://unix:" + path},
		{"deferred: accepted only when data comes", heldBack, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			play(t, test.listener, func(c *peer, _ int) {
				if c.request() {
					c.say(lastOne)
				}
			})
			if test.url == "" {
				test.url = "http://" + test.listener.Addr().String() + "/"
			}
			to := target(t, test.url)
			pid, answer, err := probe.AnsweredBy(within(t, 5*time.Second), to, []int{os.Getpid()})
			if err != nil || pid != os.Getpid() || answer.Owner != pid || answer.Fate != probe.OK || answer.Status != 200 || answer.Bytes != 5 {
				t.Errorf("answered by %d (%+v): %v", pid, answer, err)
			}
			// The parent of this process accepts nothing.
			_, _, err = probe.AnsweredBy(within(t, 200*time.Millisecond), to, []int{os.Getppid()})
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("by process %d", os.Getpid())) {
				t.Errorf("error: %v; want it to name this process", err)
			}
		})
	}
}

func TestAcceptanceAloneProvesOtherProtocols(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	said := make(chan byte, 1000)
	play(t, l, func(c *peer, _ int) {
		for {
			b, err := c.in.ReadByte()
			if err != nil {
				return
			}
			said <- b
		}
	})
	to := probe.Target{Network: "tcp", Address: l.Addr().String()}
	pid, err := probe.AcceptedBy(within(t, 5*time.Second), to, []int{os.Getpid()})
	if err != nil || pid != os.Getpid() {
		t.Errorf("accepted by %d: %v", pid, err)
	}
	if len(said) != 0 {
		t.Errorf("%d bytes were sent to a server of an unknown protocol", len(said))
	}
}

func TestNoProofWithoutAnAnswer(t *testing.T) {
	accepted := listen(t, "tcp", "127.0.0.1:0")
	play(t, accepted, func(c *peer, _ int) { c.request() })
	queue := listen(t, "tcp", "127.0.0.1:0") // nobody accepts
	closed := listen(t, "tcp", "127.0.0.1:0")
	closed.Close()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		at   net.Listener
		pids []int
		want string
	}{
		{"accepted, then EOF", accepted, []int{os.Getpid()}, "accepted, then: eof_new"},
		{"in the queue, never accepted", queue, []int{os.Getpid()}, "of which 0 were accepted"},
		{"refused", closed, []int{os.Getpid()}, "connection refused"},
		{"no process left", accepted, []int{gone.Process.Pid}, "lives any more"},
		{"nobody asked for", accepted, nil, "no processes given"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
			defer cancel()
			pid, _, err := probe.AnsweredBy(ctx, target(t, "http://"+test.at.Addr().String()+"/"), test.pids)
			if err == nil || pid != 0 || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.at.Addr().String()) {
				t.Errorf("pid %d, error %v; want %q", pid, err, test.want)
			}
		})
	}
}
