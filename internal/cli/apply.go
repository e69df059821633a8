package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graft/internal/artifact"
	"graft/internal/gate"
	"graft/internal/journal"
	"graft/internal/migrate"
	"graft/internal/nginx"
	"graft/internal/policy"
	"graft/internal/preflight"
)

// runFlags are those of the commands that carry a migration on.
type runFlags struct {
	options migrate.Options // as the flags have it
	file    string          // the policy's; flags override it
	detach  bool
	bare    bool     // without a rehearsal
	probes  []string // URLs
}

func (r *runFlags) add(cmd *cobra.Command) {
	r.options = migrate.Defaults()
	o, p, f := &r.options, &r.options.Policy, cmd.Flags()
	f.StringVar(&r.file, "policy", "", "a file that says what the gates ask for and what follows from what they see: graft policy shows one")
	f.StringVar((*string)(&o.Until), "until", string(o.Until), "stop at overlap, parked or finished")
	f.DurationVar((*time.Duration)(&p.Gates.Overlap), "overlap", time.Duration(p.Gates.Overlap), "how long both serve before the gate decides")
	f.DurationVar((*time.Duration)(&p.Gates.Park), "park", time.Duration(p.Gates.Park), "how long the new binary serves alone before the gate decides")
	f.StringVar((*string)(&p.Undetermined), "undetermined", string(p.Undetermined), "where a gate lacks evidence: hold, proceed or rollback")
	f.StringVar((*string)(&p.Degraded), "degraded", string(p.Degraded), "where a gate sees what the policy only warns of: hold, proceed or rollback")
	f.Int64Var(&p.Minimum.Requests, "min-requests", p.Minimum.Requests, "requests in the access log that a gate asks for")
	f.Float64Var(&p.Probes.Rate, "probe-rate", p.Probes.Rate, "graft's own requests per second and listening address")
	f.StringArrayVar(&r.probes, "probe", nil, "a `URL` to probe besides what the configuration serves; may be given several times")
	f.DurationVar(&o.Patience, "patience", o.Patience, "how long a new master's start, or workers coming and going, may take")
	f.BoolVar(&o.NoPackageGuard, "no-package-guard", false, "let the package manager overwrite the binary and restart nginx meanwhile")
	f.BoolVar(&r.detach, "detach", false, "go on in the background, whatever happens to this terminal")
	f.BoolVar(&o.Stay, "stay", false, "where a gate holds, go on watching")
	_ = f.MarkHidden("stay") // what --detach gives to the graft in the background
}

