package parity

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// askBusy is ask after so many connections, which the server's counters tell.
func (s *site) askBusy(binary string, requests []Request, connections int) []Answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	stop, ok := s.start(ctx, binary, s.dir)
	if !ok {
		s.t.Fatal("nginx did not start")
	}
	defer stop()
	for range connections {
		c, err := net.Dial("tcp", "127.0.0.1:8080")
		if err != nil {
			s.t.Fatal(err)
		}
		defer c.Close()
	}
	// One worker takes connections in their order, so that it has these before the first request.
	return Client{Dial: dial, Parallel: 1}.Run(ctx, requests)
}

const statusSite = `server { listen 127.0.0.1:8080; server_name a.test;
location = /status { stub_status; }
location = /left { add_header X-Left $connections_active; return 200 "fixed 7\n"; }
location = /plain { return 200 "fixed 7\n"; }
} }
`

func TestCountersOfAStatusPageAreVolatile(t *testing.T) {
	s := newSite(t, strings.Replace(preamble, "worker_processes 2", "worker_processes 1", 1)+statusSite, nil)
	bin := nginxtest.Release(t, "1.22.1").Path
	passed, err := json.Marshal(s.requests()) // into the clone and back
	if err != nil {
		t.Fatal(err)
	}
	var requests []Request
	if err := json.Unmarshal(passed, &requests); err != nil {
		t.Fatal(err)
	}
	requests = slices.DeleteFunc(requests, func(r Request) bool { return r.Target == "/" })
	head := requests[0]
	head.Method = "HEAD"
	requests = Number(requests, []Request{head})
	old, new := s.askBusy(bin, requests, 0), s.askBusy(bin, requests, 120)
	if string(old[0].Body) == string(new[0].Body) || old[3].Header("Content-Length") == new[3].Header("Content-Length") {
		t.Fatalf("the counters do not differ: %q", old[0].Body)
	}
	// By chance the old binary's counters are the same when it is asked again.
	report := Compare(requests, old, new, old)
	expect(t, report, Volatile, "body", 5)
	expect(t, report, Volatile, "header X-Left", 6)
	if !report.Green() || report.Volatile != 3 || report.Suspicious != 0 {
		t.Errorf("%s\n%s", report.Summary(), groups(report))
	}
	file := s.dir + "/conf/nginx.conf"
	if got, want := text(t, report), "volatile: 2 requests at "+file+":5 (counters), 1 request at "+file+":6 (counters)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := report.Summary(); got != "3 volatile, 1 alike" {
		t.Error(got)
	}

	// The words of the page are compared, and numbers elsewhere.
	for i, c := range []struct{ from, to string }{{"Waiting", "Idle"}, {"fixed 7", "fixed 8"}, {"fixed 7", "fixed 8"}} {
		changed := slices.Clone(new)
		changed[i].Body = []byte(strings.Replace(string(new[i].Body), c.from, c.to, 1))
		changed[i].SHA256 = "another"
		r := Compare(requests, old, changed, old)
		expect(t, r, Breaking, "body", 5+i)
		if r.Breaking != 1 || r.Green() {
			t.Errorf("%s → %s: %s", c.from, c.to, r.Summary())
		}
	}
}

func TestWhereAConfigurationHasCountersTold(t *testing.T) {
	s := newSite(t, preamble+`add_header X-Request-ID $request_id;
server { listen 127.0.0.1:8080; server_name a.test;
location /inherits/ { root html; }
location /replaces/ { add_header X-A b; return 302 /to?at=${msec}; }
location /body/ { add_header X-A $connection_upgrade; sub_filter a "$connection_requests"; }
location /if/ { add_header X-A b; if ($arg_x) { return 200 $pid; } }
location /page/ { add_header X-A b; stub_status; }
}
server { listen 127.0.0.1:8080; server_name b.test; add_header X-A b; location / { return 200 "status $request_id_of_mine"; } }
}`, nil)
	got := map[string]string{}
	for _, r := range s.requests() {
		got[r.Host+r.Target] = strings.Join(r.Counters, " ")
	}
	for target, want := range map[string]string{
		"a.test/inherits/": "x-request-id", "a.test/replaces/": "location (body)", "a.test/body/": "(body)", "a.test/if/": "location (body)", "a.test/page/": "(body)", "b.test/": ""} {
		if parts, ok := got[target]; !ok || parts != want {
			t.Errorf("%s: %q, want %q", target, got[target], want)
		}
	}
}

func TestSampledRequestsTellOfCounters(t *testing.T) {
	s := newSite(t, `events { } http { access_log {{dir}}/a.log;
`+statusSite, map[string]string{"a.log": `127.0.0.1 - - [24/Nov/2026:22:13:02 +0000] "GET /status HTTP/1.1" 200 97 "-" "c"` + "\n"})
	sampled, err := Sample(t.Context(), s.source())
	if err != nil || len(sampled.Requests) != 1 || !slices.Equal(sampled.Requests[0].Counters, []string{BodyCounts}) {
		t.Errorf("%v %+v", err, sampled)
	}
}

func TestWhatIsACount(t *testing.T) {
	for pair, want := range map[string]bool{"6 14": true, "1.5 20.25": true, "0a1f 1b": true, "a b": false, "added face": false,
		"6 none": false, "v1 v2": false, "0123456789abcdef0123456789abcdef 1123456789abcdef0123456789abcdef": true} {
		o, n, _ := strings.Cut(pair, " ")
		if counts(o, n) != want {
			t.Errorf("%s: %v", pair, !want)
		}
	}
}
