package probe_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/probe"
	"graft/internal/procfs"
)

// Every protocol, as graft's own user would name it, on a real nginx with real peers behind it.
func TestEveryProtocolOnNginx(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: nginxtest.Protocols, Binary: nginxtest.EveryProtocol(t)})
	inst.Peers(t)
	all := inst.URLs()
	for name, url := range all {
		t.Run(name, func(t *testing.T) {
			one := target(t, url)
			one.Host, one.ServerName = "site.example", "site.example"
			if name == "TCP" || name == "TLS" {
				one.Expect = "220 "
			}
			if name == "WebSocket, echo" {
				one.Send, one.Expect = "hello", "hello"
			}
			c, a := probe.Open(t.Context(), one, "probe-test")
			if c == nil {
				t.Fatalf("%s: %v", a.Fate, a.Err)
			}
			defer c.Close()
			want := map[string]int{"WebSocket": 101, "WebSocket, echo": 101, "WebSocket over TLS": 101, "TCP": 0, "TLS": 0}
			status, other := want[name]
			if !other {
				status = 200
			}
			tries := 3 // the second and third on the same connection
			if strings.HasPrefix(name, "T") {
				tries = 1
			}
			for range tries {
				if a = c.Ask(t.Context()); a.Fate != probe.OK || a.Status != status {
					t.Fatalf("%s, status %d: %v", a.Fate, a.Status, a.Err)
				}
				if status == 200 && len(a.Headers) == 0 {
					t.Error("the answer kept no headers")
				}
			}
			pid, err := ownerOf(t, inst, c)
			if quic := one.Protocol == probe.OverHTTP3; err != nil || !quic && tries > 1 && pid == 0 || quic && pid != 0 {
				t.Errorf("accepted by process %d, %v", pid, err)
			}
		})
	}
	t.Run("a gRPC call that is answered by no gRPC server", func(t *testing.T) {
		one := target(t, "grpc://"+inst.Addr("http")+"/broken.Service/Do")
		if a := probe.Once(t.Context(), one); a.Fate != probe.Malformed {
			t.Errorf("fate %s: %v", a.Fate, a.Err)
		}
	})
	t.Run("a WebSocket where a page is", func(t *testing.T) {
		a := probe.Once(t.Context(), target(t, "ws://"+inst.Addr("http")+"/"))
		if a.Fate != probe.Malformed || !strings.Contains(a.Err.Error(), "instead of 101: no WebSocket is spoken there") {
			t.Errorf("fate %s: %v", a.Fate, a.Err)
		}
	})
	t.Run("a server that is not there", func(t *testing.T) {
		inst.Signal(t, inst.MasterPID, syscall.SIGTERM)
		eventually(t, "the master's end", func() bool {
			masters, err := inst.Masters()
			return err == nil && len(masters) == 0
		})
		for name, url := range all {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			a := probe.Once(ctx, target(t, url))
			cancel()
			want := probe.Refused
			if name == "HTTP/3" {
				want = probe.Timeout
			} else if strings.Contains(url, "unix:") {
				want = probe.Unreachable // nginx took its socket away
			}
			if a.Fate != want {
				t.Errorf("%s: %s: %v", name, a.Fate, a.Err)
			}
		}
	})
}

// A WebSocket lives on in a worker that leaves; when that one is told to end, the close is told.
func TestAWebSocketThroughAWorkersEnd(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: strings.Replace(nginxtest.Protocols, "worker_processes 2;", "worker_processes 1; worker_shutdown_timeout 1s;", 1), Binary: nginxtest.EveryProtocol(t)})
	inst.Peers(t)
	c, a := probe.Open(t.Context(), target(t, "ws://"+inst.Addr("http")+"/socket"), "probe-test")
	if c == nil {
		t.Fatal(a.Err)
	}
	defer c.Close()
	old := workers(t, inst, inst.MasterPID)
	if a := c.Ask(t.Context()); a.Fate != probe.OK {
		t.Fatalf("%s: %v", a.Fate, a.Err)
	}
	inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
	eventually(t, "a new worker", func() bool {
		return len(workers(t, inst, inst.MasterPID)) == 1 && workers(t, inst, inst.MasterPID)[0] != old[0] || len(workers(t, inst, inst.MasterPID)) == 2
	})
	kept := 0
	for {
		a := c.Ask(t.Context())
		if a.Fate == probe.OK {
			kept++
			time.Sleep(10 * time.Millisecond) // not a wait: a pace
			continue
		}
		if !a.Fate.Apart() || kept == 0 {
			t.Errorf("%d answers while the worker left, then %s: %v", kept, a.Fate, a.Err)
		}
		return
	}
}

func ownerOf(t *testing.T, inst *nginxtest.Instance, c *probe.Connection) (int, error) {
	t.Helper()
	owners, err := probe.OpenOwners(procfs.New("/proc"))
	if err != nil {
		t.Fatal(err)
	}
	defer owners.Close()
	return owners.Of(c, workers(t, inst, inst.MasterPID))
}
