package gate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
	"graft/internal/nginx"
	"graft/internal/procfs"
)

// Config is what a gate watches.
type Config struct {
	FS        procfs.FS
	OldMaster nginx.Process // it may end while the gate goes on; the zero value: there is none any more
	NewMaster nginx.Process
	Logs      Logs
	// Before is what the access logs told before the migration, by path: see [Logs.Before].
	Before map[string]analysis.Requests

	Targets   []Target
	Probes    []Target // what is probed beside the listening addresses: see [ProbeTargets]
	ProbeRate float64  // requests a second by all probes together; 0: none
	// Baseline is how the targets answered before the migration. If nil, it is taken at the start
	// of the gate, and then only answers are excused by it: a target that nobody accepts on now
	// is probed, and fails.
	Baseline Baseline

	// History is what the instance did in the days before: see [ReadHistory]. Without it nothing is
	// compared with before; the two generations are still compared with each other.
	History *History
	// Alpha is the probability of a false alarm that all signals together may have. 0: 1 %.
	Alpha float64
	// Margin is the rise (a factor) over the time before that is no fault. 0: 1.5.
	Margin float64
	// Margins are those of signals that have one of their own.
	Margins map[analysis.Signal]float64
	// Blackout are times in which nothing is counted for the comparisons with the time before and of the
	// generations: a nightly batch is no fault. Crashes and probes always count.
	Blackout analysis.Calendar
	// Length is how long it is meant to watch, this gate and those that go on with its state. 0: 48 h.
	Length time.Duration
	// State is a file in which the gate keeps what it has counted and where it stands in the logs, so
	// that the next gate that has the same State and masters goes on. "": nowhere.
	State string

	Log *slog.Logger // nil: silent
}

// Watch is a gate that has been entered.
type Watch struct {
	cfg     Config
	begun   time.Time
	cancel  context.CancelFunc
	done    chan struct{} // closed when the loop has ended
	learned chan struct{} // closed when the tests have learned
	probes  *prober

	mu        sync.Mutex // guards all below
	ended     time.Time  // zero while it watches
	pids      *generations
	errors    *errorLines
	live      *live
	resources *resources
	access    []*accessWatch
	errLogs   []*errorLog
	unseen    []string // logs that turned out not to be observable
	past      past
	ready     bool // the tests have learned from the days before
	told      told
	saver     saver
}

// errorLog is an error log under watch.
type errorLog struct {
	followed
	entries *accesslog.ErrorReader
	now     time.Time
}

// interval is the time between two looks. A worker that lives for a shorter time is known only from
// its master's lines.
const interval = accesslog.PollInterval

// recallBytes is how much of an error log's past is read for what is usual there.
const recallBytes = 1 << 20

// Start enters a gate: from now on it counts. It ends with Stop or with ctx.
func Start(ctx context.Context, cfg Config) (*Watch, error) {
	if cfg.NewMaster.PID == 0 {
		return nil, errors.New("enter the gate: no new master to watch")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	now := time.Now()
	pids := newGenerations(cfg.FS, cfg.OldMaster, cfg.NewMaster)
	w := &Watch{
		cfg: cfg, begun: now, pids: pids, errors: newErrorLines(pids), done: make(chan struct{}), learned: make(chan struct{}),
		live: newLive(cfg, now), resources: newResources(cfg.FS, cfg.Log, cfg.History),
		unseen: append([]string(nil), cfg.Logs.Unobserved...), saver: saver{path: cfg.State},
	}
	if h := cfg.History; h != nil {
		w.errors.know(h.Errors)
	}
	saved := w.saver.load(w)
	w.ready = saved != nil || cfg.History == nil
	w.pids.look(now)
	if err := w.follow(saved); err != nil {
		w.closeLogs()
		return nil, fmt.Errorf("enter the gate: %w", err)
	}
	baseline := cfg.Baseline
	if baseline == nil {
		baseline = takeLate(ctx, slices.Concat(cfg.Targets, cfg.Probes))
	}
	ctx, w.cancel = context.WithCancel(ctx)
	if len(w.past.sums) == 0 {
		w.past.note(now, analysis.Evidence{})
	}
	var probed map[string]savedProbe
	if saved != nil {
		probed = saved.Probes
	}
	var err error
	if w.probes, err = startProbes(ctx, cfg, baseline, probed); err != nil {
		w.cancel()
		w.probes.wait()
		w.closeLogs()
		return nil, fmt.Errorf("enter the gate: %w", err)
	}
	if !w.ready {
		go w.learn()
	}
	go w.run(ctx)
	return w, nil
}

// learn makes the tests that rest on the days before.
func (w *Watch) learn() {
	defer close(w.learned)
	h, cfg := w.cfg.History, w.cfg
	w.live.learn(h, cfg.Length)
	all, rates := w.errors.classes.rated(h.Series[0], w.live.errorAlpha, cmp.Or(cfg.Margins[analysis.ErrorLines], cfg.Margin), cfg.Length)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors.classes.all, w.errors.classes.rates, w.ready = all, rates, true
}

// Stop ends the gate. It returns when its last probe has ended, which takes up to 10 s where a
// target hangs. Evidence stays available.
func (w *Watch) Stop() {
	w.cancel()
	<-w.done
}

func (w *Watch) run(ctx context.Context) {
	defer close(w.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.mu.Lock()
			w.look(time.Now())
			w.mu.Unlock()
			continue
		case <-ctx.Done():
		}
		break
	}
	w.probes.wait()
	if w.cfg.History != nil && !w.isReady() {
		<-w.learned
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look(time.Now())
	for _, l := range w.errLogs {
		l.entries.Flush()
	}
	w.errors.settle(time.Now().Add(patience))
	w.ended = time.Now()
	w.saver.save(w, w.ended)
	w.live.until(w.ended.Unix(), w.pids, w.pids.together(), w.errors.classes.requests)
	w.told = told{}
	w.closeLogs()
}

// look takes in what is new: processes first, so that a line finds its writer known.
func (w *Watch) look(now time.Time) {
	w.pids.look(now)
	for _, l := range w.errLogs {
		l.now = now
		l.poll(w.cfg.Log, l.take)
		l.entries.Settle(now)
	}
	w.errors.settle(now)
	for _, l := range w.access {
		l.poll(w.cfg.Log, func(lines []byte) { l.take(lines, w.live, w.pids, now) })
	}
	together := w.pids.together()
	if together {
		w.errors.classes.Sought = now.Sub(w.begun)
	}
	if w.ready {
		w.live.settle(now, w.pids, together, w.errors.classes.requests)
	}
	w.resources.look(now, w.pids, w.live.attributed[newGeneration]+w.live.attributed[unknown])
	w.pids.restarts.settle(now, w.errors.killed)
	if w.past.due(now) {
		var e analysis.Evidence
		w.report(&e)
		w.past.note(now, e)
	}
	w.saver.look(w, now)
}

func (w *Watch) isReady() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ready
}

