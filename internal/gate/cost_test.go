package gate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"graft/internal/accesslog"
	"graft/internal/nginx"
	"graft/internal/procfs"
)

// busyDays are two days of 100 requests a second on 4 servers with 30 places.
func busyDays() (*History, []accesslog.Record) {
	random := rand.New(rand.NewPCG(1, 2))
	var records []accesslog.Record
	s := newSurvey()
	for range 30_000 {
		r := accesslog.Record{
			Status: 200, PID: []int{oldWorker, newWorker}[random.IntN(2)], RequestTime: int32(random.ExpFloat64() * 50), UpstreamTime: int32(random.ExpFloat64() * 40),
			Target: fmt.Appendf(nil, "/place%d/%d", random.IntN(30), random.IntN(1000)), Host: fmt.Appendf(nil, "s%d.example.org", random.IntN(4)),
		}
		if random.IntN(500) == 0 {
			r.Status = 502
		}
		records = append(records, r)
		s.add("access.log", &r, 1)
	}
	now := time.Unix(1_790_000_000, 0)
	h := &History{Scopes: s.scopes(), Errors: newErrorHistory(), Until: now}
	for range h.Scopes.List {
		h.Series = append(h.Series, new(series))
	}
	sink := &historySink{r: &historyReader{h: h}, slow: h.Scopes.PerLog["access.log"]}
	for at := now.Add(-48 * time.Hour).Unix(); at < now.Unix(); at += blockSeconds {
		for range 100 {
			r := records[random.IntN(len(records))]
			r.Time = at
			sink.Add(&r)
		}
	}
	sink.flush()
	return h, records
}

// What it takes to learn from two days, once for each gate.
func BenchmarkLearn(b *testing.B) {
	h, _ := busyDays()
	for b.Loop() {
		newLive(Config{History: h}, h.Until).learn(h, 0)
	}
	b.ReportMetric(float64(len(h.Scopes.List)), "scopes")
}

// What a request costs beyond its line, under all tests: a second of 50,000 requests.
func BenchmarkLiveSecond(b *testing.B) {
	h, records := busyDays()
	l := newLive(Config{History: h}, h.Until)
	l.learn(h, 0)
	g := newGenerations(procfs.New("/nonexistent"), nginx.Process{PID: oldMaster}, nginx.Process{PID: newMaster})
	g.of[oldWorker], g.of[newWorker] = oldGeneration, newGeneration
	from, now := l.source("access.log"), h.Until
	for b.Loop() {
		for i := range 50_000 {
			r := &records[i%len(records)]
			r.Time = now.Unix()
			l.add(from, r, g.of[r.PID], now)
		}
		now = now.Add(time.Second)
		l.settle(now, g, true, func(int64, *cell, *cell, *cell) {})
	}
}

// What telling the findings costs, once a second at most.
func BenchmarkFindings(b *testing.B) {
	h, _ := busyDays()
	l := newLive(Config{History: h}, h.Until)
	l.learn(h, 0)
	for b.Loop() {
		l.findings()
	}
}

// What keeping the state costs, every ten seconds.
func BenchmarkState(b *testing.B) {
	h, _ := busyDays()
	w := &Watch{cfg: Config{History: h}, pids: newGenerations(procfs.New("/nonexistent"), nginx.Process{}, nginx.Process{}), live: newLive(Config{History: h}, h.Until), probes: &prober{}}
	w.live.learn(h, 0)
	w.errors, w.resources = newErrorLines(w.pids), newResources(w.pids.fs, nil, h)
	var size int
	for b.Loop() {
		data, err := json.Marshal(w.state(h.Until))
		if err != nil {
			b.Fatal(err)
		}
		size = len(data)
	}
	b.ReportMetric(float64(size), "bytes")
}
