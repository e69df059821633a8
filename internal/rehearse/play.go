package rehearse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/artifact"
	"graft/internal/journal"
	"graft/internal/migrate"
	"graft/internal/nginx"
	"graft/internal/policy"
	"graft/internal/procfs"
	"graft/internal/sandbox"
)

// player carries the migration out on the clone, again and again.
type player struct {
	clone
	store  *artifact.Store
	target artifact.Artifact
	state  migrate.State
	old    string // SHA-256 of the binary that runs when the play begins
	log    *slog.Logger
	steps  []Step // of the act that is played
	mute   bool   // no address answers a request: the gates will find no evidence
}

// never is longer than any act: a gate that is to be interrupted waits so long.
const never = policy.Duration(time.Hour)

// part of the play: an act's name, what it does, and how it is played.
type scene struct {
	name, does string
	play       func(*player, context.Context) error
}

// The acts. Each ends with the old binary serving, but for the last but one, which the last takes back.
var (
	overlapAndBack = scene{"overlap and back", "USR2, both serve; then the new master goes and the binary is put back", func(p *player, ctx context.Context) error {
		return p.thereAndBack(ctx, migrate.Overlap)
	}}
	parkedAndBack = scene{"parked and back", "WINCH as well, the new binary serves alone; then the old workers come back", func(p *player, ctx context.Context) error {
		return p.thereAndBack(ctx, migrate.Parked)
	}}
	crashAtOverlap = scene{"crash at overlap", "the new master is killed while both serve", func(p *player, ctx context.Context) error {
		return p.crash(ctx, migrate.Start)
	}}
	crashWhileParked = scene{"crash while parked", "the new master is killed while it serves alone", func(p *player, ctx context.Context) error {
		return p.crash(ctx, migrate.Park)
	}}
	toTheEnd    = scene{"to the end", "the whole migration: the old master is gone", (*player).whole}
	backFromEnd = scene{"back from the end", "a migration the other way, from the backup", (*player).back}
)

// start is the act that each clone begins with; it is told once.
const startName, startDoes = "start", "the running binary starts as the master was started"

// halves are what two clones play side by side: the ways back, and the way to the end.
var halves = map[role][]scene{
	playsBack: {overlapAndBack, parkedAndBack, crashAtOverlap},
	playsOn:   {crashWhileParked, toTheEnd, backFromEnd},
}

// actNames are all acts, in order.
func actNames() []string {
	names := []string{startName}
	for _, half := range []role{playsBack, playsOn} {
		for _, s := range halves[half] {
			names = append(names, s.name)
		}
	}
	return names
}

// play plays act by act, and hands each to tell. The first that fails is the last: what the clone is
// like then, no further act can rely on. started is called when the old binary is up.
func (p *player) play(ctx context.Context, acts []scene, tell func(Act), started func(nginx.Instance) error) {
	begin := scene{startName, startDoes, func(p *player, ctx context.Context) error {
		i, err := p.start(ctx)
		if err != nil {
			return err
		}
		return started(i)
	}}
	for _, s := range append([]scene{begin}, acts...) {
		begin := time.Now()
		p.steps = nil
		err := s.play(p, ctx)
		act := Act{Name: s.name, Does: s.does, OK: err == nil, Took: time.Since(begin), Steps: p.steps}
		if err != nil {
			act.Problem = err.Error()
			if said := p.complaints(begin); len(said) > 0 {
				act.Problem += "; nginx's error log: " + strings.Join(said, "; ")
			}
		}
		tell(act)
		if err != nil {
			return
		}
	}
}

// options are those of the real migration, but for its gates: with no traffic but ours they could
// only wait. Where a request can be answered at all, one has to be.
func (p *player) options(until migrate.Phase) migrate.Options {
	o := migrate.Defaults()
	o.Until, o.Patience, o.Policy.Gates, o.Policy.Minimum.Requests = until, p.patience, policy.Gates{}, 0
	o.Policy.Undetermined, o.Policy.Degraded, o.Policy.Probes.Rate = policy.GiveUp, policy.GiveUp, 20
	o.Policy.Baseline = 0  // the days before are read when it counts
	o.OnlyAddresses = true // every server and location is compared once, by parity
	if p.mute {
		o.Policy.Undetermined, o.Grace = policy.Proceed, 200*time.Millisecond
	}
	return o
}

// begin makes a plan for the clone's instance as it is now, and its journal.
func (p *player) begin(ctx context.Context, target artifact.Artifact) (migrate.Record, error) {
	pid, err := nginx.ReadPidFile(p.PidFile)
	if err != nil {
		return migrate.Record{}, err
	}
	i, err := nginx.Inspect(ctx, p.fs, pid)
	if err != nil {
		return migrate.Record{}, err
	}
	i.Supervisor = nginx.Supervisor{} // none looks after the clone, whatever cgroup it was born in
	plan, err := migrate.NewPlan(p.fs, i, target, nil)
	if err != nil {
		return migrate.Record{}, err
	}
	return p.state.Begin(plan)
}