// take hands over the lines of a block, one by one.
func (l *errorLog) take(lines []byte) {
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte{'\n'})
		l.entries.Add(line, l.now)
		lines = rest
	}
}

// Evidence is what the gate has seen up to now, or up to its end.
func (w *Watch) Evidence() analysis.Evidence {
	w.mu.Lock()
	defer w.mu.Unlock()
	until := w.ended
	if until.IsZero() {
		until = time.Now()
		w.look(until)
	}
	e := analysis.Evidence{
		Watched:     until.Sub(w.begun),
		ErrorLogged: len(w.errLogs) > 0,
		Old:         w.errors.old.lines,
		New:         w.errors.new.lines,
		Unknown:     w.errors.unknown,
		Familiar:    w.errors.familiar,
		OldCrashes:  append([]string(nil), w.errors.old.crashes...),
		NewCrashes:  append([]string(nil), w.errors.new.crashes...),
		Sample:      w.errors.new.texts(),
		Logged:      len(w.access) > 0,
		Unobserved:  append([]string(nil), w.unseen...),
	}
	w.report(&e)
	e.Findings = append(e.Findings, w.probes.findings(until)...)
	e.Findings = append(e.Findings, w.findings(until, e.Findings)...)
	e.Attribution = w.attribution()
	if h := w.cfg.History; h != nil && !h.From.IsZero() {
		e.Known = h.Until.Sub(h.From)
	}
	w.past.recent(until, &e)
	return e
}

// report writes the probes' and the access logs' sums into e.
func (w *Watch) report(e *analysis.Evidence) {
	own := w.probes.report(e)
	w.reportAccess(e, own)
}

// follow opens the logs, where the state that was kept says. What cannot be observed is noted, what fails
// otherwise is an error.
func (w *Watch) follow(saved *savedGate) error {
	for _, path := range w.cfg.Logs.Error {
		for _, file := range []string{path + rotatedSuffix, path} {
			if saved != nil {
				break // what was usual is in the state
			}
			if err := accesslog.TailLines(file, recallBytes, w.errors.recall); err != nil && !errors.Is(err, accesslog.ErrUnobservable) {
				return err
			}
		}
		f, err := w.open(path, saved)
		if err != nil {
			return err
		}
		if f != nil {
			l := &errorLog{followed: followed{path: path, follower: f}}
			l.entries = accesslog.NewErrorReader(func(entry accesslog.ErrorLine) { w.errors.add(entry, l.now) })
			w.errLogs = append(w.errLogs, l)
		}
	}
	probed := probedPaths(w.cfg)
	for _, log := range w.cfg.Logs.Access {
		f, err := w.open(log.Path, saved)
		if err != nil {
			return err
		}
		if f != nil {
			a := newAccessWatch(log, f, probed)
			a.from = w.live.source(log.Path)
			if saved != nil {
				a.accessCounts = saved.Access[log.Path]
			}
			w.access = append(w.access, a)
		}
	}
	return nil
}

func (w *Watch) open(path string, saved *savedGate) (*accesslog.Follower, error) {
	follow := func() (*accesslog.Follower, error) { return accesslog.Follow(path) }
	if saved != nil {
		if from, ok := saved.Positions[path]; ok {
			follow = func() (*accesslog.Follower, error) { return accesslog.FollowFrom(path, from) }
		}
	}
	f, err := follow()
	if errors.Is(err, accesslog.ErrUnobservable) {
		w.unseen = append(w.unseen, err.Error())
		return nil, nil
	}
	return f, err
}

func (w *Watch) closeLogs() {
	for _, l := range w.errLogs {
		l.follower.Close()
	}
	for _, l := range w.access {
		l.follower.Close()
	}
}
