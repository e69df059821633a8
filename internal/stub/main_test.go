package stub_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/nginx/conf"
	"graft/internal/nginxtest"
	"graft/internal/sandbox"
	"graft/internal/stub"
)

// enterArg has this program, run by another user, run one of its tests in a
// sandbox of that user's.
const enterArg = "stub-test-enter"

func TestMain(m *testing.M) {
	sandbox.Main()
	if len(os.Args) == 3 && os.Args[1] == enterArg {
		cmd, err := again(context.Background(), os.Args[0], os.Args[2], sandbox.Options{Outside: true})
		if err == nil {
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			err = cmd.Run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// again is this program, for one test, in a sandbox.
func again(ctx context.Context, exe, test string, opts sandbox.Options) (*exec.Cmd, error) {
	return sandbox.Command(ctx, opts, exe, "-test.run=^"+test+"$", "-test.v", "-test.timeout=2m")
}

// inside runs the calling test once more in a sandbox with a network outside,
// and tells whether this is that run.
func inside(t *testing.T, opts sandbox.Options) bool {
	t.Helper()
	if sandbox.Inside() {
		return true
	}
	nginxtest.Debian(t) // brings it into the cache
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	opts.Outside = true
	cmd, err := again(t.Context(), exe, t.Name(), opts)
	if err != nil {
		t.Fatal(err)
	}
	verdict(t, cmd)
	return false
}

// verdict takes over how the test went there.
func verdict(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in the sandbox: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// parse reads an nginx's configuration.
func parse(t *testing.T, inst *nginxtest.Instance) *conf.Config {
	t.Helper()
	c, err := conf.Load(conf.Options{File: inst.Conf})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// upstreams finds the upstreams of an instance's configuration, starts stubs for
// them and gives their names addresses.
func upstreams(t *testing.T, inst *nginxtest.Instance) *stub.Server {
	t.Helper()
	addrs, err := sandbox.HostAddresses()
	if err != nil {
		t.Fatal(err)
	}
	names, err := stub.ReadHosts("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	found := stub.Find(parse(t, inst), stub.Host{Addresses: addrs, Names: names})
	if len(found.Hosts) > 0 { // as sandbox.Options.Hosts does; only here is the configuration known
		hosts, err := os.OpenFile("/etc/hosts", os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer hosts.Close()
		if _, err := io.WriteString(hosts, strings.Join(found.Hosts, "\n")+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	s, err := stub.Start(t.Context(), found.Endpoints, found.Pools)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d endpoints listen after %v", len(found.Endpoints), time.Since(begin))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// instance lays nginx out and starts the stubs and then nginx.
func instance(t *testing.T, config string) (*nginxtest.Instance, *stub.Server) {
	t.Helper()
	inst := nginxtest.Prepare(t, nginxtest.Options{Config: config})
	s := upstreams(t, inst)
	run(t, inst, exec.Command(inst.Exe, "-p", inst.Prefix, "-c", inst.Conf))
	return inst, s
}

// run starts an nginx that detaches itself, and waits for its worker: before
// that the master may sleep through the signal that ends it.
func run(t *testing.T, inst *nginxtest.Instance, cmd *exec.Cmd) {
	t.Helper()
	log := filepath.Join(inst.Prefix, "logs/stderr")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out // a pipe would stay open with the daemon
	err = cmd.Run()
	text, readErr := os.ReadFile(log)
	if err := errors.Join(err, readErr); err != nil {
		t.Fatalf("start nginx: %v\n%s", err, text)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		master, err := inst.PID()
		if err == nil {
			var workers []int
			if workers, err = inst.Workers(master); err == nil && len(workers) > 0 {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no worker of nginx runs: %v\n%s", err, inst.ErrorLogText(t))
		}
	}
}

// dial connects from outside, from an address of choice.
func dial(t *testing.T, network, from, to string) net.Conn {
	t.Helper()
	var c net.Conn
	err := sandbox.Outside(func() error {
		d := net.Dialer{Timeout: 10 * time.Second}
		if from != "" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
		}
		var err error
		c, err = d.DialContext(t.Context(), network, to)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// own is an address of the sandbox's inside.
func own(t *testing.T, is4 bool) string {
	t.Helper()
	addrs, err := sandbox.HostAddresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if a.Is4() == is4 {
			return a.String()
		}
	}
	t.Fatalf("no address inside: %v", addrs)
	return ""
}

// answer sends a request, as it is written, and reads the answer.
func answer(t *testing.T, c net.Conn, request string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// one is the only thing that reached a stub under an id.
func one(t *testing.T, s *stub.Server, id string) stub.Saw {
	t.Helper()
	seen := s.Seen(id)
	if len(seen) != 1 {
		t.Fatalf("request %q reached the stubs %d times: %+v", id, len(seen), seen)
	}
	return seen[0]
}
