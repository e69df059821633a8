package probe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graft/internal/probe"
)

func TestALoadThatIsRefused(t *testing.T) {
	good := probe.Load{Target: target(t, "http://127.0.0.1:1/"), Mode: probe.KeepAlive, Requests: 1}
	for _, test := range []struct {
		change func(*probe.Load)
		want   string
	}{
		{func(l *probe.Load) { *l = probe.Load{} }, "target"},
		{func(l *probe.Load) { l.Target.Network = "udp" }, "neither tcp nor unix"},
		{func(l *probe.Load) { l.Target.Address = "" }, "no address"},
		{func(l *probe.Load) { l.Mode = "" }, "unknown mode"},
		{func(l *probe.Load) { l.Requests = 0 }, "unbounded"},
		{func(l *probe.Load) { l.Rate = -1 }, "negative"},
		{func(l *probe.Load) { l.Clients = 1_000_000 }, "at most"},
		{func(l *probe.Load) { l.Mode = probe.Idle }, "pause"},
		{func(l *probe.Load) { l.Mode = probe.Download }, "bytes to read"},
		{func(l *probe.Load) { l.BytesPerSecond = 1 }, "full speed"},
		{func(l *probe.Load) { l.Mode = probe.HTTP2 }, "needs https"},
		{func(l *probe.Load) { l.UserAgent = "a\r\nX: b" }, "line break"},
		{func(l *probe.Load) { l.Target.Host = "a\r\nX: b" }, "line break"},
		{func(l *probe.Load) { l.Target.Path = "" }, "slash"},
	} {
		l := good
		test.change(&l)
		if _, err := probe.Run(t.Context(), l); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v; want %q", err, test.want)
		}
	}
}

func TestBoundsOfALoad(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	play(t, l, func(c *peer, _ int) {
		for c.request() {
			c.say(whole)
		}
	})
	to := target(t, "http://"+l.Addr().String()+"/")
	t.Run("requests, over all clients", func(t *testing.T) {
		tally := run(t, probe.Load{Target: to, Mode: probe.KeepAlive, Clients: 7, Requests: 1000})
		if tally.Requests != 1000 || tally.Fates[probe.OK] != 1000 || tally.Bytes != 5000 || tally.Connections > 7 {
			t.Errorf("%+v", tally)
		}
	})
	t.Run("duration", func(t *testing.T) {
		tally := run(t, probe.Load{Target: to, Mode: probe.KeepAlive, Duration: 100 * time.Millisecond})
		if took := tally.End.Sub(tally.Start); took > 5*time.Second || tally.Requests == 0 {
			t.Errorf("%d requests in %v", tally.Requests, took)
		}
	})
	t.Run("rate, over all clients", func(t *testing.T) {
		tally := run(t, probe.Load{Target: to, Mode: probe.KeepAlive, Clients: 4, Rate: 200, Duration: 500 * time.Millisecond})
		if tally.Requests > 100+4 || tally.Requests < 10 {
			t.Errorf("%d requests in half a second at 200 per second", tally.Requests)
		}
	})
	t.Run("a context that is done", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		tally, err := probe.Run(ctx, probe.Load{Target: to, Mode: probe.KeepAlive, Requests: 10})
		if err != nil || tally.Requests != 0 {
			t.Errorf("%d requests, %v", tally.Requests, err)
		}
	})
}

