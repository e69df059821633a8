package gate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// withDays is traffic whose two days before had 5xx in one of a thousand requests.
func withDays(names ...string) *traffic {
	r := newTraffic(names...)
	r.l = newLive(Config{History: daysBefore(r)}, r.now)
	return r
}

func daysBefore(r *traffic) *History {
	random := rand.New(rand.NewPCG(17, 18))
	h := &History{Scopes: r.l.scopes, Errors: newErrorHistory(), Until: r.now}
	for range h.Scopes.List {
		h.Series = append(h.Series, new(series))
	}
	for block := r.now.Add(-48*time.Hour).Unix() / blockSeconds; block < r.now.Unix()/blockSeconds; block++ {
		var c cell
		for range 100 {
			c.Requests++
			if random.IntN(1000) == 0 {
				c.Bad[at5xx]++
			}
		}
		h.Series[0].add(block, &c)
	}
	return h
}

// Where no log has $pid the generations are never compared: nothing is said of that, and the time before has all of α.
func TestWithoutPIDAllOfAlphaGoesToTheTimeBefore(t *testing.T) {
	r := newTraffic("/a/")
	needed := map[bool]float64{}
	for _, pid := range []bool{false, true} {
		format := accesslog.Combined()
		if pid {
			var err error
			if format, err = accesslog.Compile("$status $pid", ""); err != nil {
				t.Fatal(err)
			}
		}
		h := daysBefore(r)
		l := newLive(Config{History: h, Logs: Logs{Access: []AccessLog{{Path: "a.log", Formats: accesslog.Formats{format}}}}}, r.now)
		l.learn(h, 0)
		together := 0
		for _, f := range l.comparisons[0].findings() {
			if f.Test == analysis.Concurrent {
				together++
			}
			if f.Test == analysis.Sequential && f.Signal == analysis.Errors5xx {
				needed[pid] = f.Needed
			}
		}
		if (together > 0) != pid {
			t.Errorf("$pid %v: %d comparisons of the generations", pid, together)
		}
		saved := l.comparisons[0].save()
		again := newComparison(l.scopes.List[0], true, 0.01, func(analysis.Signal) float64 { return 0 }, true)
		if again.restore(saved); again.apart != pid {
			t.Errorf("$pid %v: restored it is %v", pid, again.apart)
		}
	}
	if math.Abs(needed[true]/needed[false]-2) > 1e-9 {
		t.Errorf("evidence needed: %v", needed)
	}
}

// An upstream fails one request in five, whoever asks it.
func TestWhatTroublesBothGenerationsIsNoFaultOfTheNew(t *testing.T) {
	for name, newAlone := range map[string]bool{"both": false, "the new one": true} {
		random := rand.New(rand.NewPCG(19, 20))
		r := withDays("/a/")
		told := 0
		for range 60 {
			for range 40 {
				pid, status := oldWorker, 200
				if random.IntN(2) == 0 {
					pid = newWorker
				}
				if random.IntN(5) == 0 && (pid == newWorker || !newAlone) {
					status = 500
				}
				r.request(pid, status, "/a/x")
			}
			r.second()
			for _, f := range r.alarms() {
				if f.Signal == analysis.Errors5xx {
					told++
				}
			}
		}
		if (told > 0) != newAlone {
			t.Errorf("%s: 5xx alarmed at %d of 60 looks", name, told)
		}
	}
}
