package preflight

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

func TestIdleKeepaliveClose(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	asked(t, subject(t, inst, hardened(t)), "idle-keepalive-close", OK, "0 client connections")

	// Three wait for their next request; one is in the middle of an answer.
	var idle []*bufio.Reader
	for range 3 {
		idle = append(idle, keptAlive(t, inst))
	}
	busy, err := net.Dial("tcp", inst.Addr("http"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	fmt.Fprint(busy, "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := busy.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	asked(t, subject(t, inst, hardened(t)), "idle-keepalive-close", Note, "3 of 4 client connections are idle", "came with nginx 1.27.4")
	s := subject(t, inst, hardened(t))
	s.Instance.Build = nginx.Build{Flavor: nginx.FlavorNginx, Version: "1.28.0"}
	asked(t, s, "idle-keepalive-close", Note, "keepalive_min_timeout 5s;")

	// WINCH closes the idle ones at once, and only those.
	upgrade(t, inst, 2)
	inst.Signal(t, inst.MasterPID, syscall.SIGWINCH)
	for _, c := range idle {
		if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			t.Errorf("an idle connection was not closed: %d bytes, %v", n, err)
		}
	}
	if n, err := io.CopyN(io.Discard, busy, nginxtest.BigFileSize/2); err != nil {
		t.Errorf("the busy connection ended after %d bytes: %v", n, err)
	}
}

// keptAlive is a connection on which one request was answered.
func keptAlive(t *testing.T, inst *nginxtest.Instance) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", inst.Addr("http"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET /page.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", answer.Status, err)
	}
	return in
}

// Sessions of stream are no idle connections, whoever spoke last.
func TestIdleKeepaliveCloseLeavesStreamsOut(t *testing.T) {
	config := strings.Replace(nginxtest.Realistic, "http {", `stream {
    server {
        listen 127.0.0.1:{{.Port "stream"}};
        proxy_pass 127.0.0.1:{{.Port "http"}};
    }
}
http {`, 1)
	inst := nginxtest.Start(t, nginxtest.Options{Config: config, Binary: nginxtest.Release(t, "1.22.1")})
	conn, err := net.Dial("tcp", inst.Addr("stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /page.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	// The one that the stream has to the http server is such a connection.
	asked(t, subject(t, inst, hardened(t)), "idle-keepalive-close", Note, "1 of 1 client connections")
}
