package gate

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"graft/internal/analysis"
	"graft/internal/nginx"
	"graft/internal/nginxtest"
	"graft/internal/probe"
	"graft/internal/procfs"
)

func TestMain(m *testing.M) { nginxtest.Main(m) }

// site has locations that answer 200, 500 and, at "/", what each server is told to; one log with
// the User-Agent and one without.
const site = `user {{.User}};
worker_processes 2;
pid {{.PidFile}};
error_log {{.ErrorLog}} notice;
events { worker_connections 512; }
http {
    log_format bare '$status';
    access_log {{.AccessLog}};
    client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi; scgi_temp_path temp/scgi;
    server {
        listen 127.0.0.1:{{.Port "http"}};
        location / { return 200 "fine"; }
        location /fault { return 500; }
    }
    server {
        listen 127.0.0.1:{{.Port "bare"}};
        access_log logs/bare.log bare;
        location / { return 200 "fine"; }
    }
    server { listen 127.0.0.1:{{.Port "mute"}}; access_log off; return 444; }
    server { listen 127.0.0.1:{{.Port "sick"}}; access_log off; return 503; }
}
`

// upgrade is an instance in the overlap: two masters, two workers each.
type upgrade struct {
	*nginxtest.Instance
	t        testing.TB
	fs       procfs.FS
	inspect  nginx.Instance
	before   map[string]analysis.Requests
	targets  []Target
	probes   []Target
	baseline Baseline
	old, new nginx.Tree
}

// overlap starts an instance, sends it requests, and then USR2.
func overlap(t testing.TB, requests int) *upgrade {
	t.Helper()
	u := &upgrade{Instance: nginxtest.Start(t, nginxtest.Options{Config: site}), t: t, fs: procfs.New("/proc")}
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	var err error
	if u.inspect, err = nginx.Inspect(t.Context(), u.fs, u.MasterPID); err != nil {
		t.Fatal(err)
	}
	u.send("http", "/", requests)
	u.send("bare", "/", requests)
	u.until("the lines of all requests", func() bool { // nginx logs after it has answered
		if u.before, err = InstanceLogs(u.inspect, "/").Before(1 << 20); err != nil {
			t.Fatal(err)
		}
		return u.before[u.AccessLog].Total+u.before[u.Prefix+"/logs/bare.log"].Total == int64(2*requests)
	})
	u.targets = Targets(u.inspect)
	u.baseline = TakeBaseline(t.Context(), u.targets)
	u.swap()
	u.Signal(t, u.MasterPID, syscall.SIGUSR2)
	u.until("the new master's workers", func() bool {
		u.old = u.tree(u.MasterPID)
		if len(u.old.Masters) == 1 {
			u.new = u.tree(u.old.Masters[0])
		}
		return len(u.new.Accepting()) == 2
	})
	return u
}

// swap puts another file in the binary's place.
func (u *upgrade) swap() {
	u.t.Helper()
	binary, err := os.ReadFile(u.Exe)
	if err == nil {
		err = os.WriteFile(u.Exe+".new", binary, 0o755)
	}
	if err == nil {
		err = os.Rename(u.Exe+".new", u.Exe)
	}
	if err != nil {
		u.t.Fatal(err)
	}
}

func (u *upgrade) tree(pid int) nginx.Tree {
	tree, err := nginx.ReadTree(u.fs, pid)
	if err != nil && !procfs.Gone(err) {
		return nginx.Tree{} // between exec and its title
	}
	return tree
}

