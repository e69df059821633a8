package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/probe"
)

// Every protocol is asked for the whole of a migration, by clients of each kind and by the gates' own
// probes: nothing is lost but HTTP/3, of which both masters' workers read each other's packets.
func TestMigrateUnderProbesOfEveryProtocol(t *testing.T) {
	old := nginxtest.EveryProtocol(t)
	h := newHost(t, nginxtest.Options{Config: nginxtest.Protocols, Binary: old})
	h.inst.Peers(t)
	binary, err := os.ReadFile(old.Path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "nginx") // the same program as another file
	if err := os.WriteFile(other, append(binary, "graft"...), 0o755); err != nil {
		t.Fatal(err)
	}
	tr := newTraffic(t)
	for name, url := range h.inst.URLs() {
		if name == "HTTP/3" {
			continue
		}
		for _, mode := range []probe.Mode{probe.KeepAlive, probe.Connect} {
			target, err := probe.ParseURL(url)
			if err != nil {
				t.Fatal(err)
			}
			if target.Protocol == probe.OverTCP {
				target.Expect = "220 "
			}
			if name == "WebSocket, echo" {
				target.Send, target.Expect = "hello", "hello"
			}
			duration := time.Minute
			if target.Protocol == probe.OverWebSocket && mode == probe.KeepAlive {
				duration = 8 * time.Second // it keeps its old worker, and so the last step, waiting
			}
			running, err := probe.Start(tr.ctx, probe.Load{Target: target, Mode: mode, Rate: 50, Requests: 20_000, Duration: duration, UserAgent: "client"})
			if err != nil {
				t.Fatal(err)
			}
			tr.names, tr.loads = append(tr.names, name+", "+string(mode)), append(tr.loads, running)
		}
	}
	quic := newTraffic(t)
	quic.add("HTTP/3, connect", h.inst.URLs()["HTTP/3"], probe.Load{Mode: probe.Connect, Rate: 50, Timeout: time.Second})
	tr.warm()
	quic.warm()
	h.must(0, with("apply", h.plan(other))...)
	h.phase("finished")
	tr.lostNothing()
	h.eventually("HTTP/3 is answered again", func() bool {
		before := quic.loads[0].Tally()
		time.Sleep(100 * time.Millisecond)
		after := quic.loads[0].Tally()
		return after.Fates[probe.OK] >= before.Fates[probe.OK]+3 && after.Lost() == before.Lost()
	})
	quic.stop()
	tally := quic.loads[0].Wait()
	t.Logf("HTTP/3: %d requests, %d lost: %v", tally.Requests, tally.Lost(), tally.Fates)
}

func TestProbeCommandSpeaksEveryProtocol(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: nginxtest.Protocols, Binary: nginxtest.EveryProtocol(t)})
	inst.Peers(t)
	h := &host{t: t, state: t.TempDir(), inst: inst}
	var all []string
	for _, url := range inst.URLs() {
		all = append(all, url)
	}
	if r := h.must(0, append([]string{"probe", "-n", "3", "-H", "Host: site.example"}, without(all, "tcp://", "tls://")...)...); strings.Contains(r.stdout, "lost at") {
		t.Error(r)
	}
	if r := h.must(0, "probe", "-n", "3", "--expect", "220 ", "tcp://"+inst.Addr("tcp"), "tls://"+inst.Addr("tls")); strings.Contains(r.stdout, "status") || !strings.Contains(r.stdout, "latency") {
		t.Errorf("TCP has no status, and a latency: %s", r)
	}
	if r := h.must(1, "probe", "-n", "3", "--expect", "221 ", "tcp://"+inst.Addr("tcp")); strings.Contains(r.stdout, "latency") {
		t.Errorf("nothing was answered: %s", r)
	}
	h.must(2, "probe", "tcp://127.0.0.1:70000")
	h.probesGently()
	h.must(0, "probe", "-n", "3", "--send", "hello", "--expect", "hello", "--address", inst.Addr("https"), "wss://site.example/socket")
	h.must(1, "probe", "-n", "1", "grpc://"+inst.Addr("http")+"/broken.Service/Do")
	if r := h.must(1, "probe", "-n", "1", "ws://"+inst.Addr("http")+"/"); !strings.Contains(r.stdout, "instead of 101: no WebSocket is spoken there") {
		t.Errorf("a page passes for a WebSocket: %s", r)
	}
	h.must(2, "probe", "--expect", "x", "http://"+inst.Addr("http")+"/")
}

// probesGently looks that a graft probe that is given no rate is no load test, and that one can ask for it.
func (h *host) probesGently() {
	h.t.Helper()
	sent := func(args ...string) (n int64) {
		r := h.must(0, append(args, "-o", "json", "http://"+h.inst.Addr("http")+"/page.txt")...)
		var told struct {
			Targets []struct{ Tally struct{ Requests int64 } }
		}
		if err := json.Unmarshal([]byte(r.stdout), &told); err != nil || len(told.Targets) != 1 {
			h.t.Fatalf("%v in %s", err, r)
		}
		return told.Targets[0].Tally.Requests
	}
	const most = 50 + 4 // of a second, and each client's first
	if n := sent("probe", "-d", "1s", "-c", "4"); n == 0 || n > most {
		h.t.Errorf("%d requests in a second without --rate, want at most %d", n, most)
	}
	if n := sent("probe", "-n", "1000", "--rate", "0", "-d", "30s"); n != 1000 {
		h.t.Errorf("%d requests at full speed, want 1000", n)
	}
}

func without(urls []string, schemes ...string) (left []string) {
	for _, url := range urls {
		keep := true
		for _, s := range schemes {
			keep = keep && !strings.HasPrefix(url, s)
		}
		if keep {
			left = append(left, url)
		}
	}
	return left
}
