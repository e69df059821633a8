package stub_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"graft/internal/sandbox"
	"graft/internal/stub"
)

func TestCloseEndsAllConnections(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	before := goleak.IgnoreCurrent()
	path := filepath.Join(t.TempDir(), "new/socket")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := stub.Start(ctx, []stub.Endpoint{
		{Network: "tcp", Address: "10.0.0.1:80", Protocol: stub.HTTP, Outside: true},
		{Network: "tcp", Address: "10.0.0.2:80", Protocol: stub.FastCGI, Outside: true}, // the same place
		{Network: "udp", Address: "127.0.0.1:53", Protocol: stub.DNS},
		{Network: "unix", Address: path, Protocol: stub.HTTP},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var d net.Dialer
	idle, err := d.DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	half, err := d.DialContext(t.Context(), "tcp", "10.9.9.9:80")
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if _, err := io.WriteString(half, "GET / HT"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{idle, half} {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: read %d bytes, %v", c.RemoteAddr(), n, err)
		}
	}
	if _, err := d.DialContext(t.Context(), "tcp", "10.9.9.9:80"); err == nil {
		t.Error("a stub listens after Close")
	}
	goleak.VerifyNone(t, before)
}

func TestTheContextEndsTheStubs(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := stub.Start(ctx, []stub.Endpoint{{Network: "tcp", Address: "127.0.0.1:80", Protocol: stub.HTTP}}, nil); err != nil {
		t.Fatal(err)
	}
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestWhatCannotListenIsNamed(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	for _, tt := range []struct {
		network, address, want string
	}{
		{"tcp", "127.0.0.1:80", "127.0.0.1:80: bind: address already in use"},
		{"unix", "/etc/passwd", "/etc/passwd: bind: address already in use"},
		{"unix", "/etc/passwd/x", "/etc/passwd"},
		{"tcp", "127.0.0.1", "missing port"},
		{"tcp", "127.0.0.1:99999", "invalid port"},
	} {
		t.Run(tt.address, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			s, err := stub.Start(t.Context(), []stub.Endpoint{{Network: "tcp", Address: "127.0.0.1:81"}, {Network: tt.network, Address: tt.address}}, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("server %v, error %v", s, err)
			}
			// What did listen does so no more.
			again, err := net.Listen("tcp", "127.0.0.1:81")
			if err != nil {
				t.Fatal(err)
			}
			again.Close()
		})
	}
	s, err := stub.Start(t.Context(), []stub.Endpoint{{Network: "unixgram", Address: "/dev/graft/log", Protocol: stub.Syslog}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if left := s.Unanswered(); len(left) != 1 || left[0].Path != "/dev/graft/log" || left[0].Err == nil {
		t.Errorf("where nothing can be put: %+v", left)
	}
	if _, err := os.Stat("/dev/graft"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
