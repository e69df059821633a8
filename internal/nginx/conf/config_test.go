package conf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parsed is a configuration of one file without includes.
func parsed(t *testing.T, src string) *Config {
	t.Helper()
	ds, err := Parse("n.conf", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return &Config{Directives: ds}
}

func TestMainContext(t *testing.T) {
	c := parsed(t, `user www-data; worker_processes auto; pid /run/nginx.pid; daemon OFF;
		env PATH; env "A=b c"; load_module modules/a.so; load_module /b.so; http { pid no; }`)
	if got := c.Value("pid"); got != "/run/nginx.pid" {
		t.Errorf("pid %q", got)
	}
	if got := c.Value("worker_processes"); got != "auto" {
		t.Errorf("worker_processes %q", got)
	}
	if c.Daemon() || !c.MasterProcess() {
		t.Errorf("daemon %v, master_process %v", c.Daemon(), c.MasterProcess())
	}
	if user, group := c.User(); user != "www-data" || group != "www-data" {
		t.Errorf("user %q %q", user, group)
	}
	if diff := cmp.Diff([]string{"PATH", "A=b c"}, c.Env()); diff != "" {
		t.Errorf("env %s", diff)
	}
	if diff := cmp.Diff([]string{"modules/a.so", "/b.so"}, c.LoadModules()); diff != "" {
		t.Errorf("load_module %s", diff)
	}

	unset := parsed(t, "events { }")
	if user, group := unset.User(); !unset.Daemon() || !unset.MasterProcess() || unset.Value("pid") != "" || user+group != "" {
		t.Error("defaults")
	}
	if _, group := parsed(t, "user a b;").User(); group != "b" {
		t.Errorf("group %q", group)
	}
}

func TestEffectiveTakesTheNearestEnclosingBlock(t *testing.T) {
	c := parsed(t, "a main; http { a http; server { location / { x; } } server { a server; location / { x; } } map $a $b { a data; } } stream { x; }")
	var got []string
	for _, x := range c.Find("x") {
		got = append(got, c.Effective(x.Parent, "a").Arg(0))
	}
	if diff := cmp.Diff([]string{"http", "server", "main"}, got); diff != "" {
		t.Error(diff)
	}
	if d := c.Effective(c.Find("map")[0], "a"); d.Arg(0) != "http" {
		t.Errorf("in a data block: %q", d.Arg(0))
	}
	if c.Effective(nil, "b") != nil {
		t.Error("found what is not there")
	}
}

func TestLogs(t *testing.T) {
	c := parsed(t, `error_log stderr; error_log logs/e.log warn; error_log syslog:server=h;  error_log memory:32m debug; error_log off;
		http { error_log /e/$x;
			log_format Plain '$a ' "$b" c; log_format j escape=json '{"a":"$a"}';
			access_log /a.log; access_log a.log plain buffer=32k; access_log off; access_log syslog:server=h:1 j; access_log /a/$host.log; access_log stderr; }`)
	type log struct {
		Kind                LogKind
		Path, Format, Level string
	}
	flat := func(logs []Log) (all []log) {
		for _, l := range logs {
			all = append(all, log{l.Kind, l.Path, l.Format, l.Level})
		}
		return all
	}
	if diff := cmp.Diff([]log{
		{LogStderr, "stderr", "", "error"},
		{LogFile, "logs/e.log", "", "warn"},
		{LogSyslog, "syslog:server=h", "", "error"},
		{LogMemory, "memory:32m", "", "debug"},
		{LogFile, "off", "", "error"},
		{LogFile, "/e/$x", "", "error"},
	}, flat(c.ErrorLogs())); diff != "" {
		t.Errorf("error logs (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]log{
		{LogFile, "/a.log", "combined", ""},
		{LogFile, "a.log", "plain", ""},
		{LogOff, "off", "", ""},
		{LogSyslog, "syslog:server=h:1", "j", ""},
		{LogVariable, "/a/$host.log", "combined", ""},
		{LogFile, "stderr", "combined", ""},
	}, flat(c.AccessLogs())); diff != "" {
		t.Errorf("access logs (-want +got)\n%s", diff)
	}
	var formats []LogFormat
	for _, f := range c.LogFormats() {
		f.Directive = nil
		formats = append(formats, f)
	}
	if diff := cmp.Diff([]LogFormat{
		{Name: "Plain", Escape: "default", Format: "$a $bc"},
		{Name: "j", Escape: "json", Format: `{"a":"$a"}`},
	}, formats); diff != "" {
		t.Errorf("formats (-want +got)\n%s", diff)
	}
}

func TestListens(t *testing.T) {
	c := parsed(t, `http {
			upstream u { server listen:1; }
			server { listen 80; listen [::]:443 ssl http2 reuseport; listen unix:/s.sock proxy_protocol; listen 127.0.0.1 default_server; listen *:8000-8010; server_name a b; server_name c; }
			server { server_name d; }
			server { ssl on; http2 on; listen localhost:444; listen 445 quic; listen [::1]; }
		}
		stream { server { listen 53 udp; proxy_pass a:1; } }
		mail { server { listen 25; } }`)
	type listen struct {
		Context, Network, Host, Port string
		Flags                        string
	}
	var got []listen
	for _, l := range c.Listens() {
		flags := ""
		for _, f := range []struct {
			set  bool
			name string
		}{{l.Implicit, "implicit "}, {l.SSL, "ssl "}, {l.HTTP2, "http2 "}, {l.QUIC, "quic "}, {l.Reuseport, "reuseport "}, {l.ProxyProtocol, "proxy_protocol "}, {l.DefaultServer, "default "}} {
			if f.set {
				flags += f.name
			}
		}
		got = append(got, listen{l.Context, l.Network, l.Host, l.Port, flags})
	}
	if diff := cmp.Diff([]listen{
		{"http", "tcp", "*", "80", ""},
		{"http", "tcp", "::", "443", "ssl http2 reuseport "},
		{"http", "unix", "/s.sock", "", "proxy_protocol "},
		{"http", "tcp", "127.0.0.1", "80", "default "},
		{"http", "tcp", "*", "8000-8010", ""},
		{"http", "tcp", "*", "80", "implicit "},
		{"http", "tcp", "localhost", "444", "ssl http2 "},
		{"http", "udp", "*", "445", "ssl http2 quic "},
		{"http", "tcp", "::1", "80", "ssl http2 "},
		{"stream", "udp", "*", "53", ""},
		{"mail", "tcp", "*", "25", ""},
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, ServerNames(c.Listens()[0].Server)); diff != "" {
		t.Errorf("names %s", diff)
	}
}

func TestRelativePathsAndTheirBase(t *testing.T) {
	c := parsed(t, `pid run.pid; error_log stderr; error_log logs/e; load_module m.so; include abs/x; include /abs;
		http { root html; access_log off; access_log $host.log; access_log syslog:server=a;
			server { root /abs; ssl_certificate c.pem; ssl_certificate_key engine:x; ssl_certificate data:$a; proxy_ssl_certificate ""; proxy_ssl_trusted_certificate ca; auth_basic_user_file htpasswd; auth_basic_user_file $f; alias $a/b;
				location / { alias img/; content_by_lua_file l.lua; proxy_cache_path cache levels=1; proxy_temp_path tmp; } } map $a $b { root html; include map.d; } geoip_country g.dat; }`)
	type rel struct {
		Name, Value string
		Base        Base
	}
	var got []rel
	for _, p := range c.RelativePaths() {
		got = append(got, rel{p.Directive.Name, p.Value, p.Base})
	}
	if diff := cmp.Diff([]rel{
		{"pid", "run.pid", BasePrefix},
		{"error_log", "logs/e", BasePrefix},
		{"load_module", "m.so", BasePrefix},
		{"include", "abs/x", BaseConfPrefix},
		{"root", "html", BasePrefix},
		{"access_log", "$host.log", BasePrefix},
		{"ssl_certificate", "c.pem", BaseConfPrefix},
		{"proxy_ssl_trusted_certificate", "ca", BaseConfPrefix},
		{"auth_basic_user_file", "htpasswd", BaseConfPrefix},
		{"alias", "img/", BasePrefix},
		{"content_by_lua_file", "l.lua", BasePrefix},
		{"proxy_cache_path", "cache", BasePrefix},
		{"proxy_temp_path", "tmp", BasePrefix},
		{"include", "map.d", BaseConfPrefix},
		{"geoip_country", "g.dat", BaseWorkingDir},
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestHostnamesAreThoseResolvedAtStart(t *testing.T) {
	c := parsed(t, `error_log syslog:server=log.host:514,tag=x;
		http { upstream Backend { server app1:8080 weight=1; server 10.0.0.1; server unix:/s; server later resolve; server [::1]:80; }
			resolver dns.host 127.0.0.1 valid=30s; set_real_ip_from lb.host; set_real_ip_from 10.0.0.0/8; set_real_ip_from 2001:db8::1;
			server { listen a.host:80; listen 81; listen unix:/x; listen *:82;
				location / { proxy_pass http://backend/x; proxy_pass https://Web.Host:8443/a/$; proxy_pass http://$host; }
				location /a { proxy_pass HTTP://web.host; fastcgi_pass unix:/php; fastcgi_pass php.host:9000; uwsgi_pass uwsgi://u.host; grpc_pass grpcs://g.host:1; memcached_pass [::1]:2; proxy_pass http://unix:/s:/uri; } } }
		stream { upstream s { server s1:1; } server { listen 1; proxy_pass s; } server { listen 2; proxy_pass backend:3; } }
		mail { auth_http auth.host:80/x; }`)
	var got []string
	for _, h := range c.Hostnames() {
		got = append(got, h.Name)
	}
	if diff := cmp.Diff([]string{"log.host", "app1", "dns.host", "lb.host", "a.host", "web.host", "php.host", "u.host", "g.host", "s1", "backend", "auth.host"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
