package stub_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graft/internal/nginxtest"
	"graft/internal/sandbox"
	"graft/internal/stub"
)

// everyProtocol proxies in every way nginx knows.
const everyProtocol = `load_module {{.Binary.Modules}}/ngx_stream_module.so;
user {{.User}};
pid {{.PidFile}};
error_log {{.ErrorLog}};
error_log syslog:server=10.9.9.9,tag=graft;
events {}
http {
    access_log syslog:server=unix:{{.Prefix}}/run/syslog;
    proxy_temp_path temp/proxy; client_body_temp_path temp/body;
    fastcgi_temp_path temp/f; uwsgi_temp_path temp/u; scgi_temp_path temp/s;
    upstream pool { server 10.0.0.5 max_fails=0; keepalive 4; }
    upstream php  { server unix:{{.Prefix}}/run/php/fpm.sock; }
    server {
        listen *:80;
        listen [::]:80;
        location /plain  { proxy_pass http://10.0.0.5; }
        location /six    { proxy_pass http://[2001:db8:1::5]:80; }
        location /pool   { proxy_pass http://pool; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /tls    { proxy_pass https://10.0.0.6; proxy_ssl_server_name on; proxy_ssl_name secret.example; }
        location /named  { proxy_pass http://backend.example:8080; }
        location /asked  { resolver 10.0.0.2 ipv6=off; set $who backend.example; proxy_pass http://$who:8081; }
        location /own    { proxy_pass http://127.0.0.1:9001; }
        location /grpc   { grpc_pass grpc://10.0.0.7:50051; }
        location /grpcs  { grpc_pass grpcs://10.0.0.7:50052; }
        location /php    { fastcgi_pass php; fastcgi_param SCRIPT_NAME $uri; fastcgi_param CONTENT_LENGTH $content_length;
                           fastcgi_param REQUEST_METHOD $request_method; fastcgi_param REMOTE_ADDR $remote_addr; }
        location /fast   { fastcgi_pass 10.0.0.8:9000; fastcgi_param LONG "{{.Long}}"; }
        location /uwsgi  { uwsgi_pass 10.0.0.8:3031; uwsgi_param REQUEST_URI $request_uri; uwsgi_param CONTENT_LENGTH $content_length; }
        location /scgi   { scgi_pass 10.0.0.8:4000; scgi_param REQUEST_URI $request_uri; scgi_param CONTENT_LENGTH $content_length; }
        location /there  { set $memcached_key there; memcached_pass 10.0.0.8:11211; }
        location /away   { set $memcached_key away; memcached_pass 10.0.0.8:11211; }
        location /upgrade { proxy_pass http://10.0.0.5; proxy_http_version 1.1;
                           proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }
        location /client { proxy_pass http://10.0.0.5; proxy_set_header X-Real-IP $remote_addr; proxy_pass_request_body off; }
        location /chunked { proxy_pass http://10.0.0.5; proxy_http_version 1.1; proxy_request_buffering off; }
    }
}
stream {
    server { listen 7000; proxy_pass 10.0.0.9:7000; proxy_protocol on; }
    server { listen 7001 udp; proxy_pass 10.0.0.9:7001; proxy_responses 1; }
}
`

func config() string {
	return strings.ReplaceAll(everyProtocol, "{{.Long}}", strings.Repeat("long ", 40))
}

