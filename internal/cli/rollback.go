package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"graft/internal/migrate"
	"graft/internal/nginx"
	"graft/internal/policy"
	"graft/internal/procfs"
)

func (a *app) resumeCommand() *cobra.Command {
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Go on with the migration from wherever the host is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.recall(cmd, &flags); err != nil {
				return err
			}
			if flags.detach {
				return a.detach(cmd.Context(), cmd.Flags(), "")
			}
			return a.takeOver(cmd.Context(), flags.options, migrate.Finished, nil)
		},
	}
	flags.add(cmd)
	return cmd
}

func (a *app) finishCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "finish",
		Short: "End the old master now, without waiting for the park to be over",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := a.look(migrate.Look)
			if err != nil {
				return err
			}
			if status.Phase != migrate.Parked && status.Phase != migrate.Finished {
				return failf(CodeFailed, waysToPark(status)+"; nothing was changed", "finish ends a parked migration; this one is %s", status.Phase)
			}
			if ordered, err := a.order(cmd.Context(), migrate.OrderFinish, migrate.Finished); ordered || err != nil {
				return err
			}
			options, err := a.remembered()
			if err != nil {
				return err
			}
			options.Policy.Gates.Park = 0
			return a.takeOver(cmd.Context(), options, migrate.Finished, (*migrate.Engine).PassByHand)
		},
	}
}

// waysToPark is what leads from here to a migration that can be finished.
func waysToPark(s migrate.Status) string {
	switch {
	case s.Phase == migrate.Halted:
		return "graft status tells what there is and what helps"
	case s.Phase == migrate.RolledBack:
		return "the old binary serves alone; a new plan begins another migration: graft plan --to … --out FILE"
	case s.Goal == migrate.RolledBack:
		return "it is on its way back; graft resume leads there"
	}
	return "graft resume --until parked leads there"
}

func (a *app) rollbackCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rollback",
		Short: "Bring the old binary back, from any phase",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if ordered, err := a.order(ctx, migrate.OrderRollback, migrate.RolledBack); ordered || err != nil {
				return err
			}
			return a.takeOver(ctx, returnOptions(), migrate.RolledBack, (*migrate.Engine).RollBack)
		},
	}
}

// returnOptions are those of the way back from finished: a migration that should not take days.
func returnOptions() migrate.Options {
	o := migrate.Defaults()
	short := policy.Duration(2 * time.Second)
	o.Policy.Gates, o.Policy.Minimum.Requests, o.Policy.Baseline = policy.Gates{Overlap: short, Park: short}, 0, 0
	o.Policy.Undetermined, o.Policy.Degraded = policy.GiveUp, policy.Proceed // the old binary is known
	return o
}

// takeOver takes the lock and carries the current migration on. It has done what it was asked for if
// that ends in the wanted phase.
func (a *app) takeOver(ctx context.Context, opts migrate.Options, wanted migrate.Phase, prepare func(*migrate.Engine)) error {
	state, err := a.state()
	if err != nil {
		return err
	}
	lock, err := state.Lock(holder(""))
	if err != nil {
		return err
	}
	defer lock.Release()
	rec, err := state.Current()
	if err != nil {
		return err
	}
	if err := lock.Describe(holder(rec.ID)); err != nil {
		return err
	}
	switch ended := rec.Ended(); {
	case ended == migrate.RolledBack:
		a.say("migration %s is rolled back already", rec.ID)
		return a.answerStatus(rec)
	case ended == migrate.Finished && wanted == migrate.RolledBack:
		return a.goBack(ctx, state, rec)
	case ended == migrate.Finished:
		a.say("migration %s is finished already", rec.ID)
		return a.answerStatus(rec)
	}
	if rec.Plan.Returns != "" {
		return a.completeReturn(ctx, state, rec)
	}
	outcome, err := a.run(ctx, state, rec, opts, wanted, prepare)
	if err != nil || !outcome.Return {
		return err
	}
	if err := a.goBack(ctx, state, rec); err != nil || wanted == migrate.RolledBack {
		return err
	}
	return outcomeError(migrate.Outcome{Phase: migrate.RolledBack, Reason: outcome.Reason})
}

