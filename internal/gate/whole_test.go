package gate

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/analysis"
	"graft/internal/nginx"
	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

// sorted is a site whose log tells the worker, the place and the server.
const sortedSite = `user {{.User}};
worker_processes 2;
pid {{.PidFile}};
error_log {{.ErrorLog}} notice;
events { worker_connections 512; }
http {
    log_format told '$remote_addr [$time_local] "$request" $status $request_time "$http_user_agent" $host $pid';
    access_log {{.AccessLog}} told;
    client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi; scgi_temp_path temp/scgi;
    server {
        listen 127.0.0.1:{{.Port "http"}};
        location / { return 200 "fine"; }
        location /fault/ { return 500; }
    }
}
`

// overlapOf starts an instance of the site, has its days before read, and sends USR2.
func overlapOf(t testing.TB, config string) (*upgrade, *History) {
	t.Helper()
	u := &upgrade{Instance: nginxtest.Start(t, nginxtest.Options{Config: config}), t: t, fs: procfs.New("/proc")}
	var err error
	if u.inspect, err = nginx.Inspect(t.Context(), u.fs, u.MasterPID); err != nil {
		t.Fatal(err)
	}
	u.send("http", "/shop/x", 300)
	u.send("http", "/fault/x", 30)
	logs := InstanceLogs(u.inspect, "/")
	var h *History
	u.until("the lines of all requests", func() bool {
		h, err = ReadHistory(t.Context(), HistoryOptions{Logs: logs, FS: u.fs, Master: u.inspect.Master, Until: time.Now().Add(time.Minute)})
		return err != nil || h.Requests[u.AccessLog].Total == 330
	})
	if err != nil {
		t.Fatal(err)
	}
	u.swap()
	u.Signal(t, u.MasterPID, syscall.SIGUSR2)
	u.until("the new master's workers", func() bool {
		u.old = u.tree(u.MasterPID)
		if len(u.old.Masters) == 1 {
			u.new = u.tree(u.old.Masters[0])
		}
		return len(u.new.Accepting()) == 2
	})
	return u, h
}

func (u *upgrade) config(h *History, state string) Config {
	return Config{
		FS: u.fs, OldMaster: u.old.Master, NewMaster: u.new.Master, Logs: InstanceLogs(u.inspect, "/"),
		History: h, State: state, Length: time.Minute,
	}
}

func find(e analysis.Evidence, signal analysis.Signal, scope string, test analysis.Test) (f analysis.Finding, ok bool) {
	i := slices.IndexFunc(e.Findings, func(f analysis.Finding) bool { return f.Signal == signal && f.Scope == scope && f.Test == test })
	if i < 0 {
		return f, false
	}
	return e.Findings[i], true
}