// settle makes the options of a run: what was chosen before, then the policy's file, then the flags that
// were given.
func (r *runFlags) settle(cmd *cobra.Command, before migrate.Options) error {
	given, o := r.options, before
	if r.file != "" {
		p, err := policy.Load(r.file)
		if err != nil {
			return failf(CodeUsage, "docs/policy.md has every key; graft policy FILE shows what a file comes to", "%w", err)
		}
		o.Policy = p
	}
	for name, set := range map[string]func(){
		"until":            func() { o.Until = given.Until },
		"overlap":          func() { o.Policy.Gates.Overlap = given.Policy.Gates.Overlap },
		"park":             func() { o.Policy.Gates.Park = given.Policy.Gates.Park },
		"undetermined":     func() { o.Policy.Undetermined = given.Policy.Undetermined },
		"degraded":         func() { o.Policy.Degraded = given.Policy.Degraded },
		"min-requests":     func() { o.Policy.Minimum.Requests = given.Policy.Minimum.Requests },
		"probe-rate":       func() { o.Policy.Probes.Rate = given.Policy.Probes.Rate },
		"no-package-guard": func() { o.NoPackageGuard = given.NoPackageGuard },
		"patience":         func() { o.Patience = given.Patience },
	} {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
	o.Stay = given.Stay
	for _, url := range r.probes {
		spec, err := gate.ParseProbe(url)
		if err != nil {
			return failf(CodeUsage, "", "--probe: %w", err)
		}
		if !slices.ContainsFunc(o.Policy.Probes.URLs, func(have gate.ProbeSpec) bool { return have.URL == url }) {
			o.Policy.Probes.URLs = append(o.Policy.Probes.URLs, spec)
		}
	}
	r.options = o
	switch o.Until {
	case migrate.Overlap, migrate.Parked, migrate.Finished:
	default:
		return failf(CodeUsage, "", "--until %s: want overlap, parked or finished", o.Until)
	}
	for flag, end := range map[string]policy.End{"undetermined": o.Policy.Undetermined, "degraded": o.Policy.Degraded} {
		switch end {
		case policy.Hold, policy.Proceed, policy.GiveUp:
		default:
			return failf(CodeUsage, "", "--%s %s: want hold, proceed or rollback", flag, end)
		}
	}
	if o.Policy.Gates.Overlap < 0 || o.Policy.Gates.Park < 0 || o.Policy.Probes.Rate <= 0 || o.Patience <= 0 {
		return failf(CodeUsage, "", "--overlap and --park must not be negative, --probe-rate and --patience must be more than 0")
	}
	if err := o.Policy.Check(); err != nil {
		return failf(CodeUsage, "", "%w", err)
	}
	return nil
}

func (a *app) applyCommand() *cobra.Command {
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "apply PLAN",
		Short: "Carry out a plan: stage, swap, overlap, park, finish, with a gate before each step that is hard to turn back",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.settle(cmd, migrate.Defaults()); err != nil {
				return err
			}
			plan, err := a.loadPlan(args[0])
			if err != nil {
				return err
			}
			if flags.detach {
				return a.detach(cmd.Context(), cmd.Flags(), args[0])
			}
			if !flags.bare && !plan.Nothing() {
				if err := a.rehearsed(plan); err != nil {
					return err
				}
			}
			return a.apply(cmd.Context(), plan, flags.options)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.bare, "no-rehearsal", false, "apply without a green rehearsal of this plan")
	return cmd
}

func (a *app) migrateCommand() *cobra.Command {
	var sources buildFlags
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "migrate --source TARBALL|DIR|distro",
		Short: "Build, plan, rehearse and apply in one command",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.settle(cmd, migrate.Defaults()); err != nil {
				return err
			}
			if sources.source == "" {
				return required(cmd, "source")
			}
			if err := a.canAsk(); err != nil {
				return err // before a build that takes minutes
			}
			ctx := cmd.Context()
			i, err := a.atRest(ctx)
			if err != nil {
				return err
			}
			request, err := a.buildRequest(ctx, sources, "")
			if err != nil {
				return err
			}
			built, err := a.build(ctx, request, sources.install)
			if err != nil {
				return err
			}
			plan, err := a.plan(ctx, i, built.Artifact)
			if err != nil {
				return err
			}
			if !flags.options.NoPackageGuard {
				if plan, err = guarded(ctx, plan, i); err != nil {
					return err
				}
			}
			if !a.quiet {
				a.showPlan(a.Err, plan, "")
			}
			if err := verdictOf(plan, false); err != nil {
				return err
			}
			if plan.Nothing() {
				return nil
			}
			if err := a.rehearseFirst(ctx, plan, flags); err != nil {
				return err
			}
			if err := a.confirm("\nCarry this out?"); err != nil {
				return err
			}
			if flags.detach {
				file, err := a.keepPlan(plan)
				if err != nil {
					return err
				}
				return a.detach(ctx, cmd.Flags(), file)
			}
			return a.apply(ctx, plan, flags.options)
		},
	}
	sources.add(cmd)
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.bare, "no-rehearsal", false, "migrate without a rehearsal")
	return cmd
}