func TestEachProtocolIsAnsweredWithAnEcho(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	_, s := instance(t, config())
	type want struct {
		uri      string
		protocol stub.Protocol
		to       string
		field    string // one that must have arrived: NAME=VALUE
	}
	for i, w := range []want{
		{"/plain?a=b%20c", stub.HTTP, "10.0.0.5:80", "Host=10.0.0.5"},
		{"/six", stub.HTTP, "[2001:db8:1::5]:80", "Host=[2001:db8:1::5]"},
		{"/pool", stub.HTTP, "10.0.0.5:80", "Host=pool"},
		{"/pool/again", stub.HTTP, "10.0.0.5:80", "Host=pool"},
		{"/tls", stub.HTTP, "10.0.0.6:443", "Host=10.0.0.6"},
		{"/named", stub.HTTP, stub.Address("backend.example").String() + ":8080", "Host=backend.example:8080"},
		{"/own", stub.HTTP, "127.0.0.1:9001", "Host=127.0.0.1:9001"},
		{"/grpc", stub.HTTP2, "10.0.0.7:50051", ":path=/grpc"},
		{"/grpcs", stub.HTTP2, "10.0.0.7:50052", ":path=/grpcs"},
		{"/fast", stub.FastCGI, "10.0.0.8:9000", "LONG=" + strings.Repeat("long ", 40)},
		{"/php/x.php", stub.FastCGI, "", "SCRIPT_NAME=/php/x.php"},
		{"/uwsgi", stub.UWSGI, "10.0.0.8:3031", "REQUEST_URI=/uwsgi"},
		{"/scgi", stub.SCGI, "10.0.0.8:4000", "REQUEST_URI=/scgi"},
	} {
		t.Run(w.uri, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				id := fmt.Sprint(method, i)
				body := strings.Repeat("graft ", 10000)
				request := method + " " + w.uri + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + stub.IDHeader + ": " + id + "\r\n"
				if method == "POST" {
					request += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
				} else {
					request += "\r\n"
				}
				resp, echo := answer(t, dial(t, "tcp4", "198.51.100.7", own(t, true)+":80"), request)
				saw := one(t, s, id)
				if resp.StatusCode != 200 || saw.Protocol != w.protocol || w.to != "" && saw.To != w.to {
					t.Fatalf("%s: status %d, saw %+v", method, resp.StatusCode, saw)
				}
				name, value, _ := strings.Cut(w.field, "=")
				if got := saw.Get(name); got != value {
					t.Errorf("%s: %s is %q, want %q: %+v", method, name, got, value, saw.Fields)
				}
				if method == "HEAD" {
					continue
				}
				var told stub.Saw
				if err := json.Unmarshal([]byte(echo), &told); err != nil {
					t.Fatalf("%s: echo %q: %v", method, echo, err)
				}
				if told.To != saw.To || told.Target != saw.Target || len(told.Fields) != len(saw.Fields) || told.Body != saw.Body {
					t.Errorf("%s: the echo %+v is not what was seen: %+v", method, told, saw)
				}
				if method == "POST" {
					sum := sha256.Sum256([]byte(body))
					if want := (stub.Body{Length: int64(len(body)), SHA256: hex.EncodeToString(sum[:]), Start: body[:256]}); saw.Body != want {
						t.Errorf("body %+v, want %+v", saw.Body, want)
					}
				}
				if w.uri == "/tls" && (saw.TLS == nil || saw.TLS.ServerName != "secret.example") {
					t.Errorf("TLS: %+v", saw.TLS)
				}
			}
		})
	}
	for _, e := range s.Seen("") {
		if e.Protocol != stub.Syslog {
			t.Errorf("without an id: %+v", e)
		}
	}
}

func TestANameIsAnsweredByTheResolver(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	// Port 8081 is after a variable: the endpoint is found all the same.
	_, s := instance(t, config())
	resp, _ := answer(t, dial(t, "tcp4", "", own(t, true)+":80"), "GET /asked HTTP/1.0\r\n"+stub.IDHeader+": 1\r\n\r\n")
	if saw := one(t, s, "1"); resp.StatusCode != 200 || saw.To != stub.Address("backend.example").String()+":8081" {
		t.Errorf("status %d, saw %+v", resp.StatusCode, saw)
	}
}

