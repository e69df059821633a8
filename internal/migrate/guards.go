package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"graft/internal/artifact"
	"graft/internal/guard"
	"graft/internal/journal"
	"graft/internal/nginx"
	"graft/internal/preflight"
	"graft/internal/procfs"
)

// The guards look every guardPeriod. Where a look is dear, because workers hold tens of thousands of
// connections, they look less often, so that they take one part in guardShare of a core; but what hangs
// must not hang for longer than guardLatest before it is seen.
const (
	guardPeriod = 2 * time.Second
	guardLatest = 10 * time.Second
	guardShare  = 100
)

// pause is how long to wait after a look. One slow look, on a host that was busy or because the
// configuration was read again, says nothing: it takes two.
func pause(took, before time.Duration) time.Duration {
	return min(max(guardPeriod, guardShare*min(took, before)), guardLatest)
}

// reopenPatience bounds how long a master may take to reopen its logs and pass that on to its workers.
const reopenPatience = 5 * time.Second

// guards are the guards of one run: what they look with, found, and did.
type guards struct {
	watcher *guard.Watcher
	ledger  guard.Ledger
	due     time.Time
	took    time.Duration   // the last look
	phase   Phase           // at the last look
	disk    Content         // at the last look
	told    map[string]bool // for which rotated logs USR1 was sent, by this run or one before
}

func newGuards(fs procfs.FS, rec Record, events []journal.Event) guards {
	g := guards{watcher: guard.NewWatcher(guardedHost(fs, rec)), told: make(map[string]bool)}
	var sent []guard.Stale
	for _, e := range events {
		switch {
		case e.Step != stepReopen:
		case e.Event == journal.Intent:
			sent = nil
			// What cannot be read is no memory: at worst a master reopens its logs twice.
			_ = json.Unmarshal(e.Data, &sent)
		default:
			g.remember(sent)
		}
	}
	return g
}

// remember keeps for which files USR1 was sent. A graft that was killed on the way there may not have
// sent it: if they are stale still, it is sent once more.
func (g *guards) remember(sent []guard.Stale) {
	for _, s := range sent {
		g.told[s.Key()] = true
	}
}

// guardedHost is what the plan knows of what is guarded.
func guardedHost(fs procfs.FS, rec Record) guard.Host {
	old := rec.Plan.Old
	h := guard.Host{
		FS: fs, Binary: old.Binary, Backup: artifact.BackupPath(filepath.Join(rec.Dir, backupDir)), PidFile: old.PidFile, Conf: old.Conf,
		Argv: old.Argv, Cwd: old.Cwd, Workers: max(old.Workers, old.ToCome), Planned: make(map[string]string), Made: rec.Plan.Created,
	}
	for name, sum := range rec.Plan.Facts {
		if path, isFile := strings.CutPrefix(name, "file "); isFile && path != old.Binary {
			h.Planned[path] = sum
		}
	}
	var shown struct {
		Logs       nginx.Logs       `json:"logs"`
		Supervisor nginx.Supervisor `json:"supervisor"`
	}
	if json.Unmarshal(rec.Plan.Instance, &shown) != nil {
		return h
	}
	for _, path := range slices.Concat(shown.Logs.Access, shown.Logs.Error) {
		if filepath.IsAbs(path) && !strings.Contains(path, "$") && !slices.Contains(h.Logs, path) {
			h.Logs = append(h.Logs, path)
		}
	}
	if shown.Supervisor.Kind == "systemd" {
		// Without it the evidence names no sender.
		if command, where, err := preflight.ReloadCommand(shown.Supervisor.Unit); err == nil && command != "" {
			h.Unit, h.Reload = shown.Supervisor.Unit, fmt.Sprintf("ExecReload=%s (%s)", command, where)
		}
	}
	return h
}

// guarded tells whether two masters live side by side.
func (s Seen) guarded() bool {
	phase, _ := s.Phase()
	return phase == Overlap || phase == Parked
}

// view is what the guards have to know of a look.
func (o *observer) view(ctx context.Context, seen Seen, intent Intent, wasParked bool) guard.View {
	phase, _ := seen.Phase()
	v := guard.View{
		Old: side(seen.Old), New: side(seen.New), Parked: phase == Parked, Back: intent.Goal == RolledBack,
		Quitting: seen.Old.Quitting, Replaced: seen.Disk == "", CameBack: phase == Overlap && wasParked,
	}
	if v.Quitting || v.Back {
		return v
	}
	err := o.mustCover(ctx, seen)
	// An end of the new master is seen by the next look, with its own reason.
	if err != nil && !procfs.Gone(err) && !errors.Is(err, nginx.ErrGone) && !errors.Is(err, nginx.ErrNoTitle) && ctx.Err() == nil {
		v.Hanging = err.Error()
	}
	return v
}

func side(m Master) guard.Side {
	return guard.Side{Master: m.Process, Workers: m.Workers, Leaving: m.Leaving}
}

