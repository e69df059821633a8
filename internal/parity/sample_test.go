package parity

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
)

// say sends one request and waits for the whole answer: nginx has logged it then, or does so at once.
func say(t *testing.T, secure bool, method, host, target string) {
	t.Helper()
	var conn net.Conn
	conn, err := net.Dial("tcp", map[bool]string{false: "127.0.0.1:8080", true: "127.0.0.1:8443"}[secure])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if secure {
		conn = tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: a \"b\"\\\r\nConnection: close\r\n\r\n", method, target, host)
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn) // until nginx is done with it, and has logged
}

// sampled are the sampled requests, one line each.
func sampled(t *testing.T, s Sampled) []string {
	t.Helper()
	var all []string
	for _, r := range s.Requests {
		scheme := "http"
		if r.TLS {
			scheme = "https"
		}
		all = append(all, fmt.Sprintf("%s %s://%s%s %d x%d at %d", r.Method, scheme, r.Host, r.Target, r.Logged, r.Count, r.Location.Line))
	}
	return all
}

// What nginx itself wrote, in a format with all that is wanted.
func TestSampleOfALogThatTellsHostAndScheme(t *testing.T) {
	s := newSite(t, strings.Replace(preamble, "access_log off;", `log_format full '$remote_addr "$request" $status "$http_host" $scheme "$http_user_agent"'; access_log logs/a.log full;`, 1)+
		`server { listen 127.0.0.1:8080; server_name a.test; root html;
location / { }
location ~ ^/u/(\d+)$ { return 200; }
}
server { listen 127.0.0.1:8080; listen 127.0.0.1:8443 ssl; server_name b.test; ssl_certificate cert.pem; ssl_certificate_key key.pem;
location / { return 204; }
location /own { access_log off; return 204; }
} }
`, map[string]string{"html/index.html": "x"})
	stop, ok := s.start(t.Context(), nginxtest.Release(t, "1.22.1").Path, s.dir)
	if !ok {
		t.Fatal("nginx does not start")
	}
	for i := range 3 {
		say(t, false, "GET", "a.test", fmt.Sprintf("/u/%d", i))
	}
	say(t, false, "GET", "a.test", "/?b=1&a=2")
	say(t, false, "GET", "a.test", "/?a=1&b=2")
	say(t, false, "GET", "a.test", "/none")
	say(t, false, "HEAD", "a.test", "/u/9")
	say(t, false, "POST", "b.test", "/")
	say(t, false, "GET", "b.test:80", "/")
	say(t, true, "GET", "b.test", "/x?token=a")
	say(t, true, "GET", "b.test", "/own")
	stop()
	if err := os.WriteFile(filepath.Join(s.dir, "logs/a.log.1"), []byte("127.0.0.9 \"GET /rotated HTTP/1.1\" 204 \"b.test\" https \"-\"\nan odd line\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Sample(t.Context(), s.source())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"GET https://b.test/rotated 204 x1 at 9",
		"GET http://a.test/u/0 200 x3 at 6",
		"GET http://a.test/?b=1&a=2 200 x2 at 5",
		"GET http://a.test/none 404 x1 at 5",
		"HEAD http://a.test/u/9 200 x1 at 6",
		"GET http://b.test:80/ 204 x1 at 9",
		"GET https://b.test/x?token=a 204 x1 at 9",
	}, sampled(t, got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]LogRead{{Path: s.dir + "/logs/a.log.1", Lines: 1, Odd: 1}, {Path: s.dir + "/logs/a.log", Lines: 10, Other: 1}}, got.Logs); diff != "" {
		t.Errorf("logs (-want +got)\n%s", diff)
	}
	r := got.Requests[1]
	if r.UserAgent != `a "b"\` || r.Source.String() != "127.0.0.1" || r.Address != "127.0.0.1:8080" || r.Shown().URL != "http://a.test/u/0" {
		t.Errorf("%+v", r)
	}
}

func TestALogWithoutHostIsAskedOfEveryServerThatWritesIt(t *testing.T) {
	s := newSite(t, strings.Replace(preamble, "access_log off;", "access_log {{dir}}/a.log;", 1)+`server { listen 127.0.0.1:8080; server_name a.test; location / { } }
server { listen 127.0.0.1:8080; server_name *.b.test; location / { } }
server { listen 127.0.0.1:8080; server_name c.test; access_log {{dir}}/c.log; location / { } } }
`, map[string]string{"a.log": `1.2.3.4 - - [24/Nov/2026:22:15:13 +0000] "GET /x HTTP/1.1" 200 1 "-" "-"` + "\n", "c.log": ""})
	got, err := Sample(t.Context(), s.source())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GET http://a.test/x 200 x1 at 4", "GET http://graft-parity.b.test/x 200 x1 at 5"}, sampled(t, got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A log of which nothing can be taken is told: silence would look like a site without traffic.
func TestALogThatCannotBeReadIsTold(t *testing.T) {
	s := newSite(t, strings.Replace(preamble, "access_log off;", `log_format bare "$request"; access_log {{dir}}/a.log bare; access_log /dev/null;`, 1)+
		`server { listen 127.0.0.1:8080; location / { } } }`, map[string]string{"a.log": "GET / HTTP/1.1\n"})
	got, err := Sample(t.Context(), s.source())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Logs) != 2 || !strings.Contains(got.Logs[0].Why, "no $status") || !strings.Contains(got.Logs[1].Why, "no regular file") {
		t.Errorf("%+v", got.Logs)
	}
}

// Of many lines each place keeps a request, and the rest goes by frequency.
func TestTheMostFrequentShapesAreKept(t *testing.T) {
	var log strings.Builder
	line := func(n int, target string, status int) {
		for range n {
			fmt.Fprintf(&log, "1.2.3.4 - - [24/Nov/2026:22:15:13 +0000] \"GET %s HTTP/1.1\" %d 1 \"-\" \"-\"\n", target, status)
		}
	}
	for i := range 50 {
		line(100-i, fmt.Sprintf("/p%s", strings.Repeat("x", i%30+1)+string(rune('a'+i%20))), 200)
	}
	line(1, "/rare", 418)
	s := newSite(t, strings.Replace(preamble, "access_log off;", "access_log {{dir}}/a.log;", 1)+`server { listen 127.0.0.1:8080; server_name a.test;
location / { }
location /rare { }
} }`, map[string]string{"a.log": log.String()})
	src := s.source()
	src.Max = 5
	got, err := Sample(context.Background(), src)
	if err != nil {
		t.Fatal(err)
	}
	all := sampled(t, got)
	if len(all) != 5 || !strings.HasPrefix(all[0], "GET http://a.test/pxa 200 x100") || all[4] != "GET http://a.test/rare 418 x1 at 6" {
		t.Errorf("%q", all)
	}
	src.MaxBytes = 400
	if got, err = Sample(t.Context(), src); err != nil || !got.Logs[0].Cut || got.Logs[0].Lines > 5 {
		t.Errorf("%+v %v", got.Logs, err)
	}
}
