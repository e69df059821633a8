package accesslog

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

var lineOfConfig = regexp.MustCompile(`nginx\.conf:\d+\)`)

const failing = `%[1]suser {{.User}};
worker_processes 1;
pid {{.PidFile}};
error_log {{.ErrorLog}} info;
events { worker_connections 64; }
http {
    %[2]s
    access_log {{.AccessLog}} combined;
    client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/fastcgi; uwsgi_temp_path temp/uwsgi; scgi_temp_path temp/scgi;
    limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
    server {
        listen 127.0.0.1:{{.Port "http"}};
        listen 127.0.0.1:{{.Port "https"}} ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        root html;
        client_max_body_size 10;
        lingering_close off;
        location /refused { proxy_pass http://127.0.0.1:{{.Port "nobody"}}; }
        location /silent { proxy_pass http://127.0.0.1:%[3]d; proxy_read_timeout 100ms; }
        location /limited { limit_req zone=one; }
        location /denied { deny all; }
        location /lua { content_by_lua_block {
            local user
            ngx.say(user.name)
        } }
        location /logs { content_by_lua_block { ngx.log(ngx.ERR, "no session ", ngx.var.arg_id) } }
    }
}
`

// silentServer accepts connections and never answers.
func silentServer(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// send writes to a port and waits until the server closes.
func send(t *testing.T, addr, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.Copy(io.Discard, conn) // what it says is in its log
}

// TestClassesOfWhatARealNginxComplainsOf brings nginx to complain, each time twice and in other words, and
// expects each complaint as one class.
func TestClassesOfWhatARealNginxComplainsOf(t *testing.T) {
	bin, load, packagePath, env := nginxtest.WithLua(t)
	inst := nginxtest.Start(t, nginxtest.Options{Binary: bin, Env: env, Config: fmt.Sprintf(failing, load, packagePath, silentServer(t))})
	f, err := Follow(inst.ErrorLog)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	get := func(format string, args ...any) {
		send(t, inst.Addr("http"), fmt.Sprintf("GET "+format+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", args...))
	}
	for i := range 2 {
		for _, path := range []string{"/refused/%d", "/silent/%d", "/missing-%d", "/limited?%d", "/denied/%d", "/lua?%d", "/logs?id=ab12cd%d"} {
			get(path, i)
		}
		send(t, inst.Addr("http"), fmt.Sprintf("POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", 100+i))
		send(t, inst.Addr("https"), "\x16\x09\x09\x00\x05"+strings.Repeat("hello ", 50+i))
	}
	get("/limited?%d", 2)
	workers, err := inst.Workers(inst.MasterPID)
	if err != nil || len(workers) != 1 {
		t.Fatalf("%v %v", workers, err)
	}
	inst.Signal(t, workers[0], syscall.SIGSEGV)

	want := map[string]string{ // template: kind
		"connect() failed (111: Connection refused) while connecting to upstream":                                                 KindUpstream,
		"upstream timed out (110: Connection timed out) while reading response header from upstream":                              KindUpstream,
		`open() "…" failed (2: No such file or directory)`:                                                                        KindFile,
		`limiting requests, excess: … by zone "…"`:                                                                                KindLimit,
		"access forbidden by rule":                                                                                                KindRequest,
		"client intended to send too large body: … bytes":                                                                         KindRequest,
		"SSL_do_handshake() failed (SSL: wrong version number) while SSL handshaking":                                             KindCertificate,
		"worker process … exited on signal 11":                                                                                    KindExit,
		"lua entry thread aborted: runtime error: content_by_lua(nginx.conf:LINE):3: attempt to index local 'user' (a nil value)": KindLua,
		"[lua] content_by_lua(nginx.conf:LINE):1: no session …":                                                                   KindLua,
	}
	found := map[string]int{}
	trace := ""
	reader := NewErrorReader(func(l ErrorLine) {
		c := ClassOf(l)
		template := lineOfConfig.ReplaceAllString(c.Template, "nginx.conf:LINE)")
		if kind, ok := want[template]; ok && kind == c.Kind {
			found[template]++
		} else if l.Level == Error || l.Level == Crit || l.Level == Alert || l.Level == Emerg {
			t.Errorf("%s is %s: %s", l, c.Kind, c.Template)
		}
		if c.Kind == KindLua && l.More != "" {
			trace = l.More
		}
	})
	deadline := time.Now().Add(10 * time.Second)
	for len(found) < len(want) {
		if err := f.Poll(func(line []byte) { reader.Add(line, time.Now()) }); err != nil {
			t.Fatal(err)
		}
		reader.Settle(time.Now())
		if time.Now().After(deadline) {
			t.Fatalf("not found all: %v of %v", found, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !strings.Contains(trace, "stack traceback:") || !strings.Contains(trace, "coroutine 0:") {
		t.Errorf("no traceback with the Lua error: %q", trace)
	}
	if reader.Foreign() != 0 {
		t.Errorf("%d foreign lines", reader.Foreign())
	}
	for template, n := range found {
		if least := 2; n < least && want[template] != KindExit {
			t.Errorf("%q came %d times", template, n)
		}
	}
}