// completeReturn goes on with the way back from a finished migration. Whoever asks for resume or for
// rollback there wants the same: the binary that served before.
func (a *app) completeReturn(ctx context.Context, state migrate.State, rec migrate.Record) error {
	if _, err := a.run(ctx, state, rec, returnOptions(), migrate.Finished, nil); err != nil {
		return err
	}
	first, err := state.Read(rec.Plan.Returns)
	if err != nil {
		return err
	}
	left, err := first.Remove(a.fs)
	for _, file := range left {
		a.say("left: %s", file)
	}
	return err
}

// recall makes the options of resume: what its flags leave open is as it was when the migration began.
func (a *app) recall(cmd *cobra.Command, flags *runFlags) error {
	before, err := a.remembered()
	if err != nil {
		return err
	}
	return flags.settle(cmd, before)
}

// remembered are the options that the current migration was last run with, and lead on from where it is.
func (a *app) remembered() (migrate.Options, error) {
	o := migrate.Defaults()
	state, err := a.state()
	if err != nil {
		return o, err
	}
	rec, err := state.Current()
	if err != nil {
		return o, err
	}
	if last, ok := rec.Options(); ok {
		o = last
	}
	status, err := migrate.Look(a.fs, rec)
	if err != nil {
		return o, err
	}
	if status.Phase == o.Until || status.Phase == migrate.Parked {
		o.Until = migrate.Finished // it got where it was to stop: going on leads further
	}
	return o, nil
}

// goBack migrates a finished instance the other way, to the kept backup.
func (a *app) goBack(ctx context.Context, state migrate.State, rec migrate.Record) error {
	backup, err := rec.Backup()
	if err != nil {
		return failf(CodeHalted, "", "%w", err)
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	built, err := nginx.Ask(ctx, backup.Path)
	if err != nil {
		return failf(CodeBlocked, "what the old binary needs is no longer here: put it back, then graft rollback", "%w", err)
	}
	target, err := store.PutBinary(ctx, backup.Path, built)
	if err != nil {
		return err
	}
	pid, err := nginx.ReadPidFile(rec.Plan.Old.PidFile)
	if err != nil {
		return failf(CodeHalted, "", "%w", err)
	}
	i, err := nginx.Inspect(ctx, a.fs, pid)
	if err != nil {
		return err
	}
	plan, err := a.plan(ctx, i, target)
	if err != nil {
		return err
	}
	if plan.Nothing() {
		a.say("the old binary runs already")
		return nil
	}
	if err := verdictOf(plan, false); err != nil {
		a.showPlan(a.Err, plan, "")
		return err
	}
	plan.Returns = rec.ID
	back, err := state.Begin(plan)
	if err != nil {
		return err
	}
	a.say("finished already: going back is a migration of its own, %s", back.ID)
	return a.completeReturn(ctx, state, back)
}

// order hands an order to the graft that runs, and shows what it does until it ends. ordered is
// false if none runs.
func (a *app) order(ctx context.Context, order string, wanted migrate.Phase) (ordered bool, err error) {
	state, err := a.state()
	if err != nil {
		return false, err
	}
	rec, err := state.Current()
	if err != nil {
		return false, err
	}
	show := a.timeline(rec)
	var outcome *migrate.Outcome
	err = migrate.Send(ctx, state.Socket(), migrate.Request{Command: order, Name: os.Getenv("SUDO_USER")}, func(r migrate.Reply) error {
		if r.Event != nil {
			show(*r.Event)
		}
		outcome = r.Outcome
		return nil
	})
	if errors.Is(err, migrate.ErrNoRunner) {
		return false, nil
	}
	if err != nil || outcome == nil {
		return true, err
	}
	if outcome.Return {
		return false, nil
	}
	return true, a.conclude(rec, *outcome, wanted)
}

func (a *app) answerStatus(rec migrate.Record) error {
	status, err := migrate.Look(a.fs, rec)
	if err != nil {
		return err
	}
	return a.answer(status, func(w io.Writer) { a.showStatus(w, status) })
}

// look is the status of the migration that this host is in, or was in last. at is migrate.Look, or looks
// further.
func (a *app) look(at func(procfs.FS, migrate.Record) (migrate.Status, error)) (migrate.Status, error) {
	state, err := a.state()
	if err != nil {
		return migrate.Status{}, err
	}
	rec, err := state.Current()
	if err != nil {
		return migrate.Status{}, err
	}
	status, err := at(a.fs, rec)
	if err != nil {
		return status, fmt.Errorf("look at migration %s: %w", rec.ID, err)
	}
	return status, nil
}
