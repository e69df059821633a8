package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/rehearse"
)

// The large configuration: what a host that has grown for years has.
const (
	largeServers   = 500
	largeLocations = 10 // in each
	largeStreams   = 20
	largeSockets   = 10
	largeCaches    = 5
)

// largeConfig has servers with TLS certificates of their own, locations of every kind, Lua, streams,
// caches and unix sockets. It wants OpenResty.
func largeConfig() nginxtest.Options {
	var b strings.Builder
	b.WriteString(`user {{.User}};
worker_processes 2;
pid {{.PidFile}};
error_log {{.ErrorLog}} notice;
events { worker_connections 4096; }
stream {
    upstream backends { server 10.3.0.1:7000; server 10.3.0.2:7000; }
`)
	for i := range largeStreams {
		fmt.Fprintf(&b, "    server { listen 127.0.0.1:{{.Port \"stream%d\"}}; proxy_pass backends; }\n", i)
	}
	b.WriteString(`}
http {
    types { text/html html; text/plain txt; }
    access_log {{.AccessLog}} combined;
    server_names_hash_max_size 8192;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    lua_shared_dict counters 1m;
    map $http_host $tier { default slow; ~^s1 fast; }
    upstream php { server unix:{{.Prefix}}/run/php.sock; }
`)
	for i := range largeCaches {
		fmt.Fprintf(&b, "    proxy_cache_path cache%d levels=1:2 keys_zone=c%[1]d:1m;\n    upstream app%[1]d { server 10.2.0.%d:8080; server 10.2.1.%[2]d:8080; keepalive 4; }\n", i, i+1)
	}
	for i := range largeServers {
		name := fmt.Sprintf("s%d.example", i)
		fmt.Fprintf(&b, "    server {\n        listen 127.0.0.1:{{.Port \"http\"}};\n        listen 127.0.0.1:{{.Port \"https\"}} ssl;\n        server_name %s www.%[1]s;\n"+
			"        ssl_certificate certs/%d.pem;\n        ssl_certificate_key certs/%[2]d.key;\n        root html;\n", name, i)
		if i < largeSockets {
			fmt.Fprintf(&b, "        listen unix:{{.Prefix}}/run/s%d.sock;\n", i)
		}
		fmt.Fprintf(&b, `        add_header Strict-Transport-Security max-age=60;
        location / { index index.html; }
        location = /health { return 200 "server %d is well\n"; }
        location ^~ /static/ { alias html/; expires 1h; }
        location ~ \.php$ { fastcgi_pass php; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; }
        location /api/ { proxy_pass http://app%d; proxy_set_header Host $host; proxy_set_header X-Tier $tier; }
        location /cached/ { proxy_cache c%[2]d; proxy_cache_valid 200 1m; proxy_pass http://app%[2]d/origin/; }
        location /lua { content_by_lua_block { ngx.say("lua of ", ngx.var.host, " {", #"}", "}") } }
        location ~* ^/user/([0-9]+)$ { return 302 /api/user?id=$1; }
        location /old/ { rewrite ^/old/(.*)$ /static/$1 permanent; }
        location /private/ { deny all; }
    }
`, i, i%largeCaches)
	}
	b.WriteString("}\n")
	return nginxtest.Options{Config: b.String()}
}

// newLargeHost starts it on the OpenResty equivalent. twin is the same program under another hash, to
// migrate to.
func newLargeHost(t testing.TB) (h *host, twin string) {
	t.Helper()
	h = &host{t: t, state: t.TempDir()}
	tree := filepath.Join(h.state, "artifacts", h.openResty(), "tree")
	if err := execute(exec.CommandContext(t.Context(), "cp", "-a", tree+"/usr/local/openresty", "/usr/local/")); err != nil { // the sandbox's own
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll("/usr/local/openresty"); err != nil {
			t.Error(err)
		}
	})
	binary, err := filepath.Glob("/usr/local/openresty/nginx/sbin/nginx")
	if err != nil || len(binary) != 1 {
		t.Fatalf("the OpenResty equivalent lies at %v: %v", binary, err)
	}
	data, err := os.ReadFile(binary[0])
	if err != nil {
		t.Fatal(err)
	}
	twin = filepath.Join(h.state, "twin")
	if err := os.WriteFile(twin, append(data, "twin"...), 0o755); err != nil {
		t.Fatal(err)
	}
	opts := largeConfig()
	opts.Binary = nginxtest.Binary{Path: binary[0]}
	opts.Files = map[string]string{}
	for i := range largeServers {
		cert, key, err := nginxtest.SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		opts.Files[fmt.Sprintf("conf/certs/%d.pem", i)], opts.Files[fmt.Sprintf("conf/certs/%d.key", i)] = string(cert), string(key)
	}
	h.inst = nginxtest.Start(t, opts)
	return h, twin
}

func TestRehearsalOfALargeConfiguration(t *testing.T) {
	h, twin := newLargeHost(t)
	result := h.rehearsal(0, h.plan(twin))
	for _, a := range result.Acts {
		t.Logf("%s %s %v", a.Name, a.Took, a.Steps)
	}
	t.Logf("rehearsed in %s: %d requests, compared in %s", result.Took.Round(time.Millisecond), result.Parity.Requests, result.Parity.Took.Round(time.Millisecond))
	if p := result.Parity; p.Requests < 1000 || p.Suspicious > 0 || p.Breaking > 0 {
		t.Errorf("parity %+v", p.Report)
	}
}

// BenchmarkRehearse takes the time of a whole rehearsal, of Debian's nginx and of the large
// configuration. The goals are 5 s and 15 s.
func BenchmarkRehearse(b *testing.B) {
	for name, host := range map[string]func(testing.TB) (*host, string){
		"Debian": func(t testing.TB) (*host, string) {
			h := newHost(t, nginxtest.Options{})
			return h, h.openResty()
		},
		"large": newLargeHost,
	} {
		b.Run(name, func(b *testing.B) {
			h, to := host(b)
			plan := h.plan(to)
			var last rehearse.Result
			for b.Loop() {
				last = h.rehearsal(0, plan)
			}
			b.ReportMetric(last.Took.Seconds(), "s/rehearsal")
			b.ReportMetric(float64(last.Parity.Requests), "requests")
			b.ReportMetric(last.Parity.Took.Seconds(), "s/parity")
		})
	}
}