// TestAStoppedLoadFinishesWhatItBegan: cutting a request off would put 499 into the very logs that
// the gates read.
func TestAStoppedLoadFinishesWhatItBegan(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	asked, stopped := make(chan struct{}), make(chan struct{})
	play(t, l, func(c *peer, _ int) {
		c.request()
		close(asked)
		<-stopped
		c.say(whole)
	})
	ctx, cancel := context.WithCancel(t.Context())
	running, err := probe.Start(ctx, probe.Load{Target: target(t, "http://"+l.Addr().String()+"/"), Mode: probe.KeepAlive, Duration: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	cancel()
	close(stopped)
	if tally := running.Wait(); tally.Requests != 1 || tally.Fates[probe.OK] != 1 {
		t.Errorf("%v %v", tally.Fates, tally.Failures)
	}
}

func TestASlowDownloadSpansTheLoadAndEndsWhole(t *testing.T) {
	const size = 8 << 20
	l := listen(t, "tcp", "127.0.0.1:0")
	play(t, l, func(c *peer, _ int) {
		c.request()
		c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", size))
		c.say(strings.Repeat("x", size))
	})
	tally := run(t, probe.Load{
		Target: target(t, "http://"+l.Addr().String()+"/"), Mode: probe.Download, Clients: 2,
		BytesPerSecond: 1 << 20, Duration: 300 * time.Millisecond, Timeout: 5 * time.Second,
	})
	// At a megabyte a second, eight of them would take eight seconds.
	if tally.Fates[probe.OK] != 2 || tally.Requests != 2 || tally.Bytes != 2*size || tally.Latency.Max() < 300*time.Millisecond {
		t.Errorf("%v, %d bytes, %v: %v", tally.Fates, tally.Bytes, tally.Latency.Max(), tally.Failures)
	}
}

func TestASlowReaderIsSlow(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	play(t, l, func(c *peer, _ int) {
		c.request()
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 500000\r\nConnection: close\r\n\r\n" + strings.Repeat("x", 500_000))
	})
	tally := run(t, probe.Load{Target: target(t, "http://"+l.Addr().String()+"/"), Mode: probe.Download, BytesPerSecond: 1_000_000, Requests: 1})
	if took := tally.Latency.Max(); tally.Fates[probe.OK] != 1 || took < 400*time.Millisecond {
		t.Errorf("%v in %v", tally.Fates, took)
	}
}

// TestASlowReaderTimesOutOnlyWithoutProgress: its timeout is one of each read.
func TestASlowReaderTimesOutOnlyWithoutProgress(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	play(t, l, func(c *peer, number int) {
		c.request()
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\nConnection: close\r\n\r\n" + strings.Repeat("x", 50_000))
		if number == 1 {
			c.say(strings.Repeat("x", 10_000))
		} else {
			c.silence()
		}
	})
	tally := run(t, probe.Load{
		Target: target(t, "http://"+l.Addr().String()+"/"), Mode: probe.Download, BytesPerSecond: 100_000, Requests: 2, Timeout: 200 * time.Millisecond,
	})
	if tally.Fates[probe.OK] != 1 || tally.Fates[probe.Timeout] != 1 {
		t.Errorf("%v %v", tally.Fates, tally.Failures)
	}
}

func TestIdleClientsPauseAndSendAgainAtOnce(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	var connections atomic.Int64
	play(t, l, func(c *peer, _ int) { // closes while the client pauses
		connections.Add(1)
		c.request()
		c.say(whole)
	})
	tally := run(t, probe.Load{Target: target(t, "http://"+l.Addr().String()+"/"), Mode: probe.Idle, Think: 20 * time.Millisecond, Requests: 5})
	// Answered, closed while idle, sent again, …
	if tally.Fates[probe.OK] != 3 || tally.Apart() != 2 || tally.Lost() != 0 || connections.Load() != 3 {
		t.Errorf("%v on %d connections: %v", tally.Fates, connections.Load(), tally.Failures)
	}
	if took := tally.End.Sub(tally.Start); took < 2*20*time.Millisecond {
		t.Errorf("two pauses of 20 ms took %v", took)
	}
}

func TestTallyOfTwoServersOneAfterTheOther(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	var asked atomic.Int64
	play(t, l, func(c *peer, _ int) {
		for c.request() {
			server, status := "nginx/1.22.1", http.StatusOK
			if asked.Add(1) > 30 {
				server, status = "openresty/1.27.1", http.StatusBadGateway
			}
			c.say(fmt.Sprintf("HTTP/1.1 %d x\r\nServer: %s\r\nContent-Length: 0\r\n\r\n", status, server))
		}
	})
	tally := run(t, probe.Load{Target: target(t, "http://"+l.Addr().String()+"/"), Mode: probe.KeepAlive, Clients: 3, Requests: 100})
	if len(tally.Servers) != 2 {
		t.Fatalf("%+v", tally.Servers)
	}
	old, new := tally.Servers[0], tally.Servers[1]
	if old.Name != "nginx/1.22.1" || old.Count != 30 || new.Name != "openresty/1.27.1" || new.Count != 70 {
		t.Errorf("%+v", tally.Servers)
	}
	if !new.First.After(old.First) || old.Last.Before(old.First) || new.Last.Before(new.First) {
		t.Errorf("times: %+v", tally.Servers)
	}
	if tally.Errors5xx() != 70 || tally.Lost() != 0 || tally.Status[200] != 30 {
		t.Errorf("5xx %d, lost %d, %v", tally.Errors5xx(), tally.Lost(), tally.Status)
	}
}

func TestTallyAsJSON(t *testing.T) {
	text, err := json.Marshal(probe.Tally{
		Requests: 6,
		Fates:    map[probe.Fate]int64{probe.OK: 3, probe.EOFIdle: 2, probe.Refused: 1},
		Status:   map[int]int64{200: 2, 502: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"requests": "6", "lost": "1", "apart": "2", "errors_5xx": "1",
		"fates": "map[eof_idle:2 ok:3 refused:1]", "status": "map[200:2 502:1]",
		"servers": "[]", "failures": "[]", "latency": "map[max_us:0 p50_us:0 p99_us:0]",
	} {
		if is := fmt.Sprint(got[key]); is != want {
			t.Errorf("%s: %s; want %s", key, is, want)
		}
	}
}
