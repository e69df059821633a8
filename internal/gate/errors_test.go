package gate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"graft/internal/accesslog"
	"graft/internal/analysis"
	"graft/internal/nginx"
	"graft/internal/procfs"
)

// The pids of these tests.
const (
	oldMaster, oldWorker = 10, 11
	newMaster, newWorker = 20, 21
	stranger             = 99
)

func sorter() *errorLines {
	g := newGenerations(procfs.New("/nonexistent"), nginx.Process{PID: oldMaster}, nginx.Process{PID: newMaster})
	g.look(time.Now())
	g.of[oldWorker], g.of[newWorker] = oldGeneration, newGeneration
	return newErrorLines(g)
}

func line(level string, pid int, message string) []byte {
	return fmt.Appendf(nil, "2026/11/03 10:15:42 [%s] %d#%d: *5 %s", level, pid, pid, message)
}

// addLine adds a line as an entry of its own.
func (e *errorLines) addLine(line []byte, now time.Time) {
	if l, ok := accesslog.ParseErrorLine(line); ok {
		e.add(l, now)
	}
}

func TestLinesByGeneration(t *testing.T) {
	e := sorter()
	now := time.Now()
	for _, level := range []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"} {
		e.addLine(line(level, oldWorker, "old "+level), now)
		e.addLine(line(level, newWorker, "new "+level), now)
		e.addLine(line(level, newMaster, "new "+level), now)
		e.addLine(line(level, stranger, "unknown "+level), now)
	}
	e.settle(now.Add(patience / 2))
	if diff := cmp.Diff(analysis.Lines{}, e.unknown); diff != "" {
		t.Errorf("given up early: %s", diff)
	}
	e.settle(now.Add(patience))
	if diff := cmp.Diff(analysis.Lines{Emerg: 1, Alert: 1, Crit: 1, Error: 1, Warn: 1}, e.old.lines); diff != "" {
		t.Errorf("old: %s", diff)
	}
	// An emerg or alert of an unknown pid may be a worker's that was never seen.
	if diff := cmp.Diff(analysis.Lines{Emerg: 3, Alert: 3, Crit: 2, Error: 2, Warn: 2}, e.new.lines); diff != "" {
		t.Errorf("new: %s", diff)
	}
	if diff := cmp.Diff(analysis.Lines{Crit: 1, Error: 1, Warn: 1}, e.unknown); diff != "" {
		t.Errorf("unknown: %s", diff)
	}
	if texts := e.new.texts(); len(texts) != maxSample || !strings.Contains(texts[0], "[emerg] 21: new emerg") || !strings.Contains(texts[4], "alert") {
		t.Errorf("sample: %q", texts)
	}
}

func TestALineBeforeItsWorkerIsKnown(t *testing.T) {
	e := sorter()
	now := time.Now()
	e.addLine(line("error", 22, "x"), now)
	e.pids.of[22] = oldGeneration
	e.settle(now)
	if e.old.lines.Error != 1 || len(e.waiting) != 0 {
		t.Errorf("%+v", e)
	}
}

func TestAThirdNginxIsNotTheNewOne(t *testing.T) {
	for _, message := range []string{
		`unknown directive "lissten" in /etc/nginx/nginx.conf:7`, // nginx -t
		`bind() to 0.0.0.0:80 failed (98: Address already in use)`,
		`still could not bind()`,
		`open() "/etc/nginx/nginx.conf" failed (2: No such file or directory)`,
	} {
		e := sorter()
		e.addLine([]byte("2026/11/03 10:15:42 [emerg] 99#99: "+message), time.Now())
		e.settle(time.Now().Add(patience))
		if e.new.lines.Emerg != 0 || e.unknown.Emerg != 1 {
			t.Errorf("%s: new %+v, unknown %+v", message, e.new.lines, e.unknown)
		}
		e.addLine([]byte("2026/11/03 10:15:42 [emerg] 20#20: "+message), time.Now())
		if e.new.lines.Emerg != 1 {
			t.Errorf("%s: by the new master: %+v", message, e.new.lines)
		}
	}
}