func (u *upgrade) until(what string, done func() bool) {
	u.t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			u.t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// ignore leaves out the targets of some ports.
func (u *upgrade) ignore(ports ...string) {
	for _, port := range ports {
		u.targets = slices.DeleteFunc(u.targets, func(t Target) bool { return t.Listen == u.Addr(port) })
	}
}

func (u *upgrade) target(port, path string) probe.Target {
	return probe.Target{Network: "tcp", Address: u.Addr(port), Host: "localhost", Path: path}
}

// send has n requests answered, as a client of its own name.
func (u *upgrade) send(port, path string, n int) {
	u.t.Helper()
	if n == 0 {
		return
	}
	tally, err := probe.Run(u.t.Context(), probe.Load{Target: u.target(port, path), Mode: probe.KeepAlive, Requests: int64(n), Clients: 2, UserAgent: "client"})
	if err != nil || tally.Fates[probe.OK] != int64(n) {
		u.t.Fatalf("%+v %v", tally, err)
	}
}

func (u *upgrade) watch(rate float64) *Watch {
	u.t.Helper()
	w, err := Start(u.t.Context(), Config{
		FS: u.fs, OldMaster: u.old.Master, NewMaster: u.new.Master,
		Logs: InstanceLogs(u.inspect, "/"), Before: u.before,
		Targets: u.targets, Baseline: u.baseline, ProbeRate: rate,
	})
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(w.Stop)
	return w
}

func (u *upgrade) waitFor(w *Watch, what string, seen func(analysis.Evidence) bool) analysis.Evidence {
	u.t.Helper()
	var e analysis.Evidence
	u.until(what, func() bool {
		e = w.Evidence()
		return seen(e)
	})
	return e
}

func judge(e analysis.Evidence) (analysis.Verdict, []string) {
	d := analysis.Judge(e, lax)
	return d.Verdict, d.Why
}

var lax = analysis.Policy{MinDuration: 100 * time.Millisecond, MinRequests: 100, MinProbes: 10}

func TestAHealthyUpgradePasses(t *testing.T) {
	u := overlap(t, 500)
	w := u.watch(100)
	if v, why := judge(w.Evidence()); v != analysis.Inconclusive {
		t.Errorf("at once: %v %q", v, why)
	}
	u.send("http", "/", 300)
	u.waitFor(w, "probes", func(e analysis.Evidence) bool { return e.Probes >= 20 && e.Watched > lax.MinDuration })
	u.waitFor(w, "the lines", func(e analysis.Evidence) bool { return e.Logs[0].After.Total >= 300 })
	w.Stop()
	e := w.Evidence()
	if v, why := judge(e); v != analysis.Pass {
		t.Errorf("%v %q\n%+v", v, why, e)
	}
	if e.Before != (analysis.Requests{Total: 1000}) || e.Malformed != 0 || e.ProbesLost != 0 {
		t.Errorf("%+v", e)
	}
	if e.Logs[0].After.Total != 300 {
		t.Errorf("%d requests, sent were 300: %+v", e.Logs[0].After.Total, e.Logs)
	}
	if again := w.Evidence(); again.Watched != e.Watched {
		t.Errorf("after Stop it goes on: %v, %v", e.Watched, again.Watched)
	}
}

func TestOwnProbesAreLeftOutOfALogWithoutUserAgent(t *testing.T) {
	u := overlap(t, 0)
	u.ignore("mute", "sick") // they log nowhere
	w := u.watch(200)
	u.send("bare", "/", 300)
	u.waitFor(w, "probes", func(e analysis.Evidence) bool { return e.Probes >= 40 })
	w.Stop()
	if e := w.Evidence(); e.Logs[1].After.Total != 300 {
		t.Errorf("%d requests, sent were 300: %+v", e.Logs[1].After.Total, e)
	}
}

func TestA5xxShareThatRises(t *testing.T) {
	u := overlap(t, 500)
	w := u.watch(20)
	u.send("http", "/", 450)
	u.send("http", "/fault", 50)
	e := u.waitFor(w, "500 requests", func(e analysis.Evidence) bool { return e.After.Total == 500 })
	v, why := judge(e)
	if v != analysis.Fail || !strings.Contains(why[0], "5xx in "+u.AccessLog+" rose: 10.000 % of 500 requests, before 0.000 % of 500") {
		t.Errorf("%v %q", v, why)
	}
}

func TestWhatWasWrongBeforeIsNotHeldAgainstTheNewBinary(t *testing.T) {
	u := overlap(t, 0)
	for _, late := range []bool{false, true} {
		if late {
			u.baseline = nil
		}
		w := u.watch(200)
		u.waitFor(w, "probes", func(e analysis.Evidence) bool { return e.Probes >= 40 })
		w.Stop()
		e := w.Evidence()
		if e.ProbesLost != 0 || e.Probes5xx != 0 {
			t.Errorf("late %v: %+v", late, e)
		}
		if !slices.ContainsFunc(e.ProbeNotes, func(n string) bool {
			return strings.HasPrefix(n, u.Addr("mute")+" is not probed: it did not answer before either")
		}) {
			t.Errorf("late %v: %q", late, e.ProbeNotes)
		}
	}
}

func TestATargetThatNobodyAcceptsOnFails(t *testing.T) {
	u := overlap(t, 0)
	target := u.target("http", "/")
	target.Address = "127.0.0.1:1"
	w, err := Start(t.Context(), Config{
		FS: u.fs, NewMaster: u.new.Master, Logs: InstanceLogs(u.inspect, "/"), ProbeRate: 50,
		Targets: []Target{{Target: target, Listen: "127.0.0.1:1", Proof: Answered}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	e := u.waitFor(w, "losses", func(e analysis.Evidence) bool { v, _ := judge(e); return e.ProbesLost > 0 && v == analysis.Fail })
	if v, why := judge(e); v != analysis.Fail || !strings.Contains(why[0], "refused") {
		t.Errorf("%v %q", v, why)
	}
}

func TestACrashIsSeenAndAttributed(t *testing.T) {
	u := overlap(t, 0)
	w := u.watch(0)
	marks, err := Mark([]string{u.ErrorLog, "/dev/null"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(marks.Unobserved, []string{"/dev/null"}) {
		t.Errorf("%q", marks.Unobserved)
	}
	oldVictim, newVictim := u.old.Accepting()[0].PID, u.new.Accepting()[0].PID

	u.Signal(t, oldVictim, syscall.SIGSEGV)
	e := u.waitFor(w, "the old one's crash", func(e analysis.Evidence) bool { return len(e.OldCrashes) == 1 })
	if v, why := judge(e); v == analysis.Fail {
		t.Errorf("the old one's crash: %v %q", v, why)
	}
	u.Signal(t, newVictim, syscall.SIGSEGV)
	e = u.waitFor(w, "the new one's crash", func(e analysis.Evidence) bool { return len(e.NewCrashes) == 1 })
	// The old one crashes, too: one crash is no more than it did.
	if v, why := judge(e); v == analysis.Fail {
		t.Errorf("the new one's first crash: %v %q", v, why)
	}

	// The worker that took its place belongs to the new master, too.
	var next int
	u.until("another worker", func() bool {
		for _, p := range u.tree(u.new.Master.PID).Accepting() {
			if !slices.Contains(u.new.Accepting(), p) {
				next = p.PID
			}
		}
		return next != 0
	})
	u.Signal(t, next, syscall.SIGKILL)
	e = u.waitFor(w, "its crash", func(e analysis.Evidence) bool { return len(e.NewCrashes) == 2 })
	want := fmt.Sprintf("worker process %d exited on signal 9", next)
	if v, why := judge(e); v != analysis.Fail || !strings.Contains(why[0], want) {
		t.Errorf("%v %q", v, why)
	}

	since, err := marks.Since()
	if err != nil || len(since) != 3 || since[1].PID != u.new.Master.PID {
		t.Errorf("%v %v", since, err)
	}
}

// Old workers go on writing to the rotated files; only the newer master is told by logrotate.
func TestRotationUnderLoadLosesNoLine(t *testing.T) {
	u := overlap(t, 0)
	w := u.watch(0)
	marks, err := Mark([]string{u.ErrorLog})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	load, err := probe.Start(ctx, probe.Load{Target: u.target("http", "/"), Mode: probe.Connect, Clients: 2, Requests: 50_000, Rate: 2000, UserAgent: "client"})
	if err != nil {
		t.Fatal(err)
	}
	answered := func(n int64) func() bool {
		from := load.Tally()
		return func() bool { now := load.Tally(); return now.Requests-from.Requests >= n }
	}
	for i := range 3 {
		u.until("load", answered(300))
		for _, log := range []string{u.AccessLog, u.ErrorLog} {
			if err := os.Rename(log, fmt.Sprintf("%s.%d", log, i)); err != nil {
				t.Fatal(err)
			}
		}
		u.until("load, with USR1 still to come", answered(300))
		u.Signal(t, u.new.Master.PID, syscall.SIGUSR1)
		u.until("the new logs", func() bool {
			_, access := os.Stat(u.AccessLog)
			_, errors := os.Stat(u.ErrorLog)
			return access == nil && errors == nil
		})
		w.Evidence() // a file that comes and goes between two looks is never seen
	}
	u.until("load", answered(300))
	cancel()
	tally := load.Wait()
	u.Signal(t, u.old.Accepting()[0].PID, syscall.SIGSEGV) // its master writes to the error log rotated first
	e := u.waitFor(w, "every line", func(e analysis.Evidence) bool {
		return e.After.Total >= tally.Fates[probe.OK] && len(e.OldCrashes) == 1
	})
	if e.After.Total != tally.Fates[probe.OK] || e.Malformed != 0 {
		t.Errorf("%d lines of %d answers, %d malformed", e.After.Total, tally.Fates[probe.OK], e.Malformed)
	}
	if since, err := marks.Since(); err != nil || len(since) != 1 {
		t.Errorf("since the marks, in the file rotated first: %v %v", since, err)
	}
}

func TestTheOldGenerationIsRememberedWhenItIsGone(t *testing.T) {
	u := overlap(t, 0)
	w := u.watch(0)
	u.Signal(t, u.old.Master.PID, syscall.SIGQUIT)
	u.until("the old master's end", func() bool { _, err := u.fs.Stat(u.old.Master.PID); return procfs.Gone(err) })
	log, err := os.OpenFile(u.ErrorLog, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := fmt.Fprintf(log, "2026/11/03 10:15:42 [alert] %d#0: late\n", u.old.Accepting()[0].PID); err != nil {
		t.Fatal(err)
	}
	e := u.waitFor(w, "the line", func(e analysis.Evidence) bool { return e.Old.Alert+e.New.Alert+e.Unknown.Alert > 0 })
	if e.Old.Alert != 1 || e.New.Alert != 0 {
		t.Errorf("old %+v, new %+v, unknown %+v", e.Old, e.New, e.Unknown)
	}
}

func TestStartWithoutANewMaster(t *testing.T) {
	if _, err := Start(t.Context(), Config{FS: procfs.New("/proc")}); err == nil {
		t.Error("entered")
	}
}

func TestTheGateEndsWithItsContext(t *testing.T) {
	u := overlap(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := Start(ctx, Config{FS: u.fs, NewMaster: u.new.Master, Targets: u.targets, Baseline: u.baseline, ProbeRate: 10})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-w.done
	if e := w.Evidence(); e.ErrorLogged || e.Logged {
		t.Errorf("no log was given: %+v", e)
	}
	w.Stop() // again, harmlessly
}

// What a gate costs while nothing happens: one look, four a second.
func BenchmarkLook(b *testing.B) {
	u := overlap(b, 0)
	w := u.watch(0)
	w.Stop()
	if err := w.follow(nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w.look(time.Now())
	}
	b.ReportMetric(float64(len(u.old.Workers)+len(u.new.Workers)+2), "processes")
}