// apply begins a migration and carries it on.
func (a *app) apply(ctx context.Context, plan migrate.Plan, opts migrate.Options) error {
	if plan.Nothing() {
		a.say("nothing to do: this binary runs already")
		return nil
	}
	state, err := a.state()
	if err != nil {
		return err
	}
	lock, err := state.Lock(holder(""))
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := noneOpen(a, state); err != nil {
		return err
	}
	target, err := a.artifact(plan.Target.Artifact)
	if err != nil {
		return &Error{CodeStale, err, "the plan's artifact is not in this store: build it again, or give --state-dir"}
	}
	if plan, err = a.recheck(ctx, plan, target); err != nil {
		return err
	}
	rec, err := state.Begin(plan)
	if err != nil {
		return err
	}
	if err := lock.Describe(holder(rec.ID)); err != nil {
		return err
	}
	outcome, err := a.run(ctx, state, rec, opts, migrate.Finished, nil)
	if err != nil || !outcome.Return {
		return err
	}
	if err := a.goBack(ctx, state, rec); err != nil {
		return err
	}
	return outcomeError(migrate.Outcome{Phase: migrate.RolledBack, Reason: outcome.Reason})
}

// recheck sees that the host is the one that the plan was made on, and makes the checks once more:
// some of what they look at is in no fingerprint.
func (a *app) recheck(ctx context.Context, plan migrate.Plan, target artifact.Artifact) (migrate.Plan, error) {
	i, err := nginx.Inspect(ctx, a.fs, plan.Old.Master.PID)
	if err != nil {
		return plan, &migrate.StaleError{Plan: plan.ID, Changed: []string{err.Error()}}
	}
	if err := plan.CheckFresh(a.fs, i); err != nil {
		return plan, err
	}
	plan.Checks, err = preflight.Run(ctx, preflight.Subject{FS: a.fs, Instance: i, Target: target, StateDir: a.stateDir})
	if err != nil {
		return plan, err
	}
	if preflight.Worst(plan.Checks) == preflight.Blocker {
		a.showPlan(a.Err, plan, "")
		return plan, blocked(plan)
	}
	return plan, nil
}

// noneOpen refuses to begin while an earlier migration is under way.
func noneOpen(a *app, state migrate.State) error {
	open, err := a.underWay(state)
	if err != nil || open == nil {
		return err
	}
	return stillUnderWay(*open)
}

// underWay is the migration that is not over; nil if there is none.
func (a *app) underWay(state migrate.State) (*migrate.Status, error) {
	rec, err := state.Current()
	if errors.Is(err, migrate.ErrNone) {
		return nil, nil
	}
	if err != nil || rec.Over() {
		return nil, err
	}
	status, err := migrate.Look(a.fs, rec)
	if err != nil {
		return nil, err
	}
	return &status, nil
}

func stillUnderWay(s migrate.Status) *Error {
	return failf(CodeFailed, "graft status shows it; graft resume goes on with it, graft rollback takes it back; nothing was changed",
		"migration %s is under way (%s)", s.Migration, s.Phase)
}

func holder(migration string) journal.Holder {
	return journal.Holder{PID: os.Getpid(), Command: strings.Join(append([]string{"graft"}, os.Args[1:]...), " "), Migration: migration, Since: time.Now().UTC()}
}

