package probe_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/probe"
	"graft/internal/procfs"
)

func TestMain(m *testing.M) { nginxtest.Main(m) }

// everyLoad uses an instance in all modes at once; the sum of its requests is bounded.
func everyLoad(t *testing.T, inst *nginxtest.Instance, duration time.Duration) map[string]probe.Load {
	http, https := "http://"+inst.Addr("http"), "https://"+inst.Addr("https")
	loads := map[string]probe.Load{
		"keepalive":      {Target: target(t, http+"/"), Mode: probe.KeepAlive, Clients: 4},
		"upstream":       {Target: target(t, http+"/app/"), Mode: probe.KeepAlive, Clients: 2, Rate: 500},
		"connect":        {Target: target(t, http+"/"), Mode: probe.Connect, Clients: 2, Rate: 1000},
		"unix":           {Target: target(t, "http://unix:"+inst.Prefix+"/run/http.sock:/page.txt"), Mode: probe.Connect, Clients: 2, Rate: 500},
		"idle":           {Target: target(t, http+"/"), Mode: probe.Idle, Clients: 20, Think: 100 * time.Millisecond},
		"TLS":            {Target: target(t, https+"/"), Mode: probe.KeepAlive, Clients: 2, Rate: 500},
		"TLS connecting": {Target: target(t, https+"/"), Mode: probe.Connect, Clients: 2, Rate: 100},
		"HTTP/2":         {Target: target(t, https+"/"), Mode: probe.HTTP2, Clients: 4},
		"download":       {Target: target(t, http+"/big"), Mode: probe.Download, Clients: 2, BytesPerSecond: 1 << 20},
	}
	for name, l := range loads {
		l.Duration, l.Requests, l.Timeout = duration, 2_000_000, 20*time.Second
		loads[name] = l
	}
	return loads
}

// start begins the loads; stop lets them end before their time.
func start(t *testing.T, loads map[string]probe.Load) (running map[string]*probe.Running, stop func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	running = make(map[string]*probe.Running)
	for name, l := range loads {
		r, err := probe.Start(ctx, l)
		if err != nil {
			t.Fatal(err)
		}
		running[name] = r
	}
	return running, stop
}

