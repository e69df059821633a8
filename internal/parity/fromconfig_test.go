package parity

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestsOutOfTheConfiguration(t *testing.T) {
	s := newSite(t, preamble+`server { listen 127.0.0.1:8080; listen [::]:8081; listen unix:{{dir}}/s; server_name a.test; root {{dir}}/html;
location / { }
location = /exact { }
location ^~ /static/ { }
location ~ \.(gif|png)$ { }
location ~ ^/never$ { internal; }
location ~ ^/exact$ { }
location @named { }
location /out/ {
location ~ /in(?!x) { }
}
}
server { listen 127.0.0.1:8443 ssl http2 proxy_protocol; server_name "~^(www\.)?b\d+\.test$"; ssl_certificate cert.pem; ssl_certificate_key key.pem;
return 404;
location /x { }
}
server { listen 127.0.0.1:8080; server_name a.test; }
}`, map[string]string{"html/static/logo.svg": "x", "html/static/.hidden": "x", "html/static/big": ""})
	requests, left := FromConfig(s.source())
	var got []string
	for _, r := range requests {
		if r.Network == "unix" || r.Address == "[::1]:8081" {
			continue // the same as on the first socket
		}
		got = append(got, fmt.Sprintf("%s %s%s tls=%q %v %v at %d:%d", r.Address, r.Host, r.Target, r.SNI, r.HTTP2, r.ProxyProtocol, r.Server.Line, r.Location.Line))
	}
	if diff := cmp.Diff([]string{
		`127.0.0.1:8080 a.test/ tls="" false false at 4:5`,
		`127.0.0.1:8080 a.test/ tls="" false false at 4:5`,
		`127.0.0.1:8080 a.test/graft-parity tls="" false false at 4:5`,
		`127.0.0.1:8080 a.test/exact tls="" false false at 4:6`,
		`127.0.0.1:8080 a.test/static/ tls="" false false at 4:7`,
		`127.0.0.1:8080 a.test/static/logo.svg tls="" false false at 4:7`,
		`127.0.0.1:8080 a.test/.gif tls="" false false at 4:8`,
		`127.0.0.1:8080 a.test/out/in tls="" false false at 4:13`,
		`127.0.0.1:8080 a.test/out/ tls="" false false at 4:12`,
		`127.0.0.1:8080 a.test/out/graft-parity tls="" false false at 4:12`,
		`127.0.0.1:8443 www.b1.test/ tls="www.b1.test" false true at 16:16`,
		`127.0.0.1:8443 www.b1.test/ tls="www.b1.test" true true at 16:16`,
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var lines []int
	for _, l := range left {
		lines = append(lines, l.Where.Line)
	}
	if diff := cmp.Diff([]int{10, 20, 18}, lines); diff != "" {
		t.Errorf("left out (-want +got)\n%s\n%+v", diff, left)
	}
}

// Nothing that is asked twice in the same way is asked twice.
func TestNumbersAreGivenInOrderAndRepetitionsLeftOut(t *testing.T) {
	a, b := Request{Method: "GET", Target: "/a"}, Request{Method: "GET", Target: "/b"}
	got := Number([]Request{a, b}, []Request{b, a, {Method: "HEAD", Target: "/a"}})
	if len(got) != 3 || got[0].ID != 1 || got[2].ID != 3 || got[2].Method != "HEAD" {
		t.Errorf("%+v", got)
	}
}

func TestALargeConfigurationIsAskedLess(t *testing.T) {
	s := richSite(t, 150)
	src := s.source()
	all, _ := FromConfig(src)
	src.Max = len(all) - 1
	fewer, _ := FromConfig(src)
	src.Max = len(fewer) - 1
	some, _ := FromConfig(src)
	src.Max = len(some) - 1
	fewest, _ := FromConfig(src)
	if len(fewer) >= len(all) || len(some) >= len(fewer) || len(fewest) >= len(some) {
		t.Errorf("%d, %d, %d, %d", len(all), len(fewer), len(some), len(fewest))
	}
	if diff := cmp.Diff(placesOf(all), placesOf(fewest)); diff != "" {
		t.Errorf("places that are asked no more: %s", diff)
	}
}

func placesOf(requests []Request) map[string]bool {
	places := map[string]bool{}
	for _, r := range requests {
		places[r.Location.String()] = true
	}
	return places
}
