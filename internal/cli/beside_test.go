package cli_test

import (
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/probe"
)

// BenchmarkRehearseBesideLoad looks at what the clients of a loaded nginx notice of a rehearsal on the
// same cores: the time of their answers without one and during one, in turns, and what was lost. The
// goals are 0 lost, and ratios of 1 within the noise. Where all cores are taken by others it tells
// nothing; "idle-ratio" is how far the quiet turns differ among themselves.
func BenchmarkRehearseBesideLoad(b *testing.B) {
	h := newHost(b, nginxtest.Options{})
	plan := h.plan(nginxtest.Release(b, "1.26.3").Path)
	h.must(0, "rehearse", plan) // the first run reads the programs from disk
	var quiet, other, beside, all probe.Tally
	turn := func(into *probe.Tally, meanwhile func()) {
		tally := h.bounded(meanwhile)
		into.Merge(tally)
		all.Merge(tally)
	}
	for b.Loop() {
		var took time.Duration
		turn(&beside, func() { took = h.rehearsal(0, plan).Took })
		wait := func() { time.Sleep(took) } // a turn of the same length
		turn(&quiet, wait)
		turn(&other, wait)
	}
	if all.Lost() > 0 {
		b.Errorf("%d of %d requests were lost: %+v", all.Lost(), all.Requests, all.Failures)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, q := range []struct {
		name  string
		share float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		without, with := quiet.Latency.Quantile(q.share), beside.Latency.Quantile(q.share)
		b.ReportMetric(ms(without), q.name+"-ms")
		b.ReportMetric(ms(with), q.name+"-beside-ms")
		b.ReportMetric(float64(with)/float64(without), q.name+"-ratio")
		b.ReportMetric(float64(other.Latency.Quantile(q.share))/float64(without), q.name+"-idle-ratio")
	}
	b.ReportMetric(float64(all.Lost()), "lost")
	b.ReportMetric(float64(all.Requests), "requests")
	b.ReportMetric(0, "ns/op")
}

// bounded is the tally of 300 requests a second, half of them on new connections, for as long as
// something else takes.
func (h *host) bounded(meanwhile func()) (all probe.Tally) {
	h.t.Helper()
	tr := newTraffic(h.t)
	url := "http://" + h.inst.Addr("http") + "/"
	tr.add("keep-alive", url, probe.Load{Mode: probe.KeepAlive, Clients: 2, Rate: 150})
	tr.add("new connections", url, probe.Load{Mode: probe.Connect, Clients: 2, Rate: 150})
	tr.warm()
	meanwhile()
	tr.stop()
	for _, l := range tr.loads {
		all.Merge(l.Wait())
	}
	return all
}
