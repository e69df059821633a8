package stub_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginx/conf"
	"graft/internal/stub"
)

func find(t *testing.T, text string) stub.Upstreams {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nginx.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := conf.Load(conf.Options{File: path})
	if err != nil {
		t.Fatal(err)
	}
	return stub.Find(c, stub.Host{
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("fd00::7")},
		Names:     map[string][]netip.Addr{"this.example": {netip.MustParseAddr("127.0.1.1")}, "db.example": {netip.MustParseAddr("10.4.4.4")}},
	})
}

func out(network, port string, p stub.Protocol) stub.Endpoint {
	return stub.Endpoint{Network: network, Address: "0.0.0.0:" + port, Protocol: p, Outside: true}
}

func in(network, address string, p stub.Protocol) stub.Endpoint {
	return stub.Endpoint{Network: network, Address: address, Protocol: p}
}

func TestUpstreamsAreFound(t *testing.T) {
	for _, tt := range []struct {
		name, conf string
		want       []stub.Endpoint
	}{
		{"schemes have their ports", `http { server {
			location /a { proxy_pass http://10.0.0.1; } location /b { proxy_pass https://10.0.0.1/x; }
			location /c { grpc_pass 10.0.0.1; } location /d { grpc_pass grpcs://10.0.0.1; } location /e { proxy_pass http://[2001:db8::1]:8080/; } } }`,
			[]stub.Endpoint{out("tcp", "80", stub.HTTP), out("tcp", "443", stub.HTTP), out("tcp", "80", stub.HTTP2), out("tcp", "443", stub.HTTP2), out("tcp", "8080", stub.HTTP)}},
		{"an upstream block's servers, each as its users speak", `http {
			upstream A { server 10.0.0.1; server 10.0.0.2:81 backup; server 10.0.0.3:82 down; server unix:/run/a.sock; server late.example:83 resolve; }
			server { location / { proxy_pass https://a; } location /f { fastcgi_pass a; } } }`,
			[]stub.Endpoint{
				out("tcp", "80", stub.HTTP), out("tcp", "81", stub.HTTP), out("tcp", "82", stub.HTTP), in("unix", "/run/a.sock", stub.HTTP), out("tcp", "83", stub.HTTP),
				out("tcp", "80", stub.FastCGI), out("tcp", "81", stub.FastCGI), out("tcp", "82", stub.FastCGI), in("unix", "/run/a.sock", stub.FastCGI), out("tcp", "83", stub.FastCGI)}},
		{"a block that only variables name", `http { upstream x { server 10.0.0.1:90; } server { location / { proxy_pass http://$x; } } }`,
			[]stub.Endpoint{out("tcp", "80", stub.HTTP), out("tcp", "90", stub.HTTP)}},
		{"what is written out beside variables", `http { server { location / { proxy_pass $scheme://$host; } location /p { proxy_pass http://$host:8443/x$uri; } } }`,
			[]stub.Endpoint{out("tcp", "443", stub.HTTP), out("tcp", "80", stub.HTTP), out("tcp", "8443", stub.HTTP)}},
		{"loopback, the host's own and its names are inside", `http { server { listen 81;
			location /a { proxy_pass http://127.0.0.1:3000; } location /b { proxy_pass http://[::1]:3000; } location /c { proxy_pass http://192.0.2.7:3001; }
			location /d { proxy_pass http://localhost:3002; } location /e { proxy_pass http://this.example:3003; } location /f { proxy_pass http://db.example:3004; } } }`,
			[]stub.Endpoint{in("tcp", "127.0.0.1:3000", stub.HTTP), in("tcp", "[::1]:3000", stub.HTTP), in("tcp", "192.0.2.7:3001", stub.HTTP),
				in("tcp", "127.0.0.1:3002", stub.HTTP), in("tcp", "[::1]:3002", stub.HTTP), in("tcp", "127.0.1.1:3003", stub.HTTP), out("tcp", "3004", stub.HTTP)}},
		{"not what nginx itself answers", `http { server { listen 8080; listen 127.0.0.1:8081; listen 8090-8092; listen unix:/run/own.sock;
			location /a { proxy_pass http://127.0.0.1:8080; } location /b { proxy_pass http://127.0.0.1:8081; } location /c { proxy_pass http://127.0.0.2:8081; }
			location /d { proxy_pass http://192.0.2.7:8091; } location /e { proxy_pass http://unix:/run/own.sock:/x; } location /f { proxy_pass http://10.0.0.1:8080; } } }`,
			[]stub.Endpoint{in("tcp", "127.0.0.2:8081", stub.HTTP), out("tcp", "8080", stub.HTTP)}},
		{"the other protocols", `http { server {
			location /a { fastcgi_pass unix:/run/php/fpm.sock; } location /b { uwsgi_pass uwsgi://10.0.0.1:3031; } location /c { scgi_pass 10.0.0.1:4000; }
			location /d { memcached_pass 10.0.0.1:11211; } } }`,
			[]stub.Endpoint{in("unix", "/run/php/fpm.sock", stub.FastCGI), out("tcp", "3031", stub.UWSGI), out("tcp", "4000", stub.SCGI), out("tcp", "11211", stub.Memcached)}},
		{"streams, by their listeners", `stream { upstream dns { server 10.0.0.1:53; server 10.0.0.2:53; } upstream db { server 10.0.0.3:5432; }
			server { listen 53 udp; listen 53; proxy_pass dns; } server { listen 5432; proxy_pass db; } }`,
			[]stub.Endpoint{out("udp", "53", stub.UDP), out("udp", "53", stub.DNS), out("tcp", "53", stub.TCP), out("tcp", "5432", stub.TCP)}},
		{"mail", `mail { auth_http http://10.0.0.1:9000/auth; server { listen 25; protocol smtp; } }`,
			[]stub.Endpoint{out("tcp", "9000", stub.MailAuth)}},
		{"what nginx asks and tells", `error_log syslog:server=10.0.0.1; http { access_log syslog:server=unix:/dev/log,tag=x; resolver 10.0.0.2 [2001:db8::2]:5353 127.0.0.53 valid=10s;
			ssl_stapling on; ssl_stapling_responder http://ocsp.example:2560/; }`,
			[]stub.Endpoint{out("udp", "514", stub.Syslog), in("unixgram", "/dev/log", stub.Syslog), out("udp", "53", stub.DNS), out("udp", "5353", stub.DNS),
				in("udp", "127.0.0.53:53", stub.DNS), out("tcp", "80", stub.HTTP), out("tcp", "2560", stub.HTTP)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, find(t, tt.conf).Endpoints); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNamesThatHaveNoAddressGetOne(t *testing.T) {
	got := find(t, `http { upstream x { server one.example; server ONE.example:81; server db.example; server late.example resolve; }
		server { listen here.example:80; location / { proxy_pass http://two.example; } location /x { proxy_pass http://x; } location /l { proxy_pass http://localhost:1; } } }`)
	here := stub.Address("here.example").As4()
	here[0] = 127
	want := []string{
		stub.Address("one.example").String() + " one.example",
		netip.AddrFrom4(here).String() + " here.example",
		stub.Address("two.example").String() + " two.example",
	}
	if diff := cmp.Diff(want, got.Hosts); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"one.example", "two.example", "a", "b", "c"} {
		if a := stub.Address(name); !netip.MustParsePrefix("198.18.0.0/15").Contains(a) || a != stub.Address(name+".") {
			t.Errorf("%s: %s", name, a)
		}
	}
}

func TestWhatOnlyARequestDecidesIsTold(t *testing.T) {
	got := find(t, `http { server {
		location /a { proxy_pass http://10.0.0.1; }
		location /b { proxy_pass http://$backend; }
		location /c { fastcgi_pass $pool; }
		location /d { proxy_pass http://unix:/run/$name.sock; } } }`)
	var lines []int
	for _, d := range got.Unknown {
		lines = append(lines, d.Line)
	}
	if diff := cmp.Diff([]int{3, 4, 5}, lines); diff != "" {
		t.Error(diff)
	}
}

func TestHostsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	text := "127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # both\n# 10.0.0.1 no\nnonsense x\n10.0.0.2 Db.Example db\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := stub.ReadHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddr
	want := map[string][]netip.Addr{"localhost": {a("127.0.0.1"), a("::1")}, "ip6-localhost": {a("::1")}, "db.example": {a("10.0.0.2")}, "db": {a("10.0.0.2")}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if got, err := stub.ReadHosts(path + ".missing"); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestServersOfOneBlockAreAPool(t *testing.T) {
	pools := find(t, `http {
		upstream one { server 10.0.0.1; }
		upstream two { server 10.0.0.1:8080; server backend.example:81 weight=5; server unix:/run/two.sock backup; }
		upstream three { server 10.0.0.1:8080; server 10.0.0.3:80; }
		server { listen 80; location / { proxy_pass http://two; } }
	}`).Pools
	want := map[string]string{
		"10.0.0.1:8080": "upstream two or three",
		net.JoinHostPort(stub.Address("backend.example").String(), "81"):  "upstream two",
		net.JoinHostPort(stub.Address6("backend.example").String(), "81"): "upstream two",
		"/run/two.sock": "upstream two",
		"10.0.0.3:80":   "upstream three",
	}
	if diff := cmp.Diff(want, pools); diff != "" {
		t.Errorf("pools (-want +got)\n%s", diff)
	}
}
