package procfs

import (
	"net"
	"os"
	"testing"
)

func TestConnectionsTellWhoSpokeLast(t *testing.T) {
	fs := New("/proc")
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		port := l.Addr().(*net.TCPAddr).Port

		write := func(c net.Conn) {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		write(client)
		if c := only(t, fs, port); c.Idle() || !c.Queued {
			t.Errorf("%s: with a byte unread: %+v", address, c)
		}
		if _, err := server.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		write(server)
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if c := only(t, fs, port); !c.Idle() {
			t.Errorf("%s: after the answer: %+v", address, c)
		}
	}
}

// only is the connection that this process holds on the port.
func only(t *testing.T, fs FS, port int) Connection {
	t.Helper()
	held, err := fs.Connections(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var found []Connection
	for _, c := range held[os.Getpid()] {
		if c.LocalPort == port {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("connections on port %d: %+v", port, found)
	}
	return found[0]
}

func TestConnectionsOfNobody(t *testing.T) {
	held, err := New("/proc").Connections()
	if err != nil || len(held) != 0 {
		t.Errorf("%v: %v", held, err)
	}
	if _, err := New(t.TempDir()).Connections(1); err == nil {
		t.Error("a process that is not there has connections")
	}
}
