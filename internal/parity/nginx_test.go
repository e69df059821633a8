package parity

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/probe"
)

const preamble = `worker_processes 2; pid {{dir}}/pid; error_log {{dir}}/error.log notice; events { }
http { access_log off; client_body_temp_path temp/a; proxy_temp_path temp/b; fastcgi_temp_path temp/c; uwsgi_temp_path temp/d; scgi_temp_path temp/e;
types { text/html html; text/css css; text/plain txt; } default_type application/octet-stream;
`

func TestARelativeRootThatChangedItsMeaning(t *testing.T) {
	s := newSite(t, preamble+`server { listen 127.0.0.1:8080; server_name a.test; root html;
location / { }
location /same/ { root {{dir}}; }
} }
`, map[string]string{"html/index.html": "the site\n", "other/html/index.html": "Welcome to OpenResty\n", "same/x.html": "x"})
	requests := s.requests()
	bin := nginxtest.Release(t, "1.22.1").Path
	report := Compare(requests, s.ask(bin, s.dir, requests), s.ask(bin, filepath.Join(s.dir, "other"), requests), nil)
	g := expect(t, report, Breaking, "body", 5)
	if want := []string{"- the site", "+ Welcome to OpenResty"}; !slices.Equal(g.Example.Diff, want) {
		t.Errorf("diff %q", g.Example.Diff)
	}
	for _, g := range report.Groups {
		if g.Location.Line == 6 && g.Class != Expected {
			t.Errorf("a location that did not change: %+v", g)
		}
	}
	if report.Green() {
		t.Error("green")
	}
}

func TestALostModuleLeavesNobodyListening(t *testing.T) {
	old := nginxtest.Debian(t)
	s := newSite(t, "load_module "+old.Modules+"/ngx_http_echo_module.so;\n"+preamble+`server { listen 127.0.0.1:8080; location / { echo hi; } } }`, nil)
	requests := s.requests()
	report := Compare(requests, s.ask(old.Path, s.dir, requests), s.ask(nginxtest.Release(t, "1.26.3").Path, s.dir, requests), nil)
	expect(t, report, Breaking, "connection: ok → refused", 5)
}

// From 1.23.4 on, TLSv1.3 is in the default of ssl_protocols.
func TestAChangedDefault(t *testing.T) {
	s := newSite(t, preamble+`server { listen 127.0.0.1:8080; listen 127.0.0.1:8443 ssl; server_name a.test; ssl_certificate cert.pem; ssl_certificate_key key.pem;
location / { proxy_set_header X-TLS $ssl_protocol; proxy_pass http://127.0.0.1:9000; } } }`, nil)
	requests := s.requests()
	report := Compare(requests, s.ask(nginxtest.Release(t, "1.22.1").Path, s.dir, requests), s.ask(nginxtest.Release(t, "1.26.3").Path, s.dir, requests), nil)
	expect(t, report, Suspicious, "TLS version", 5)
	g := expect(t, report, Suspicious, "upstream header X-TLS", 5)
	if want := []string{"- upstream X-TLS: TLSv1.2", "+ upstream X-TLS: TLSv1.3"}; !slices.Equal(g.Example.Diff, want) {
		t.Errorf("diff %q", g.Example.Diff)
	}
}

// Up to 1.25.0 a socket with http2 and without ssl speaks HTTP/2 alone.
func TestASocketThatSpeaksAnotherProtocolNow(t *testing.T) {
	s := newSite(t, preamble+`server { listen 127.0.0.1:8080; listen 127.0.0.1:8082 http2; server_name a.test;
location / { return 200 "$server_protocol\n"; } } }`, nil)
	requests := s.requests()
	report := Compare(requests, s.ask(nginxtest.Release(t, "1.22.1").Path, s.dir, requests), s.ask(nginxtest.Release(t, "1.26.3").Path, s.dir, requests), nil)
	expect(t, report, Suspicious, "connection: truncated → ok", 5)
	if report.Breaking != 0 {
		t.Errorf("%s", text(t, report))
	}
	h2 := slices.IndexFunc(requests, func(r Request) bool { return r.HTTP2 })
	if answers := s.ask(nginxtest.Release(t, "1.22.1").Path, s.dir, requests[h2:h2+1]); string(answers[0].Body) != "HTTP/2.0\n" {
		t.Errorf("%+v", answers[0])
	}
}