func TestEachGenerationIsComparedByItsPids(t *testing.T) {
	u, h := overlapOf(t, sortedSite)
	if len(h.Usage) != 1 || h.Usage[0].Memory.Each < 1<<18 || h.Usage[0].Descriptors.Each < 5 {
		t.Errorf("what the workers hold: %+v", h.Usage)
	}
	w, err := Start(t.Context(), u.config(h, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	w.Evidence() // before there is anything
	u.until("requests by both", func() bool {
		u.send("http", "/shop/x", 50)
		u.send("http", "/fault/x", 10)
		e := w.Evidence()
		f, ok := find(e, analysis.Errors5xx, "", analysis.Concurrent)
		return ok && f.Before.Total >= 100 && f.After.Total >= 100
	})
	w.Stop()
	e := w.Evidence()
	f, _ := find(e, analysis.Errors5xx, "", analysis.Concurrent)
	if f.State == analysis.Alarm || f.Before.Bad == 0 || f.After.Bad == 0 {
		t.Errorf("both have the same faults: %+v", f)
	}
	if f, ok := find(e, analysis.Errors5xx, "", analysis.Sequential); !ok || f.Before != (analysis.Count{Bad: 30, Total: 330}) || f.After.Total >= e.After.Total {
		t.Errorf("while both serve the days before speak of little: %v %+v, after %+v", ok, f, e.After)
	}
	place := w.live.comparisons[w.live.scopes.Places["/shop/x"]].together[at5xx]
	if place == nil {
		t.Fatal("one place is not compared")
	}
	if f := place.Finding(); f.After.Bad > 0 || f.After.Total == 0 {
		t.Errorf("one place: %+v", f)
	}
	if !slices.Contains(e.Attribution, "each request's worker is known ($pid in every log_format)") {
		t.Errorf("%q", e.Attribution)
	}
}

// A graft that is killed leaves the state of some seconds before; the next one counts from there.
func TestAGateThatIsKilledIsGoneOnWith(t *testing.T) {
	u, h := overlapOf(t, sortedSite)
	state := filepath.Join(t.TempDir(), "gate.json")
	w, err := Start(t.Context(), u.config(h, state))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	all := func(w *Watch) int64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.look(time.Now())
		n := w.live.attributed[oldGeneration] + w.live.attributed[newGeneration] + w.live.attributed[unknown]
		for _, s := range w.live.slots {
			for _, cells := range slices.Concat(s.Cells[:], slices.Collect(maps.Values(s.Waiting))) {
				if cells != nil {
					n += int64(cells[0].Requests)
				}
			}
		}
		return n
	}
	u.send("http", "/shop/x", 200)
	u.until("200 requests", func() bool { return w.isReady() && all(w) == 200 })
	w.mu.Lock()
	w.saver.save(w, time.Now())
	w.mu.Unlock()
	kept, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	u.send("http", "/shop/x", 70) // counted by the first, and not kept
	u.until("270 requests", func() bool { return all(w) == 270 })
	u.Signal(t, u.new.Accepting()[0].PID, syscall.SIGSEGV)
	u.waitFor(w, "a crash", func(e analysis.Evidence) bool { return len(e.NewCrashes) == 1 })
	first := w.Evidence()
	w.Stop()
	if err := os.WriteFile(state, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	u.send("http", "/shop/x", 40) // while nobody watches
	again, err := Start(t.Context(), u.config(h, state))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Stop)
	u.until("310 requests", func() bool { return all(again) >= 310 })
	e := u.waitFor(again, "the crash of meanwhile", func(e analysis.Evidence) bool { return len(e.NewCrashes) == 1 })
	if n := all(again); n != 310 {
		t.Errorf("%d requests, sent were 310", n)
	}
	if e.Watched < time.Millisecond || e.Watched > first.Watched+10*time.Second {
		t.Errorf("watched for %v, the first for %v", e.Watched, first.Watched)
	}
	again.Stop()

	// Of another migration, it is not gone on with.
	config := u.config(h, state)
	config.NewMaster.StartTime++
	other, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Stop)
	if n := all(other); n != 0 {
		t.Errorf("%d requests of another migration", n)
	}
}

func TestAStateThatCannotBeKeptIsNoReasonToStop(t *testing.T) {
	u, h := overlapOf(t, sortedSite)
	w, err := Start(t.Context(), u.config(h, filepath.Join(t.TempDir(), "missing", "gate.json")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	u.until("what was learned", w.isReady)
	w.mu.Lock()
	w.saver.save(w, time.Now())
	failing := w.saver.failing
	w.mu.Unlock()
	u.send("http", "/shop/x", 20)
	u.waitFor(w, "requests", func(e analysis.Evidence) bool { return len(e.Findings) > 0 })
	if !failing {
		t.Error("it was kept in a directory that is not there")
	}
}

// What is asked for when $pid is missing.
func TestLogsWithoutPidAreNamed(t *testing.T) {
	u := &upgrade{Instance: nginxtest.Start(t, nginxtest.Options{Config: site}), t: t, fs: procfs.New("/proc")}
	inspect, err := nginx.Inspect(t.Context(), u.fs, u.MasterPID)
	if err != nil {
		t.Fatal(err)
	}
	need := NeedsPID(inspect)
	text := fmt.Sprint(need)
	for _, want := range []string{
		u.Conf + ":", "log_format bare '$status $pid';", u.AccessLog,
		`log_format combined_pid '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $pid';`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	told := &upgrade{Instance: nginxtest.Start(t, nginxtest.Options{Config: sortedSite}), t: t, fs: procfs.New("/proc")}
	if inspect, err = nginx.Inspect(t.Context(), told.fs, told.MasterPID); err != nil {
		t.Fatal(err)
	}
	if need := NeedsPID(inspect); len(need) > 0 {
		t.Errorf("%v", need)
	}
}