// wasParked tells whether the old master was seen without workers after the last WINCH and was not told
// to bring them back: workers that accept are somebody else's doing.
func wasParked(events []journal.Event) bool {
	for _, e := range slices.Backward(events) {
		switch e.Step {
		case string(Park):
			return e.Event == journal.Done
		case string(Revive):
			return false
		}
	}
	return false
}

// guard lets the guards look when it is time, tells what they found, and does what follows. An outcome
// ends the run.
func (e *Engine) guard(ctx context.Context, seen Seen) (*Outcome, error) {
	g := &e.guards
	if !seen.guarded() || !e.intent.Verified { // a new master that starts still serves nothing, and need not
		return nil, nil
	}
	// What the engine's own look has seen change is asked about at once, before Next answers it.
	if time.Now().Before(g.due) && g.phase == e.phase && g.disk == seen.Disk {
		return nil, nil
	}
	begin := time.Now()
	view := e.obs.view(ctx, seen, e.intent, wasParked(e.events))
	sight := g.watcher.Look(ctx, view)
	now := time.Now()
	took := now.Sub(begin)
	e.log.Debug("the guards have looked", "took", took)
	g.due, g.took, g.phase, g.disk = now.Add(pause(took, g.took)), took, e.phase, seen.Disk
	for i := range sight.Stale {
		sight.Stale[i].Told = g.told[sight.Stale[i].Key()]
	}
	found := guard.Judge(sight)
	told, over := g.ledger.Update(now, found)
	for _, f := range told {
		if err := e.note("", stepGuard, journal.Observed, guardNote{Finding: f}); err != nil {
			return nil, err
		}
	}
	for _, f := range over {
		if err := e.note("", stepGuard, journal.Observed, guardNote{Finding: f, Over: true}); err != nil {
			return nil, err
		}
	}
	outcome, err := e.follow(ctx, view, found)
	e.share(seen) // others are told at once what was found
	return outcome, err
}

// follow does what follows, the gravest first.
func (e *Engine) follow(ctx context.Context, view guard.View, found []guard.Finding) (*Outcome, error) {
	var stale []guard.Stale
	for _, f := range found {
		switch f.Follows {
		case guard.Turn:
			return nil, e.turn(f.Evidence)
		case guard.Halt:
			o := &Outcome{Phase: Halted, Reason: f.Evidence, Remedy: f.Remedy}
			return o, e.note(Halted, stepEnd, journal.Observed, o)
		case guard.Act:
			stale = append(stale, *f.Stale)
		}
	}
	for len(stale) > 0 {
		master := stale[0].Master
		other := func(s guard.Stale) bool { return s.Master != master }
		if err := e.reopen(ctx, view, slices.DeleteFunc(slices.Clone(stale), other)); err != nil {
			return nil, err
		}
		stale = slices.DeleteFunc(stale, func(s guard.Stale) bool { return !other(s) })
	}
	return nil, nil
}

// reopen sends USR1 to a master whose processes write to rotated files, and sees that they stop. That it
// fails is told by the guard at its next look.
func (e *Engine) reopen(ctx context.Context, view guard.View, stale []guard.Stale) error {
	if err := e.note("", stepReopen, journal.Intent, stale); err != nil {
		return err
	}
	e.guards.remember(stale)
	keys := make(map[string]bool)
	for _, s := range stale {
		keys[s.Key()] = true
	}
	to, content := Master{Process: view.Old.Master}, OldContent
	if stale[0].New {
		to, content = Master{Process: view.New.Master}, NewContent
	}
	exe, err := e.exeOf(to, content)
	if err == nil {
		err = e.signal(to, exe, nginx.USR1, "usr1")
	}
	if err == nil {
		err = until(ctx, reopenPatience, "the logs to be reopened", func() (bool, error) {
			left, err := e.guards.watcher.Stale(view)
			return !slices.ContainsFunc(left, func(s guard.Stale) bool { return keys[s.Key()] }), err
		})
	}
	if err != nil {
		return e.note("", stepReopen, journal.Failed, problem{err.Error()})
	}
	return e.note("", stepReopen, journal.Done, nil)
}

// guardNote is a journal line about a finding.
type guardNote struct {
	guard.Finding
	Over bool `json:"over,omitempty"`
}

// LookGuarded is Look, with what the guards would find: for a host where no graft is at work.
func LookGuarded(ctx context.Context, fs procfs.FS, rec Record) (Status, error) {
	o := newObserver(fs, rec.Plan, rec.Dir)
	seen, err := o.look()
	if err != nil {
		return Status{}, err
	}
	s := status(rec, seen)
	s.recall(rec)
	intent := memory(rec.Events)
	if !seen.guarded() || !intent.Verified {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	watcher := guard.NewWatcher(guardedHost(fs, rec))
	defer watcher.Close()
	defer cancel()
	view := o.view(ctx, seen, intent, wasParked(rec.Events))
	var ledger guard.Ledger
	ledger.Update(time.Now(), guard.Judge(watcher.LookOnce(ctx, view)))
	s.Guards = ledger.Open()
	return s, nil
}

// lookPatience bounds a look at the guards, trials of the configuration included.
const lookPatience = 20 * time.Second
