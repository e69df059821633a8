package cli_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/probe"
)

// traffic is every kind of client at once, bounded in time and count.
type traffic struct {
	t     testing.TB
	ctx   context.Context
	stop  context.CancelFunc
	names []string
	loads []*probe.Running
}

func newTraffic(t testing.TB) *traffic {
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	return &traffic{t: t, ctx: ctx, stop: stop}
}

// heavy is the traffic of a busy host; each of its downloads takes 16 s and so spans all that comes before the last step.
func heavy(t testing.TB, inst *nginxtest.Instance) *traffic {
	tr := newTraffic(t)
	plain, tls := "http://"+inst.Addr("http"), "https://"+inst.Addr("https")
	tr.add("keep-alive", plain+"/", probe.Load{Mode: probe.KeepAlive, Clients: 4, Rate: 4000})
	tr.add("proxied", plain+"/app/x", probe.Load{Mode: probe.KeepAlive, Clients: 2, Rate: 1000})
	tr.add("new connections", plain+"/", probe.Load{Mode: probe.Connect, Clients: 2, Rate: 500})
	tr.add("HTTP/2", tls+"/", probe.Load{Mode: probe.HTTP2, Clients: 2, Rate: 1000})
	tr.add("TLS, new connections", tls+"/", probe.Load{Mode: probe.Connect, Clients: 1, Rate: 50})
	tr.add("unix socket", "http://unix:"+inst.Prefix+"/run/http.sock:/", probe.Load{Mode: probe.Connect, Clients: 1, Rate: 200})
	tr.add("idle keep-alive", plain+"/", probe.Load{Mode: probe.Idle, Clients: 8, Think: 700 * time.Millisecond})
	tr.add("slow download", plain+"/big", probe.Load{Mode: probe.Download, Clients: 2, BytesPerSecond: 4 << 20, Timeout: time.Minute})
	return tr
}

// light is enough to see a loss.
func light(t testing.TB, inst *nginxtest.Instance) *traffic {
	tr := newTraffic(t)
	plain := "http://" + inst.Addr("http")
	tr.add("keep-alive", plain+"/", probe.Load{Mode: probe.KeepAlive, Clients: 2, Rate: 200})
	tr.add("new connections", plain+"/", probe.Load{Mode: probe.Connect, Clients: 2, Rate: 200})
	tr.add("unix socket", "http://unix:"+inst.Prefix+"/run/http.sock:/", probe.Load{Mode: probe.Connect, Clients: 1, Rate: 50})
	return tr
}

func (tr *traffic) add(name, url string, l probe.Load) {
	tr.t.Helper()
	target, err := probe.ParseURL(url)
	if err != nil {
		tr.t.Fatal(err)
	}
	l.Target, l.Requests, l.Duration, l.UserAgent = target, 400_000, 90*time.Second, "client"
	running, err := probe.Start(tr.ctx, l)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.names, tr.loads = append(tr.names, name), append(tr.loads, running)
}

// warm waits until every client has been answered once. A slow download is answered when it ends.
func (tr *traffic) warm() {
	tr.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for i, l := range tr.loads {
		for tr.names[i] != "slow download" {
			if tally := l.Tally(); tally.Requests > 0 {
				break
			}
			if time.Now().After(deadline) {
				tr.t.Fatalf("%s: no answer within 20 s", tr.names[i])
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// requests is how many have ended so far.
func (tr *traffic) requests() (n int64) {
	for _, l := range tr.loads {
		tally := l.Tally()
		n += tally.Requests
	}
	return n
}

// reach waits until n requests have been made in all, so that a test keeps its word about their number.
func (tr *traffic) reach(n int64) {
	tr.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tr.requests() < n {
		if time.Now().After(deadline) {
			tr.t.Fatalf("%d requests within a minute, want %d", tr.requests(), n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// lostNothing ends the loads and checks that every kind of client was answered, every time.
func (tr *traffic) lostNothing() {
	tr.t.Helper()
	tr.stop()
	var all probe.Tally
	for i, l := range tr.loads {
		tally := l.Wait()
		text := fmt.Sprintf("%-22s %7d requests, %d lost, %d apart, %d of 5xx", tr.names[i], tally.Requests, tally.Lost(), tally.Apart(), tally.Errors5xx())
		tr.t.Log(text)
		if tally.Lost() > 0 || tally.Errors5xx() > 0 || tally.Requests == 0 {
			tr.t.Errorf("%s: %+v", text, tally.Failures)
		}
		all.Merge(tally)
	}
	tr.t.Logf("%-22s %7d requests, %d lost, %d apart", "all", all.Requests, all.Lost(), all.Apart())
}