// carry carries a migration on until it stops. watch sees its events as they come.
func (p *player) carry(ctx context.Context, rec migrate.Record, o migrate.Options, prepare func(*migrate.Engine), watch func(journal.Event)) (migrate.Outcome, error) {
	begun := map[string]time.Time{}
	engine, err := migrate.NewEngine(rec, o, migrate.Deps{
		FS: p.fs, Log: p.log,
		Artifact: func() (artifact.Artifact, error) { return p.store.Get(rec.Plan.Target.Artifact) },
		Emit: func(e journal.Event) {
			switch e.Event {
			case journal.Intent:
				begun[e.Step] = e.Time
			case journal.Done:
				p.steps = append(p.steps, Step{Name: e.Step, Took: e.Time.Sub(begun[e.Step])})
			}
			if watch != nil {
				watch(e)
			}
		},
	})
	if err != nil {
		return migrate.Outcome{}, err
	}
	defer engine.Close()
	if prepare != nil {
		prepare(engine)
	}
	return engine.Run(ctx)
}

// expect is carry to a phase, and nothing less.
func (p *player) expect(ctx context.Context, rec migrate.Record, o migrate.Options, want migrate.Phase, prepare func(*migrate.Engine), watch func(journal.Event)) error {
	outcome, err := p.carry(ctx, rec, o, prepare, watch)
	if err != nil {
		return err
	}
	if outcome.Phase != want || outcome.Held || outcome.Interrupted {
		return fmt.Errorf("it ended %s, not %s: %s", outcome.Phase, want, outcome.Reason)
	}
	return nil
}

func (p *player) thereAndBack(ctx context.Context, phase migrate.Phase) error {
	rec, err := p.begin(ctx, p.target)
	if err != nil {
		return err
	}
	if err := p.expect(ctx, rec, p.options(phase), phase, nil, nil); err != nil {
		return err
	}
	if err := p.expect(ctx, rec, p.options(phase), migrate.RolledBack, (*migrate.Engine).RollBack, nil); err != nil {
		return fmt.Errorf("on the way back: %w", err)
	}
	return p.restored()
}

// crash kills the new master as soon as the step is done, while the gate behind it is open. graft has
// to notice by itself, and to bring the old binary back.
func (p *player) crash(ctx context.Context, after migrate.Action) error {
	rec, err := p.begin(ctx, p.target)
	if err != nil {
		return err
	}
	o := p.options(migrate.Finished)
	if after == migrate.Start {
		o.Policy.Gates.Overlap = never
	} else {
		o.Policy.Gates.Park = never
	}
	var master nginx.Process
	killed := errors.New("it was never reached")
	err = p.expect(ctx, rec, o, migrate.RolledBack, nil, func(e journal.Event) {
		if e.Event != journal.Done {
			return
		}
		if e.Step == string(migrate.Start) {
			var v migrate.Verified
			if err := json.Unmarshal(e.Data, &v); err == nil {
				master = v.Master
			}
		}
		if e.Step == string(after) {
			killed = kill(p.fs, master)
		}
	})
	if killed != nil {
		return errors.Join(fmt.Errorf("kill the new master: %w", killed), err)
	}
	if err != nil {
		return err
	}
	return p.restored()
}

// kill is the crash. It is no signal to an instance of the host: the process is the clone's, in a pid
// namespace where no other exists.
func kill(pfs procfs.FS, master nginx.Process) error {
	if !sandbox.Inside() {
		return errors.New("not in a sandbox")
	}
	stat, err := pfs.Stat(master.PID)
	if err != nil {
		return err
	}
	if stat.StartTime != master.StartTime {
		return nginx.ErrGone
	}
	return unix.Kill(master.PID, unix.SIGKILL) //nolint:forbidigo // the crash that is rehearsed
}

func (p *player) whole(ctx context.Context) error {
	rec, err := p.begin(ctx, p.target)
	if err != nil {
		return err
	}
	return p.expect(ctx, rec, p.options(migrate.Finished), migrate.Finished, nil, nil)
}

// back takes the finished migration back, from its backup.
func (p *player) back(ctx context.Context) error {
	finished, err := p.state.Current()
	if err != nil {
		return err
	}
	backup, err := finished.Backup()
	if err != nil {
		return err
	}
	built, err := nginx.Ask(ctx, backup.Path)
	if err != nil {
		return err
	}
	before, err := p.store.PutBinary(ctx, backup.Path, built)
	if err != nil {
		return err
	}
	rec, err := p.begin(ctx, before)
	if err != nil {
		return err
	}
	if err := p.expect(ctx, rec, p.options(migrate.Finished), migrate.Finished, nil, nil); err != nil {
		return err
	}
	if _, err := finished.Remove(p.fs); err != nil {
		return err
	}
	return p.restored()
}

// restored sees that the old binary is on disk and runs.
func (p *player) restored() error {
	pid, err := nginx.ReadPidFile(p.PidFile)
	if err != nil {
		return err
	}
	for _, path := range []string{p.Binary, p.fs.Path(pid, "exe")} {
		sum, err := procfs.SHA256(path)
		if err != nil {
			return err
		}
		if sum != p.old {
			return fmt.Errorf("%s is not the old binary (SHA-256 %s)", path, sum)
		}
	}
	if _, err := os.Stat(nginx.OldBin(p.PidFile)); err == nil {
		return fmt.Errorf("%s was left behind", nginx.OldBin(filepath.Clean(p.PidFile)))
	}
	return nil
}