func TestCrashes(t *testing.T) {
	e := sorter()
	now := time.Now()
	crash := func(master, worker int) []byte {
		return fmt.Appendf(nil, "2026/11/03 10:15:42 [alert] %d#%d: worker process %d exited on signal 11 (core dumped)", master, master, worker)
	}
	// The worker was never seen: its master's line tells whose it was.
	e.addLine(line("crit", 23, "last words"), now)
	e.addLine(crash(newMaster, 23), now)
	e.settle(now)
	if e.new.lines.Crit != 1 {
		t.Errorf("last words: %+v", e.new.lines)
	}
	e.addLine(crash(oldMaster, oldWorker), now)
	if diff := cmp.Diff([]string{"worker process 23 exited on signal 11 (core dumped)"}, e.new.crashes); diff != "" {
		t.Error(diff)
	}
	if len(e.old.crashes) != 1 || e.new.lines.Alert+e.old.lines.Alert != 0 {
		t.Errorf("%+v", e)
	}
	for range 1000 {
		e.addLine(crash(newMaster, 23), now)
	}
	if len(e.new.crashes) != maxCrashes {
		t.Errorf("%d crashes kept", len(e.new.crashes))
	}
}

func TestWhatTheOldGenerationWritesTooIsFamiliar(t *testing.T) {
	const sessions = `could not allocate new session in SSL session shared cache "SSL" while SSL handshaking, client: `
	e := sorter()
	e.recall(line("alert", 7, sessions+"192.0.2.1"))
	e.recall(line("crit", oldWorker, "SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL handshaking"))
	e.recall(line("alert", newWorker, "the new generation's own past"))
	e.recall(line("alert", oldMaster, "worker process 5 exited on signal 11"))
	now := time.Now()
	e.addLine(line("alert", newWorker, sessions+"192.0.2.77"), now)
	e.addLine(line("crit", newWorker, "SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL handshaking, client: 192.0.2.3"), now)
	if e.familiar != 2 || e.new.lines != (analysis.Lines{}) {
		t.Errorf("familiar %d, new %+v", e.familiar, e.new.lines)
	}
	e.addLine(line("alert", newWorker, "the new generation's own past"), now)
	e.addLine([]byte("2026/11/03 10:15:42 [alert] 20#20: worker process 21 exited on signal 11"), now)
	if e.new.lines.Alert != 1 || len(e.new.crashes) != 1 {
		t.Errorf("new %+v, crashes %q", e.new.lines, e.new.crashes)
	}
	e.addLine(line("alert", oldWorker, "1024 worker_connections are not enough"), now)
	e.addLine(line("alert", newWorker, "512 worker_connections are not enough"), now)
	if e.familiar != 3 {
		t.Errorf("of this very gate: familiar %d", e.familiar)
	}
}

func TestALogGoneWildIsBounded(t *testing.T) {
	e := sorter()
	now := time.Now()
	for i := range 5 * maxWaiting {
		e.addLine(line("alert", stranger, fmt.Sprint(strings.Repeat("x", 1000), i)), now)
		e.addLine(line("crit", oldWorker, strings.Repeat("y", i%1500)), now)
	}
	e.settle(now.Add(patience))
	if len(e.waiting) > 0 || len(e.usual) > maxClasses || len(e.new.sample) > maxSample || e.new.lines.Alert != 5*maxWaiting {
		t.Errorf("waiting %d, usual %d, %+v", len(e.waiting), len(e.usual), e.new.lines)
	}
	for _, text := range e.new.texts() {
		if len(text) > maxText+10 {
			t.Errorf("%d bytes of sample", len(text))
		}
	}
}

func TestRecent(t *testing.T) {
	var p past
	begun := time.Now()
	at := func(d time.Duration) analysis.Evidence { // 100 requests a second; the last minute of the hour fails
		s := int64(d / time.Second)
		failed := max(s-59*60, 0)
		return analysis.Evidence{After: analysis.Requests{Total: 100 * s, Errors5xx: failed * 100}, Probes: s, Probes5xx: failed}
	}
	for d := time.Duration(0); d <= time.Hour; d += time.Second {
		if now := begun.Add(d); p.due(now) {
			p.note(now, at(d))
		}
		e := at(d)
		p.recent(begun.Add(d), &e)
		if d == time.Minute && e.Recent != e.After {
			t.Errorf("in the first minutes all is recent: %+v", e.Recent)
		}
	}
	e := at(time.Hour)
	p.recent(begun.Add(time.Hour), &e)
	if e.Recent != (analysis.Requests{Total: 30_000, Errors5xx: 6000}) || e.RecentProbes != (analysis.Requests{Total: 300, Errors5xx: 60}) {
		t.Errorf("recent %+v, probes %+v", e.Recent, e.RecentProbes)
	}
}
