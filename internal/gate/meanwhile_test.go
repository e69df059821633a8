package gate

import (
	"math/rand/v2"
	"testing"
	"time"

	"graft/internal/analysis"
)

// withDays is traffic whose two days before had 5xx in one of a thousand requests.
func withDays(names ...string) *traffic {
	r := newTraffic(names...)
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
	r.l = newLive(Config{History: h}, r.now)
	return r
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