// rich has many of what nginx can do; %s are further locations.
const rich = `worker_processes 2; pid {{dir}}/pid; error_log {{dir}}/error.log warn; events { }
http { access_log off; client_body_temp_path temp/a; proxy_temp_path temp/b; fastcgi_temp_path temp/c; uwsgi_temp_path temp/d; scgi_temp_path temp/e;
types { text/html html; text/css css; text/plain txt; } default_type application/octet-stream; gzip on; gzip_types text/css;
proxy_cache_path {{dir}}/cache keys_zone=c:1m; limit_req_zone $binary_remote_addr zone=l:1m rate=1r/m;
map $uri $mapped { default no; ~^/m yes; }
server { listen 127.0.0.1:8080 default_server; server_name _; return 301 https://$host$request_uri; }
server { listen 127.0.0.1:8080; listen 127.0.0.1:8443 ssl http2; listen unix:{{dir}}/s; server_name a.test *.b.test; ssl_certificate cert.pem; ssl_certificate_key key.pem;
root {{dir}}/html; add_header Strict-Transport-Security max-age=1 always; add_header X-ID $request_id; add_header X-Worker $pid; add_header X-Time $msec; add_header Set-Cookie "id=$request_id; Path=/; HttpOnly";
location / { index index.html; }
location /list/ { autoindex on; }
location = /exact { return 200 "$request_id $time_iso8601 $msec\n"; }
location /app/ { proxy_pass http://127.0.0.1:9000; proxy_set_header X-Start $msec; proxy_set_header X-Request-ID $request_id; proxy_set_header X-Port $remote_port; }
location /cached/ { proxy_pass http://127.0.0.1:9000/; proxy_cache c; add_header X-Cache $upstream_cache_status; }
location /limited { limit_req zone=l burst=1 nodelay; return 200; }
location ~ \.php$ { fastcgi_pass 127.0.0.1:9000; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_param REQUEST_URI $request_uri; fastcgi_param SERVER_SOFTWARE nginx/$nginx_version; fastcgi_param REMOTE_PORT $remote_port; }
location ~* ^/media/(.*)\.(png|jpe?g)$ { return 302 /m/$1?t=$msec; }
location /mirror { mirror /m2; proxy_pass http://127.0.0.1:9000; }
location /secret { auth_basic x; auth_basic_user_file {{dir}}/none; }
location /deny { deny all; }
location /close { return 444; }
location /ssi { ssi on; root {{dir}}/html; }
%s
} }
`

func richSite(t testing.TB, locations int) *site {
	var more strings.Builder
	for i := range locations {
		fmt.Fprintf(&more, "location /l%d/ { add_header X-N %d; proxy_pass http://127.0.0.1:9000; }\n", i, i)
		if i%2 == 0 {
			fmt.Fprintf(&more, "location = /e%d { return 200 \"%d\"; }\n", i, i)
		}
	}
	return newSite(t, fmt.Sprintf(rich, more.String()), map[string]string{
		"html/index.html": strings.Repeat("<p>hello</p>\n", 200), "html/list/a.txt": "a", "html/style.css": strings.Repeat("a{}\n", 500), "html/ssi/x.html": "<!--# echo var='date_local' --> <!--# include virtual='/app/x' -->\n"})
}

func TestIdenticalBuildsCompareClean(t *testing.T) {
	s := richSite(t, 150)
	requests := s.requests()
	if len(requests) < 1000 {
		t.Fatalf("only %d requests", len(requests))
	}
	bin := nginxtest.Release(t, "1.22.1").Path
	begun := time.Now()
	old := s.ask(bin, s.dir, requests)
	if err := os.RemoveAll(filepath.Join(s.dir, "cache")); err != nil {
		t.Fatal(err)
	}
	new := s.ask(bin, s.dir, requests)
	report := Compare(requests, old, new, nil)
	t.Logf("%d requests compared in %v", len(requests), time.Since(begun))
	if !report.Green() || report.Suspicious != 0 || report.Breaking != 0 || report.Volatile != 0 {
		t.Errorf("%s\n%s", text(t, report), groups(report))
	}
	ok := 0
	statuses := map[int]int{}
	for _, a := range old {
		if a.Fate == probe.OK {
			ok++
		}
		statuses[a.Status]++
	}
	if ok < len(requests)*9/10 || statuses[200] < len(requests)/2 {
		t.Errorf("%d of %d answered: %v", ok, len(requests), statuses)
	}
}