// run carries a migration on under the lock. prepare may turn the engine around first.
func (a *app) run(ctx context.Context, state migrate.State, rec migrate.Record, opts migrate.Options, wanted migrate.Phase, prepare func(*migrate.Engine)) (migrate.Outcome, error) {
	runner := migrate.NewRunner()
	show := a.timeline(rec)
	engine, err := migrate.NewEngine(rec, opts, migrate.Deps{
		FS: a.fs, Artifact: func() (artifact.Artifact, error) { return a.artifact(rec.Plan.Target.Artifact) }, Log: a.log(), Orders: runner.Orders(),
		Emit: func(e journal.Event) { show(e); runner.Publish(e) },
	})
	if err != nil {
		return migrate.Outcome{}, err
	}
	defer engine.Close()
	if err := runner.Listen(ctx, state.Socket(), engine.Status); err != nil {
		return migrate.Outcome{}, err
	}
	if prepare != nil {
		prepare(engine)
	}
	outcome, err := engine.Run(ctx)
	if err != nil && outcome.Reason == "" {
		outcome.Reason = err.Error()
	}
	if endErr := runner.End(outcome); endErr != nil {
		a.log().Warn("close the runner's socket", "error", endErr)
	}
	if err != nil {
		return outcome, failf(CodeHalted, "the host is as graft status shows it; graft resume goes on, graft rollback goes back", "%w", err)
	}
	return outcome, a.conclude(rec, outcome, wanted)
}

// conclude answers with the outcome and gives it its exit code: none if it is what was wanted.
func (a *app) conclude(rec migrate.Record, o migrate.Outcome, wanted migrate.Phase) error {
	if o.Return {
		return nil // the caller goes on
	}
	if a.output != outputText {
		if err := a.answer(map[string]any{"migration": rec.ID, "outcome": o}, nil); err != nil {
			return err
		}
	}
	if o.Phase == wanted && !o.Held && !o.Contradicted() {
		return nil
	}
	return outcomeError(o)
}

func outcomeError(o migrate.Outcome) error {
	switch {
	case o.Interrupted:
		return failf(CodeInterrupted, "graft resume goes on, graft rollback goes back", "interrupted at %s, a safe point", o.Phase)
	case o.Contradicted():
		ended := string(o.Phase)
		if o.Reason != "" {
			ended += ": " + o.Reason
		}
		return failf(CodeInconclusive, o.Unit.Help, "%s; %s", ended, o.Unit.Problem)
	case o.Held && o.Phase == migrate.Finished:
		return failf(CodeInconclusive, "graft rollback brings the old binary back", "%s", o.Reason)
	case o.Held && o.Blind:
		return failf(CodeInconclusive, "watching on does not help: log errors to a file and reload, then graft resume; or pass it by graft watch pass --reason TEXT or --undetermined proceed; graft rollback goes back",
			"%s: %s", o.Reason, strings.Join(o.Why, "; "))
	case o.Held:
		return failf(CodeInconclusive, "graft resume watches on, graft watch pass --reason TEXT passes it (and so does --undetermined proceed), graft rollback goes back",
			"%s: %s", o.Reason, strings.Join(o.Why, "; "))
	case o.Phase == migrate.Halted && o.Remedy != "":
		return failf(CodeHalted, o.Remedy, "halted: %s", o.Reason)
	case o.Phase == migrate.Halted:
		return failf(CodeHalted, "graft inspect and graft history tell what there is; graft never guesses here", "halted: %s", o.Reason)
	case o.Phase == migrate.RolledBack && o.Untouched:
		return failf(CodeFailed, "nothing was changed on the host", "%s", o.Reason)
	case o.Phase == migrate.RolledBack:
		hint := "the old binary serves and is on disk"
		if o.Back != nil && o.Back.String() != "" {
			hint += "; " + o.Back.String()
		}
		return failf(CodeRolledBack, hint, "rolled back: %s", o.Reason)
	}
	return nil
}

// timeline shows the journal's events as they come: JSON lines on stdout, or words on stderr.
func (a *app) timeline(rec migrate.Record) func(journal.Event) {
	begin := time.Now()
	last := ""
	return func(e journal.Event) {
		if a.output == outputLines {
			_ = a.answer(e, nil)
			return
		}
		if a.quiet {
			return
		}
		text := describe(e)
		if text == "" {
			return
		}
		phase := ""
		if e.Phase != last {
			last, phase = e.Phase, e.Phase
		}
		fmt.Fprintf(a.Err, "%8.3fs  %-11s %s\n", time.Since(begin).Seconds(), phase, text)
	}
}
