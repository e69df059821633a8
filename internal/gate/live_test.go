package gate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
	"graft/internal/nginx"
	"graft/internal/procfs"
)

// traffic feeds a live comparison with requests of made-up workers.
type traffic struct {
	l    *live
	pids *generations
	now  time.Time
}

// newTraffic knows of places that were asked for in equal parts before.
func newTraffic(names ...string) *traffic {
	s := newSurvey()
	for i := range 300 * len(names) {
		s.add("access.log", &accesslog.Record{Status: 200, RequestTime: int32(1 + i%100), UpstreamTime: -1, Target: []byte(names[i%len(names)] + "x")}, 1)
	}
	now := time.Unix(1_790_000_000, 0)
	h := &History{Scopes: s.scopes(), Errors: newErrorHistory(), Until: now}
	for range h.Scopes.List {
		h.Series = append(h.Series, new(series))
	}
	g := newGenerations(procfs.New("/nonexistent"), nginx.Process{PID: oldMaster}, nginx.Process{PID: newMaster})
	g.of[oldWorker], g.of[newWorker] = oldGeneration, newGeneration
	return &traffic{newLive(Config{History: h}, now), g, now}
}

func (r *traffic) request(pid, status int, uri string) {
	rec := &accesslog.Record{Time: r.now.Unix(), Status: status, PID: pid, RequestTime: 50, UpstreamTime: -1, Target: []byte(uri)}
	r.l.add(r.l.source("access.log"), rec, r.pids.of[pid], r.now)
}

func (r *traffic) second() {
	r.now = r.now.Add(time.Second)
	r.l.settle(r.now, r.pids, true, func(int64, *cell, *cell, *cell) {})
}

func (r *traffic) alarms() (list []analysis.Finding) {
	for _, f := range r.l.findings() {
		if f.State == analysis.Alarm {
			list = append(list, f)
		}
	}
	return list
}

// Old workers serve mostly what fails often, new ones mostly what never does, and the other way round: the
// binaries are the same.
func TestUnlikeTrafficIsComparedKindByKind(t *testing.T) {
	for _, turned := range []bool{false, true} {
		random := rand.New(rand.NewPCG(9, 10))
		r, served := newTraffic("/good/", "/bad/"), analysis.Count{}
		for range 120 {
			for range 100 {
				pid, uri, status := oldWorker, "/bad/x", 200
				if random.IntN(2) == 0 {
					pid = newWorker
				}
				if (random.IntN(10) < 9) == (pid == newWorker) != turned {
					uri = "/good/x"
				} else if random.IntN(5) == 0 {
					status = 500
				}
				if pid == newWorker {
					served.Total++
					served.Bad += int64(status / 500)
				}
				r.request(pid, status, uri)
			}
			r.second()
		}
		if a := r.alarms(); len(a) > 0 {
			t.Errorf("turned %v: %+v", turned, a)
		}
		for range 2 { // what is open is closed by what comes later
			for range 20 {
				r.second()
			}
			r.request(oldWorker, 200, "/good/x")
			r.request(oldWorker, 200, "/bad/x")
		}
		for range 5 {
			r.second()
		}
		for _, f := range r.l.comparisons[0].findings() {
			if f.Signal == analysis.Errors5xx && f.Test == analysis.Concurrent && (f.After != served || f.Before.Total != 120*100+2-served.Total) {
				t.Errorf("%+v by new workers of 12,002: %s", served, f.Words)
			}
		}
		words := r.l.mix.words(r.l.scopes)
		if !strings.Contains(words, "these are of different kinds") || !strings.Contains(words, "they are compared kind by kind") {
			t.Error(words)
		}
	}
}