// none checks that no request was lost, and that every one was answered with 200.
func none(t *testing.T, running map[string]*probe.Running) (sum probe.Tally) {
	t.Helper()
	for name, r := range running {
		tally := r.Wait()
		if tally.Lost() != 0 || tally.Status[200] == 0 || tally.Status[200] != tally.Fates[probe.OK] {
			t.Errorf("%s: %v, status %v: %v", name, tally.Fates, tally.Status, tally.Failures)
		}
		sum.Merge(tally)
	}
	t.Logf("%d requests on %d connections, %d lost, %v", sum.Requests, sum.Connections, sum.Lost(), sum.Fates)
	return sum
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func workers(t *testing.T, inst *nginxtest.Instance, master int) []int {
	t.Helper()
	pids, err := inst.Workers(master)
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

// TestReloadLosesNothing: HUP replaces all workers, while a client of every kind is at work.
func TestReloadLosesNothing(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	running, stop := start(t, everyLoad(t, inst, time.Minute))
	for round := range 3 {
		before := workers(t, inst, inst.MasterPID)
		inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
		eventually(t, "new workers", func() bool {
			fresh := 0
			for _, pid := range workers(t, inst, inst.MasterPID) {
				if pid > before[len(before)-1] {
					fresh++
				}
			}
			return fresh == 2
		})
		asked := running["keepalive"].Tally().Requests
		eventually(t, fmt.Sprintf("load after reload %d", round), func() bool {
			return running["keepalive"].Tally().Requests > asked+1000
		})
	}
	stop()
	sum := none(t, running)
	if sum.Apart() == 0 {
		t.Error("no idle connection was closed in three reloads: were they idle?")
	}
}

// TestWhoAnswersThroughAHandover: USR2, WINCH, QUIT of the same binary under every load. At each
// phase the proof finds the workers of both masters, or of the only one left.
func TestWhoAnswersThroughAHandover(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	oldMaster := inst.MasterPID
	oldWorkers := workers(t, inst, oldMaster)
	running, stop := start(t, everyLoad(t, inst, time.Minute))

	urls := []string{"http://" + inst.Addr("http") + "/", "https://" + inst.Addr("https") + "/", "http://unix:" + inst.Prefix + "/run/http.sock:/"}
	answered := func(by []int, phase string) {
		t.Helper()
		for _, url := range urls {
			pid, answer, err := probe.AnsweredBy(within(t, 10*time.Second), target(t, url), by)
			if err != nil || answer.Status != 200 {
				t.Errorf("%s: %s: %+v %v", phase, url, answer, err)
			}
			t.Logf("%s: %s: process %d, %v", phase, url, pid, answer.Latency)
		}
	}
	answered(oldWorkers, "before")

	inst.Signal(t, oldMaster, syscall.SIGUSR2)
	var newMaster int
	eventually(t, "a new master with two workers", func() bool {
		masters, err := inst.Masters()
		if err != nil || len(masters) != 2 {
			return false
		}
		newMaster = masters[1]
		return len(workers(t, inst, newMaster)) == 2
	})
	newWorkers := workers(t, inst, newMaster)
	answered(newWorkers, "overlap, new")
	answered(oldWorkers, "overlap, old")

	inst.Signal(t, oldMaster, syscall.SIGWINCH)
	eventually(t, "the old workers to take WINCH up", func() bool {
		for _, pid := range oldWorkers {
			title, err := procfs.New("/proc").Title(pid)
			if err == nil && title != "" && !strings.Contains(title, "shutting down") {
				return false
			}
		}
		return true
	})
	answered(newWorkers, "parked")
	// The downloads keep the old workers alive, but they accept no more.
	for _, url := range urls {
		pid, _, err := probe.AnsweredBy(within(t, 300*time.Millisecond), target(t, url), oldWorkers)
		if err == nil {
			t.Errorf("parked: %s: old worker %d still accepts", url, pid)
		} else if !strings.Contains(err.Error(), "lives any more") && !strings.Contains(err.Error(), fmt.Sprintf("by process %d", newWorkers[0])) &&
			!strings.Contains(err.Error(), fmt.Sprintf("by process %d", newWorkers[1])) {
			t.Errorf("parked: %s: the error does not tell who accepts: %v", url, err)
		}
	}
	inst.Signal(t, oldMaster, syscall.SIGQUIT)
	stop()
	none(t, running)
	eventually(t, "the old master is gone", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 1
	})
	answered(newWorkers, "finished")

	// The proof's own connections left no trace that looks like a client's fault.
	log, err := os.ReadFile(inst.AccessLog)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, `" 200 `) {
			t.Fatalf("access log: %s", line)
		}
	}
	if text := inst.ErrorLogText(t); strings.Contains(text, "[alert]") || strings.Contains(text, "[crit]") {
		t.Errorf("error log:\n%s", text)
	}
}

func BenchmarkKeepAlive(b *testing.B) {
	inst := nginxtest.Start(b, nginxtest.Options{})
	to, err := probe.ParseURL("http://" + inst.Addr("http") + "/")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	tally, err := probe.Run(b.Context(), probe.Load{Target: to, Mode: probe.KeepAlive, Clients: 8, Requests: int64(b.N)})
	if err != nil || tally.Lost() != 0 {
		b.Fatal(tally.Fates, err)
	}
}

// BenchmarkAnsweredBy finds a new worker among two old and two new ones of an idle nginx.
func BenchmarkAnsweredBy(b *testing.B) {
	inst := nginxtest.Start(b, nginxtest.Options{})
	inst.Signal(b, inst.MasterPID, syscall.SIGUSR2)
	var fresh []int
	for end := time.Now().Add(20 * time.Second); len(fresh) != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal("no new workers")
		}
		if masters, err := inst.Masters(); err == nil && len(masters) == 2 {
			if fresh, err = inst.Workers(masters[1]); err != nil {
				b.Fatal(err)
			}
		}
	}
	for name, url := range map[string]string{
		"tcp": "http://" + inst.Addr("http") + "/", "unix": "http://unix:" + inst.Prefix + "/run/http.sock:/", "tls": "https://" + inst.Addr("https") + "/",
	} {
		to, err := probe.ParseURL(url)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := probe.AnsweredBy(b.Context(), to, fresh); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
