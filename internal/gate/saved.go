package gate

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
	"graft/internal/durable"
	"graft/internal/nginx"
)

const (
	// saveEvery is how often the state is kept: what a killed graft had counted since is counted again, from
	// where it stood then.
	saveEvery = 10 * time.Second
	// saveShare bounds what keeping it costs: a part in so many of the time.
	saveShare = 200
)

// savedGate is all that a gate knows, with where it stands in the logs: both belong to the same moment, so
// that nothing is counted twice.
type savedGate struct {
	New       nginx.Process                 `json:"new_master"`
	Watched   time.Duration                 `json:"watched_ns"`
	Positions map[string]accesslog.Position `json:"positions"`
	Access    map[string]accessCounts       `json:"access"`
	PIDs      map[int]generation            `json:"pids"`
	Restarts  restarts                      `json:"restarts"`
	Resources *resources                    `json:"resources"`
	Errors    savedErrors                   `json:"errors"`
	Live      savedLive                     `json:"live"`
	Probes    map[string]savedProbe         `json:"probes"`
}

type savedErrors struct {
	Old      savedSide       `json:"old"`
	New      savedSide       `json:"new"`
	Unknown  analysis.Lines  `json:"unknown"`
	Waiting  []waitingLine   `json:"waiting,omitempty"`
	Usual    map[string]bool `json:"usual"`
	Familiar int64           `json:"familiar"`
	Classes  *errorClasses   `json:"classes"`
	All      *errorRate      `json:"all,omitempty"`
	Rates    []*errorRate    `json:"rates,omitempty"`
	Killed   map[int]bool    `json:"killed,omitempty"`
}

type savedSide struct {
	Lines   analysis.Lines        `json:"lines"`
	Crashes []string              `json:"crashes,omitempty"`
	Ends    []time.Time           `json:"ends,omitempty"`
	Sample  []accesslog.ErrorLine `json:"sample,omitempty"`
}

type savedLive struct {
	Scopes      json.RawMessage   `json:"scopes"` // the tests are of these
	Comparisons []savedComparison `json:"comparisons"`
	Slots       map[int64]*slot   `json:"slots,omitempty"`
	Closed      int64             `json:"closed"`
	Attributed  [3]int64          `json:"attributed"`
	Mix         mix               `json:"mix"`
	Rises       rises             `json:"rises"`
	Minutes     map[int64]int64   `json:"minutes,omitempty"`
	Began       int64             `json:"began"`
}

// saver keeps the state now and then.
type saver struct {
	path    string
	next    time.Time
	failing bool // so that a disk that is full for hours is told of once
}

func (s *saver) look(w *Watch, now time.Time) {
	if s.path == "" || now.Before(s.next) || !w.ready {
		return
	}
	if !s.next.IsZero() {
		s.save(w, now)
	}
	s.next = now.Add(max(saveEvery, saveShare*time.Since(now)))
}

// save keeps the state. That it cannot is no reason to stop watching: only a graft that is killed then
// begins anew.
func (s *saver) save(w *Watch, now time.Time) {
	if s.path == "" || !w.ready {
		return
	}
	data, err := json.Marshal(w.state(now))
	if err == nil {
		err = durable.Replace("gate", s.path, bytes.NewReader(data), durable.Private(0o600))
	}
	if err != nil && !s.failing {
		w.cfg.Log.Warn("the gate's state cannot be kept: a graft that is killed now would watch anew", "error", err)
	}
	s.failing = err != nil
}

func (w *Watch) state(now time.Time) *savedGate {
	g := &savedGate{
		New: w.cfg.NewMaster, Watched: now.Sub(w.begun), Positions: make(map[string]accesslog.Position),
		Access: make(map[string]accessCounts), PIDs: w.pids.of, Restarts: w.pids.restarts, Resources: w.resources,
		Probes: w.probes.saved(),
	}
	for _, l := range w.errLogs {
		l.entries.Flush()
		g.Positions[l.path] = l.follower.Position()
	}
	for _, a := range w.access {
		g.Positions[a.path] = a.follower.Position()
		g.Access[a.path] = a.accessCounts
	}
	e := w.errors
	g.Errors = savedErrors{
		Old: e.old.saved(), New: e.new.saved(), Unknown: e.unknown, Waiting: e.waiting, Usual: e.usual, Familiar: e.familiar,
		Classes: e.classes, All: e.classes.all, Rates: e.classes.rates, Killed: e.killed,
	}
	l := w.live
	scopes, _ := json.Marshal(l.scopes)
	g.Live = savedLive{
		Scopes: scopes, Slots: l.slots, Closed: l.closed, Attributed: l.attributed, Mix: l.mix, Rises: l.rises,
		Minutes: l.volume.minutes, Began: l.volume.began,
	}
	for _, c := range l.comparisons {
		g.Live.Comparisons = append(g.Live.Comparisons, c.save())
	}
	return g
}

func (s *side) saved() savedSide { return savedSide{s.lines, s.crashes, s.ends, s.sample} }

func (s savedSide) side() side {
	return side{lines: s.Lines, crashes: s.Crashes, ends: s.Ends, sample: s.Sample}
}

// load restores what an earlier gate of the same new master and the same parts of the traffic knew. nil:
// there is nothing, and the gate begins anew.
func (s *saver) load(w *Watch) *savedGate {
	if s.path == "" {
		return nil
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return nil // there is none, as at every first start; what cannot be read cannot be gone on with
	}
	g := new(savedGate)
	scopes, _ := json.Marshal(w.live.scopes)
	if err := json.Unmarshal(data, g); err != nil {
		w.cfg.Log.Warn("the gate's state cannot be read: it watches anew", slog.String("path", s.path), slog.Any("error", err))
		return nil
	}
	if g.New != w.cfg.NewMaster || !bytes.Equal(g.Live.Scopes, scopes) || len(g.Live.Comparisons) != len(w.live.comparisons) ||
		g.Resources == nil || g.Errors.Classes == nil {
		return nil // another migration's, or of other logs
	}
	w.begun = w.begun.Add(-g.Watched)
	w.pids.of, w.pids.restarts = g.PIDs, g.Restarts
	r := g.Resources
	w.resources.Old, w.resources.New, w.resources.Every, w.resources.Next, w.resources.Overflows = r.Old, r.New, r.Every, r.Next, r.Overflows
	e := w.errors
	e.old, e.new, e.unknown, e.waiting, e.familiar = g.Errors.Old.side(), g.Errors.New.side(), g.Errors.Unknown, g.Errors.Waiting, g.Errors.Familiar
	if g.Errors.Usual != nil {
		e.usual = g.Errors.Usual
	}
	if g.Errors.Killed != nil {
		e.killed = g.Errors.Killed
	}
	if g.Errors.Classes.Live != nil {
		e.classes.Live = g.Errors.Classes.Live
	}
	e.classes.Sought = g.Errors.Classes.Sought
	e.classes.all, e.classes.rates = g.Errors.All, g.Errors.Rates
	l := w.live
	for i, c := range l.comparisons {
		c.restore(g.Live.Comparisons[i])
	}
	if g.Live.Slots != nil {
		l.slots = g.Live.Slots
	}
	l.closed, l.attributed, l.mix, l.rises = g.Live.Closed, g.Live.Attributed, g.Live.Mix, g.Live.Rises
	l.volume.minutes, l.volume.began = g.Live.Minutes, g.Live.Began
	return g
}
