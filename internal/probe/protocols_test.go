package probe_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"graft/internal/nginxtest"
	"graft/internal/probe"
	"graft/internal/procfs"
)

// protocols is a configuration that serves every protocol, with the flags of a build that can.
const protocols = `user {{.User}};
worker_processes 2;
pid {{.PidFile}};
error_log {{.ErrorLog}} notice;
events { worker_connections 512; }
stream {
    server { listen 127.0.0.1:{{.Port "tcp"}}; return "220 ready\r\n"; }
    server {
        listen 127.0.0.1:{{.Port "tls"}} ssl;
        ssl_certificate cert.pem; ssl_certificate_key key.pem;
        return "220 secret\r\n";
    }
}
http {
    access_log {{.AccessLog}} combined;
    client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi; scgi_temp_path temp/scgi;
    ssl_certificate cert.pem; ssl_certificate_key key.pem;
    http2 on;
    server {
        listen 127.0.0.1:{{.Port "http"}};
        listen 127.0.0.1:{{.Port "https"}} ssl;
        listen 127.0.0.1:{{.Port "quic"}} quic reuseport; # else either worker reads any packet
        listen unix:{{.Prefix}}/run/http.sock;
        server_name site.example;
        location / { root html; }
        location /socket {
            proxy_pass http://unix:{{.Prefix}}/run/ws.sock;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
        location /grpc. { grpc_pass grpc://unix:{{.Prefix}}/run/grpc.sock; }
        location /broken. { return 200 "no grpc"; }
    }
}
`

// Every protocol, as graft's own user would name it, on a real nginx with real peers behind it.
func TestEveryProtocolOnNginx(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: protocols, Binary: everyProtocol(t)})
	behind(t, inst)
	all := everyURL(inst)
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
	inst := nginxtest.Start(t, nginxtest.Options{Config: strings.Replace(protocols, "worker_processes 2;", "worker_processes 1; worker_shutdown_timeout 1s;", 1), Binary: everyProtocol(t)})
	behind(t, inst)
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

func everyURL(inst *nginxtest.Instance) map[string]string {
	plain, tls := inst.Addr("http"), inst.Addr("https")
	return map[string]string{
		"HTTP/1.1":           "http://" + plain + "/page.txt",
		"HTTPS":              "https://" + tls + "/page.txt",
		"HTTP/2":             "h2://" + tls + "/page.txt",
		"HTTP/2 without TLS": "h2c://" + plain + "/page.txt",
		"HTTP/3":             "h3://" + inst.Addr("quic") + "/page.txt",
		"WebSocket":          "ws://" + plain + "/socket",
		"WebSocket, echo":    "ws://" + plain + "/socket",
		"WebSocket over TLS": "wss://" + tls + "/socket",
		"gRPC":               "grpc://" + plain,
		"gRPC over TLS":      "grpcs://" + tls + "/a.service",
		"gRPC, unix socket":  "grpc://unix:" + inst.Prefix + "/run/http.sock",
		"TCP":                "tcp://" + inst.Addr("tcp"),
		"TLS":                "tls://" + inst.Addr("tls"),
	}
}

func everyProtocol(t *testing.T) nginxtest.Binary {
	t.Helper()
	return nginxtest.EveryProtocol(t)
}

// behind starts what nginx passes WebSockets and gRPC on to.
func behind(t *testing.T, inst *nginxtest.Instance) {
	t.Helper()
	serve := func(socket string, handler http.Handler) {
		listener, err := net.Listen("unix", inst.Prefix+"/run/"+socket)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Chmod(inst.Prefix+"/run/"+socket, 0o666); err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		go server.Serve(listener)
		t.Cleanup(func() { server.Close() })
	}
	serve("ws.sock", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, text, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, text); err != nil {
				return
			}
		}
	}))
	serve("grpc.sock", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := make([]byte, 5)
		_, err := io.ReadFull(r.Body, head)
		message, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		status := "0"
		if err != nil || head[0] != 0 || int(binary.BigEndian.Uint32(head[1:])) != len(message) || r.URL.Path != "/grpc.health.v1.Health/Check" {
			status = "3"
		}
		w.Write([]byte{0, 0, 0, 0, 2, 1 << 3, 1}) // HealthCheckResponse{status: SERVING}
		w.Header().Set("Grpc-Status", status)
	}))
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