func TestTheSameRequestGetsTheSameAnswer(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	_, s := instance(t, config())
	var answers []string
	for range 2 {
		c := dial(t, "tcp4", "198.51.100.7", own(t, true)+":80")
		if _, err := io.WriteString(c, "GET /plain HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(text), "\r\n\r\n")
		head, _, _ := strings.Cut(string(text), "\r\n\r\n")
		_, etag, _ := strings.Cut(head, "ETag: ")
		answers = append(answers, body+etag)
	}
	if answers[0] != answers[1] || !strings.Contains(answers[0], `"to": "10.0.0.5:80"`) {
		t.Errorf("%q\n%q", answers[0], answers[1])
	}
	if a, b := s.Seen("")[0], s.Seen("")[1]; a.From == b.From {
		t.Errorf("both from %s: this shows nothing", a.From)
	}
}

func TestClientsComeFromAnyAddress(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	_, s := instance(t, config())
	for i, from := range []string{"8.8.8.8", "10.0.0.5", "2600:1f18::7"} {
		id := fmt.Sprint(i)
		is4 := !strings.Contains(from, ":")
		answer(t, dial(t, "tcp", from, net.JoinHostPort(own(t, is4), "80")), "GET /client HTTP/1.0\r\n"+stub.IDHeader+": "+id+"\r\n\r\n")
		if got := one(t, s, id).Get("X-Real-IP"); got != from {
			t.Errorf("from %s: $remote_addr was %q", from, got)
		}
	}
}

func TestMemcachedHasHalfOfAllKeys(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	_, s := instance(t, config())
	for uri, want := range map[string]int{"/there": 200, "/away": 404} {
		resp, _ := answer(t, dial(t, "tcp4", "", own(t, true)+":80"), "GET "+uri+" HTTP/1.0\r\n\r\n")
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", uri, resp.StatusCode, want)
		}
	}
	keys := ""
	for _, saw := range s.Seen("") {
		if saw.Protocol == stub.Memcached {
			keys += saw.Method + " " + saw.Target + "\n"
		}
	}
	if !strings.Contains(keys, "get there\n") || !strings.Contains(keys, "get away\n") {
		t.Errorf("keys: %q", keys)
	}
}