func TestOneBrokenPlaceIsNamed(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	r := newTraffic("/shop/", "/cart/", "/img/")
	seconds := 0
	for ; len(r.alarms()) == 0 && seconds < 120; seconds++ {
		for range 50 {
			pid, uri, status := oldWorker, "/shop/x", 200
			if random.IntN(2) == 0 {
				pid = newWorker
			}
			if random.IntN(50) == 0 {
				uri = "/cart/x"
				if pid == newWorker {
					status = 500
				}
			}
			r.request(pid, status, uri)
		}
		r.second()
	}
	a := r.alarms()
	if len(a) == 0 || a[0].Signal != analysis.Errors5xx || a[0].Test != analysis.Concurrent {
		t.Fatalf("after %d s: %+v", seconds, a)
	}
	if !slices.ContainsFunc(r.l.findings(), func(f analysis.Finding) bool { return f.Scope == "/cart/x" && f.Evidence > 100 }) {
		t.Errorf("the place is not named: %+v", r.l.findings())
	}
	t.Logf("found after %d s: %s", seconds, a[0].Words)
}

// Equal binaries, however unevenly their workers are given connections.
func TestEqualBinariesSeldomAlarm(t *testing.T) {
	alarms := 0
	const runs = 60
	for run := range uint64(runs) {
		random := rand.New(rand.NewPCG(13, run))
		r := newTraffic("/a/", "/b/", "/c/", "/d/")
		share := 0.1 + 0.8*random.Float64()
		for range 60 {
			level := 0.02 * random.ExpFloat64() // common noise
			for range 60 {
				pid, status := oldWorker, 200
				if random.Float64() < share {
					pid = newWorker
				}
				if random.Float64() < level {
					status = 500
				}
				r.request(pid, status, fmt.Sprintf("/%c/x", 'a'+random.IntN(4)))
			}
			r.second()
		}
		if len(r.alarms()) > 0 {
			alarms++
		}
	}
	if alarms > 2 {
		t.Errorf("%d of %d", alarms, runs)
	}
}

func TestEachRequestIsCountedOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 15))
	r := newTraffic("/a/", "/b/")
	var sent, counted [3]int64
	done := func(_ int64, old, young, nobody *cell) {
		counted[oldGeneration] += int64(old.Requests)
		counted[newGeneration] += int64(young.Requests)
		counted[unknown] += int64(nobody.Requests)
	}
	for range 300 {
		for range random.IntN(20) {
			pid := []int{0, oldWorker, newWorker, 77}[random.IntN(4)]
			rec := &accesslog.Record{
				Time: r.now.Unix() - int64(random.IntN(40)) + int64(random.IntN(5)), Status: 200, PID: pid, RequestTime: -1, UpstreamTime: -1, Target: []byte("/a/x"),
			}
			if random.IntN(20) == 0 {
				rec.Time = 0
			}
			r.l.add(source{}, rec, r.pids.of[pid], r.now)
			switch pid {
			case 77: // becomes known before its second is over
				sent[newGeneration]++
			default:
				sent[r.pids.of[pid]]++
			}
		}
		r.pids.of[77] = newGeneration
		r.now = r.now.Add(time.Second)
		r.l.settle(r.now, r.pids, true, done)
		delete(r.pids.of, 77)
		if random.IntN(50) == 0 {
			r.now = r.now.Add(100 * time.Second) // nobody looked
		}
	}
	r.pids.of[77] = newGeneration
	r.l.until(r.now.Unix()+10, r.pids, true, done)
	if counted != sent {
		t.Errorf("counted %v, sent %v", counted, sent)
	}
}

func TestWhatComesInABlackoutIsNotCompared(t *testing.T) {
	r := newTraffic("/a/", "/b/")
	r.l.blackout = analysis.Calendar{{Name: "always"}} // from midnight to midnight
	for range 60 {
		for range 50 {
			r.request(newWorker, 500, "/a/x")
			r.request(oldWorker, 200, "/a/x")
		}
		r.second()
	}
	if a := r.alarms(); len(a) > 0 {
		t.Errorf("%+v", a)
	}
}
