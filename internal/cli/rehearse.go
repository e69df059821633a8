package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graft/internal/migrate"
	"graft/internal/nginx"
	"graft/internal/preflight"
	"graft/internal/rehearse"
)

func (a *app) rehearseCommand() *cobra.Command {
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "rehearse PLAN",
		Short: "Play the whole migration on a clone of this host, and compare the answers of old and new",
		Long: "Rehearse clones this host copy-on-write into private namespaces and plays the plan there for real: forward, each\n" +
			"way back, and the death of the new master. Requests from the access logs and for every server and location of the\n" +
			"configuration go to the old and to the new binary, and their answers are compared. Production sees nothing of it.\n" +
			"A green rehearsal is what graft apply asks for. It exits 4 if the rehearsal is not green.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := a.loadPlan(args[0])
			if err != nil {
				return err
			}
			if plan.Nothing() {
				a.say("nothing to rehearse: this binary runs already")
				return nil
			}
			if patience <= 0 {
				return failf(CodeUsage, "", "--patience must be more than 0")
			}
			return a.rehearse(cmd.Context(), plan, patience)
		},
	}
	cmd.Flags().DurationVar(&patience, "patience", migrate.Defaults().Patience, "how long a new master's start, or workers coming and going, may take")
	return cmd
}

// rehearse plays the plan on a clone and keeps the result for apply. Without a green result it is an
// error.
func (a *app) rehearse(ctx context.Context, plan migrate.Plan, patience time.Duration) error {
	r, err := a.hold(ctx, plan, patience)
	if err != nil {
		return err
	}
	if err := a.answer(r, func(w io.Writer) { showRehearsal(w, r) }); err != nil {
		return err
	}
	return verdictOfRehearsal(r)
}

// hold is rehearse without the answer.
func (a *app) hold(ctx context.Context, plan migrate.Plan, patience time.Duration) (rehearse.Result, error) {
	if preflight.Worst(plan.Checks) == preflight.Blocker {
		return rehearse.Result{}, blocked(plan)
	}
	i, err := nginx.Inspect(ctx, a.fs, plan.Old.Master.PID)
	if err != nil {
		return rehearse.Result{}, &migrate.StaleError{Plan: plan.ID, Changed: []string{err.Error()}}
	}
	if err := plan.CheckFresh(a.fs, i); err != nil {
		return rehearse.Result{}, err
	}
	if _, err := a.artifact(plan.Target.Artifact); err != nil {
		return rehearse.Result{}, &Error{CodeStale, err, "the plan's artifact is not in this store: build it again, or give --state-dir"}
	}
	a.say("rehearsing on a clone of this host; nothing of it reaches nginx or its files")
	r, err := rehearse.Run(ctx, rehearse.Subject{FS: a.fs, Plan: plan, Instance: i, StateDir: a.stateDir, Patience: patience, Verbose: a.verbose}, func(act rehearse.Act) {
		a.say("%s", actLine(act))
	})
	if err != nil {
		return r, unrehearsed(err)
	}
	return r, rehearse.Save(a.stateDir, r)
}

// rehearseFirst is migrate's rehearsal: its words are for people, the answer is the migration's.
func (a *app) rehearseFirst(ctx context.Context, plan migrate.Plan, flags runFlags) error {
	if flags.bare {
		return nil
	}
	r, err := a.hold(ctx, plan, flags.options.Patience)
	if err != nil {
		return err
	}
	if !a.quiet {
		showRehearsal(a.Err, r)
	}
	return verdictOfRehearsal(r)
}

// unrehearsed gives an error that kept a rehearsal from being held its exit code.
func unrehearsed(err error) error {
	var u *rehearse.UnavailableError
	if errors.As(err, &u) {
		return failf(CodeBlocked, "run graft as root, or where user namespaces are allowed; or apply with --no-rehearsal", "%w", err)
	}
	if errors.Is(err, context.Canceled) {
		return failf(CodeInterrupted, "", "interrupted: the clone is gone, nothing was changed")
	}
	return err
}

func verdictOfRehearsal(r rehearse.Result) error {
	if r.Green {
		return nil
	}
	return failf(CodeBlocked, "nothing was changed; the lines above tell what failed or what differs", "the rehearsal failed: %s", strings.Join(r.Problems, "; "))
}

// rehearsed refuses a plan without a green rehearsal.
func (a *app) rehearsed(plan migrate.Plan) error {
	_, err := rehearse.Require(a.stateDir, plan)
	var missing *rehearse.MissingError
	if errors.As(err, &missing) {
		return failf(CodeBlocked, "graft rehearse PLAN holds one; --no-rehearsal applies without; nothing was changed", "%w", err)
	}
	return err
}

func actLine(act rehearse.Act) string {
	verdict := "ok"
	if !act.OK {
		verdict = "FAILED"
	}
	line := fmt.Sprintf("  %-6s %-18s %7s  %s", verdict, act.Name, round(act.Took), act.Does)
	if act.Problem != "" {
		line += "\n         " + act.Problem
	}
	return line
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// showRehearsal tells what was not shown act by act while it was played.
func showRehearsal(w io.Writer, r rehearse.Result) {
	c := r.Clients
	fmt.Fprintf(w, "clients  %d requests on %d addresses during the acts: %d answered, %d lost, %d apart\n", c.Sent, len(c.Addresses), c.Answered, c.Lost, c.Apart)
	for _, f := range c.Failures {
		indent(w, f)
	}
	if len(c.Silent) > 0 {
		indent(w, "not asked during the acts, only accepting was seen: "+strings.Join(c.Silent, ", "))
	}
	if p := r.Parity; p != nil {
		if p.Requests == 0 && r.Green {
			fmt.Fprintln(w, "parity   nothing to compare: the configuration has no server for HTTP, stream or mail over TCP")
		} else {
			fmt.Fprintf(w, "parity   %d requests (%d from the access logs, %d for servers and locations) to both binaries in %s: %s\n", p.Requests, p.FromLogs, p.FromConfig, round(p.Took), p.Summary())
			_ = p.WriteText(w, maxGroups)
		}
		for _, u := range p.Unanswered {
			indent(w, "no stub could stand in for "+u)
		}
		for _, l := range p.Logs {
			if l.Why != "" {
				indent(w, fmt.Sprintf("not sampled: %s %s", l.Path, l.Why))
			}
		}
	}
	if !r.Green {
		fmt.Fprintf(w, "RED      after %s\n", round(r.Took))
		for _, p := range r.Problems {
			indent(w, p)
		}
		return
	}
	fmt.Fprintf(w, "GREEN    after %s\n", round(r.Took))
}

// maxGroups is how many kinds of difference are shown; JSON has all.
const maxGroups = 20
