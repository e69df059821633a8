package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"graft/internal/artifact"
	"graft/internal/migrate"
	"graft/internal/nginx"
	"graft/internal/pkgmanager"
	"graft/internal/preflight"
)

func (a *app) planCommand() *cobra.Command {
	var to, out string
	var detailed bool
	cmd := &cobra.Command{
		Use:   "plan --to ARTIFACT|BINARY",
		Short: "Show what a migration would do, and what stands in its way",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return required(cmd, "to")
			}
			i, err := a.atRest(cmd.Context())
			if err != nil {
				return err
			}
			target, err := a.target(cmd.Context(), to)
			if err != nil {
				return err
			}
			plan, err := a.plan(cmd.Context(), i, target)
			if err != nil {
				return err
			}
			if plan, err = guarded(cmd.Context(), plan, i); err != nil {
				return err
			}
			if out != "" {
				if err := migrate.SavePlan(out, plan); err != nil {
					return err
				}
			}
			if err := a.answer(plan, func(w io.Writer) { a.showPlan(w, plan, out) }); err != nil {
				return err
			}
			return verdictOf(plan, detailed)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "artifact (the start of its ID) or path of a binary")
	cmd.Flags().StringVar(&out, "out", "", "file to save the plan in, for graft apply")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit 3 if there is something to do, 0 if not")
	return cmd
}

// atRest is the instance that a plan is to be made for. While graft's own migration of it is under way
// there is nothing to plan, and what the checks advise, to end the other master, would cost requests.
func (a *app) atRest(ctx context.Context) (nginx.Instance, error) {
	list, err := a.instances(ctx)
	if err != nil {
		return nginx.Instance{}, err
	}
	state, err := a.state()
	if err != nil {
		return nginx.Instance{}, err
	}
	open, err := a.underWay(state)
	if err != nil {
		return nginx.Instance{}, err
	}
	if open != nil && !slices.ContainsFunc(list, func(i nginx.Instance) bool {
		return i.Master.PID != open.Old.PID && i.Master.PID != open.New.PID
	}) {
		return nginx.Instance{}, stillUnderWay(*open)
	}
	return onlyOne(list)
}

// target is an artifact of the store, or a binary that becomes one.
func (a *app) target(ctx context.Context, to string) (artifact.Artifact, error) {
	store, err := a.store()
	if err != nil {
		return artifact.Artifact{}, err
	}
	if !strings.Contains(to, "/") {
		item, err := store.Get(to)
		if err == nil || !errors.Is(err, artifact.ErrNotFound) {
			return item, err
		}
		if _, statErr := os.Stat(to); statErr != nil {
			return item, &Error{CodeUsage, err, "graft artifact list shows what there is; --to also takes the path of a binary"}
		}
	}
	path, err := filepath.Abs(to)
	if err != nil {
		return artifact.Artifact{}, err
	}
	built, err := nginx.Ask(ctx, path)
	var silent *nginx.AskError
	if errors.As(err, &silent) && strings.Contains(silent.Output, "loading shared libraries") {
		return artifact.Artifact{}, failf(CodeBlocked, "the new master's environment is empty too: install the library where the loader looks, or link with an rpath",
			"library-missing: %w", err)
	}
	if err != nil {
		return artifact.Artifact{}, failf(CodeUsage, "name a binary of the nginx family", "--to %s: %w", to, err)
	}
	return store.PutBinary(ctx, path, built)
}

// loadPlan reads a plan. A master named beside it has to be the plan's own: the plan decides whom graft
// works on.
func (a *app) loadPlan(file string) (migrate.Plan, error) {
	plan, err := migrate.LoadPlan(file)
	if err != nil {
		return plan, err
	}
	pid, err := a.named()
	if err != nil {
		return plan, err
	}
	if old := plan.Old; pid != 0 && pid != old.Master.PID {
		return plan, failf(CodeUsage, "leave out --pid and --pid-file, or make a plan for the other: graft plan --to … --out FILE; nothing was changed",
			"the plan is for master %d (%s), not %d", old.Master.PID, old.Binary, pid)
	}
	return plan, nil
}

func (a *app) plan(ctx context.Context, i nginx.Instance, target artifact.Artifact) (migrate.Plan, error) {
	checks, err := preflight.Run(ctx, preflight.Subject{FS: a.fs, Instance: i, Target: target, StateDir: a.stateDir})
	if err != nil {
		return migrate.Plan{}, err
	}
	return migrate.NewPlan(a.fs, i, target, checks)
}

// guarded adds to a plan what keeps the package manager from the file.
func guarded(ctx context.Context, plan migrate.Plan, i nginx.Instance) (migrate.Plan, error) {
	return plan.Guarded(pkgmanager.Host{Root: "/"}.Consider(ctx, plan.Old.Binary, i.Supervisor.Unit))
}

// verdictOf is the exit code that a plan deserves.
func verdictOf(p migrate.Plan, detailed bool) error {
	switch {
	case p.Nothing():
		return nil
	case preflight.Worst(p.Checks) == preflight.Blocker:
		return blocked(p)
	case detailed:
		return &Error{Code: CodeChanges, Err: errors.New("there is something to do"), Hint: "graft apply does it"}
	}
	return nil
}

func blocked(p migrate.Plan) *Error {
	var ids []string
	for _, c := range p.Checks {
		if c.Severity == preflight.Blocker {
			ids = append(ids, c.ID)
		}
	}
	return failf(CodeBlocked, "the plan tells what was seen and what helps; nothing was changed", "blocked by preflight: %s", strings.Join(ids, ", "))
}

func indent(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "         %s\n", strings.TrimRight(line, "\n"))
	}
}