func TestChunkedBodiesAndExpectAreTaken(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	_, s := instance(t, config())
	// More than nginx's buffer holds: a body it has whole it would not send in chunks.
	answer(t, dial(t, "tcp4", "", own(t, true)+":80"), "POST /chunked HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"+
		stub.IDHeader+": 1\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n"+strings.Repeat("graft!!!", 12500)+"\r\n1\r\n!\r\n0\r\n\r\n")
	if saw := one(t, s, "1"); saw.Get("Transfer-Encoding") != "chunked" || saw.Body.Length != 100001 {
		t.Errorf("through nginx: %+v", saw)
	}
	// nginx never expects: straight to the stub, which is outside, too.
	c := dial(t, "tcp4", "", "10.0.0.5:80")
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nExpect: 100-continue\r\nX-Graft-Request: 2\r\nContent-Length: 2\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := io.WriteString(c, "ok"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadString('\n'); err != nil { // the empty line
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 || one(t, s, "2").Body.Start != "ok" {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestUpgradesAreAccepted(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	_, s := instance(t, config())
	c := dial(t, "tcp4", "", own(t, true)+":80")
	// The key and its answer are RFC 6455's own example.
	if _, err := io.WriteString(c, "GET /upgrade HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Graft-Request: 1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("%+v", resp)
	}
	// A text frame "Hello", masked (RFC 6455, section 5.7), comes back unmasked.
	if _, err := c.Write([]byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 7)
	if _, err := io.ReadFull(r, frame); err != nil || string(frame) != "\x81\x05Hello" {
		t.Errorf("frame %q, %v", frame, err)
	}
	if saw := one(t, s, "1"); saw.Get("Upgrade") != "websocket" {
		t.Errorf("saw %+v", saw)
	}
}

func TestStreamsAreAnswered(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	_, _ = instance(t, config())
	c := dial(t, "tcp4", "203.0.113.77", own(t, true)+":7000")
	var saw stub.Saw
	for _, said := range []string{"whatever this is\n", "\x03\x00\x00no line"} {
		if _, err := io.WriteString(c, said); err != nil {
			t.Fatal(err)
		}
		if err := json.NewDecoder(c).Decode(&saw); err != nil {
			t.Fatal(err)
		}
		if saw.Protocol != stub.TCP || saw.Body.Start != said || saw.To != "10.0.0.9:7000" {
			t.Errorf("stream saw %+v", saw)
		}
		// What came before nginx is in the PROXY protocol's header.
		if !strings.HasPrefix(saw.Proxy, "PROXY TCP4 203.0.113.77 "+own(t, true)) {
			t.Errorf("PROXY header %q", saw.Proxy)
		}
	}
	u := dial(t, "udp4", "", own(t, true)+":7001")
	if _, err := io.WriteString(u, "datagram"); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(u).Decode(&saw); err != nil || saw.Protocol != stub.UDP || saw.Body.Start != "datagram" || saw.To != "10.0.0.9:7001" {
		t.Errorf("datagram: %v, saw %+v", err, saw)
	}
}

func TestProxyProtocol2IsTakenOff(t *testing.T) {
	if !inside(t, sandbox.Options{}) {
		return
	}
	_, s := instance(t, config())
	head := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x01\x0a\x00\x00\x05\x10\x00\x00\x50"
	answer(t, dial(t, "tcp4", "", "10.0.0.5:80"), head+"GET / HTTP/1.0\r\nX-Graft-Request: 1\r\n\r\n")
	if got := one(t, s, "1").Proxy; got != "PROXY TCP4 203.0.113.1 10.0.0.5 4096 80" {
		t.Errorf("PROXY header %q", got)
	}
}

func TestAnUnprivilegedUsersNginxKeepsItsUser(t *testing.T) {
	const (
		binary = "STUB_TEST_NGINX"
		nobody = 65534
	)
	if !sandbox.Inside() {
		if os.Geteuid() != 0 {
			t.Skip("needs root to become somebody else")
		}
		if out, err := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "--user", "true").CombinedOutput(); err != nil {
			t.Skipf("this kernel, container or chroot allows no user namespaces: %s", out)
		}
		dir, err := os.MkdirTemp("", "stub") //nolint:usetesting // no other user may enter t.TempDir's parent
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("install", "-m755", exe, nginxtest.Debian(t).Path, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		cmd := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", filepath.Join(dir, filepath.Base(exe)), enterArg, t.Name())
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), binary + "=" + filepath.Join(dir, "nginx")}
		verdict(t, cmd)
		return
	}
	inst := nginxtest.Prepare(t, nginxtest.Options{Binary: nginxtest.Binary{Path: os.Getenv(binary)}, Config: `
		pid {{.PidFile}}; error_log {{.ErrorLog}};
		user www-data; # ignored, as nginx does for all but root
		events {}
		http {
			access_log off; proxy_temp_path temp/proxy; client_body_temp_path temp/body;
			fastcgi_temp_path temp/f; uwsgi_temp_path temp/u; scgi_temp_path temp/s;
			server { listen 80; location / { proxy_pass http://10.0.0.5; proxy_set_header X-Real-IP $remote_addr; } }
		}`})
	s := upstreams(t, inst)
	cmd := exec.Command(inst.Exe, "-p", inst.Prefix, "-c", inst.Conf)
	if err := sandbox.AsCaller(cmd); err != nil {
		t.Fatal(err)
	}
	run(t, inst, cmd)
	answer(t, dial(t, "tcp4", "8.8.8.8", own(t, true)+":80"), "GET / HTTP/1.0\r\nX-Graft-Request: 1\r\n\r\n")
	if saw := one(t, s, "1"); saw.To != "10.0.0.5:80" || saw.Get("X-Real-IP") != "8.8.8.8" {
		t.Errorf("saw %+v", saw)
	}
	if log := inst.ErrorLogText(t); strings.Contains(log, "setgid") || strings.Contains(log, "setuid") || strings.Contains(log, "initgroups") {
		t.Errorf("it took itself for root: %s", log)
	}
	master, err := inst.PID()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", master))
	if err != nil || strings.Fields(string(ids))[0] != fmt.Sprint(nobody) {
		t.Errorf("its user is %q, %v", ids, err)
	}
}
