package nginxtest

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// Protocols is a configuration that serves every protocol: HTTP/1.1 to 3, WebSocket and gRPC that are
// passed on to [Instance.Peers], and TCP and TLS of stream. It takes an [EveryProtocol]. Its ports are
// "http", "https", "quic", "tcp" and "tls"; the socket is run/http.sock.
const Protocols = `user {{.User}};
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
    keepalive_timeout 3s; # so long a worker that leaves keeps QUIC connections whose client it does not hear
    server {
        listen 127.0.0.1:{{.Port "http"}};
        listen 127.0.0.1:{{.Port "https"}} ssl;
        listen 127.0.0.1:{{.Port "quic"}} quic reuseport; # else any worker reads any packet
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

// URLs are what [Protocols] serves, by the protocol's name, as graft probe takes them.
func (i *Instance) URLs() map[string]string {
	plain, tls := i.Addr("http"), i.Addr("https")
	return map[string]string{
		"HTTP/1.1":           "http://" + plain + "/page.txt",
		"HTTPS":              "https://" + tls + "/page.txt",
		"HTTP/2":             "h2://" + tls + "/page.txt",
		"HTTP/2 without TLS": "h2c://" + plain + "/page.txt",
		"HTTP/3":             "h3://" + i.Addr("quic") + "/page.txt",
		"WebSocket":          "ws://" + plain + "/socket",
		"WebSocket, echo":    "ws://" + plain + "/socket",
		"WebSocket over TLS": "wss://" + tls + "/socket",
		"gRPC":               "grpc://" + plain,
		"gRPC over TLS":      "grpcs://" + tls + "/a.service",
		"gRPC, unix socket":  "grpc://unix:" + i.Prefix + "/run/http.sock",
		"TCP":                "tcp://" + i.Addr("tcp"),
		"TLS":                "tls://" + i.Addr("tls"),
	}
}

// Peers starts what nginx passes WebSockets and gRPC on to in [Protocols]: an echo, and a server that
// is well.
func (i *Instance) Peers(t testing.TB) {
	t.Helper()
	serve := func(socket string, handler http.Handler) {
		listener, err := net.Listen("unix", i.Prefix+"/run/"+socket)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Chmod(i.Prefix+"/run/"+socket, 0o666); err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		go func() { _ = server.Serve(listener) }() // it ends with Close
		t.Cleanup(func() { _ = server.Close() })
	}
	serve("ws.sock", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
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
		_, _ = w.Write([]byte{0, 0, 0, 0, 2, 1 << 3, 1}) // HealthCheckResponse{status: SERVING}
		w.Header().Set("Grpc-Status", status)
	}))
}
