package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"graft/internal/migrate"
	"graft/internal/systemd"
)

// runnerLog takes what a detached graft says.
const runnerLog = "runner.log"

// keepPlan saves a plan in the state directory, for a detached graft to read.
func (a *app) keepPlan(plan migrate.Plan) (string, error) {
	state, err := a.state()
	if err != nil {
		return "", err
	}
	file := filepath.Join(state.Dir(), "plan-"+plan.ID+".json")
	return file, migrate.SavePlan(file, plan)
}

// detach runs apply of the plan file, or resume if it is empty, in a process that outlives this
// terminal: a transient unit where systemd runs, a session of its own elsewhere. flags are those of the
// command that detaches.
func (a *app) detach(ctx context.Context, flags *pflag.FlagSet, plan string) error {
	state, err := a.state()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	args := detachedArgs(flags, plan)
	if plan != "" {
		if args[1], err = filepath.Abs(plan); err != nil {
			return fmt.Errorf("detach: %w", err)
		}
	}
	logFile := filepath.Join(state.Dir(), runnerLog)
	out, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	defer out.Close()
	args = append(args, "--state-dir", state.Dir())
	name, outlives, ended := self, context.WithoutCancel(ctx), make(chan error, 1)
	if systemd.Running() {
		pid := strconv.Itoa(os.Getpid())
		unit := []string{"--quiet", "--collect", "--wait", "--pipe", "--unit", "graft-" + pid}
		// A unit sees systemd's own files: not the master's, if that has PrivateTmp= or the like and graft was
		// started among them.
		if same, err := a.fs.SameNamespace(1, "mnt"); err == nil && !same {
			unit = append(unit, "nsenter", "--target", pid, "--mount", "--root", "--wd", "--")
		}
		name, args = "systemd-run", append(append(unit, self), args...)
		// systemd-run itself only waits, to tell how the unit ended. Once graft answers from there nobody
		// asks for that, and the terminal's session keeps no process of graft's.
		var leave context.CancelFunc
		outlives, leave = context.WithCancel(outlives)
		defer func() {
			leave()
			for range ended { // closed when it is gone
			}
		}()
	}
	cmd := exec.CommandContext(outlives, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		close(ended)
		return fmt.Errorf("detach: %w", err)
	}
	go func() {
		ended <- cmd.Wait()
		close(ended)
	}()
	return a.awaitRunner(ctx, state, logFile, ended)
}

// detachedArgs are the command line of the detached graft. migrate has built, planned and rehearsed
// already: what is left to do is apply. Of the flags that were given it gets those that it knows.
func detachedArgs(flags *pflag.FlagSet, plan string) []string {
	command := []string{"resume", "--stay"}
	known := []string{"until", "overlap", "park", "undetermined", "degraded", "min-requests", "probe-rate", "patience", "no-package-guard"}
	if plan != "" {
		command, known = []string{"apply", plan, "--stay"}, append(known, "no-rehearsal")
	}
	flags.Visit(func(f *pflag.Flag) {
		if path, err := filepath.Abs(f.Value.String()); f.Name == "policy" && err == nil {
			command = append(command, "--policy="+path) // it is read from another directory
		}
		if urls, err := flags.GetStringArray("probe"); f.Name == "probe" && err == nil {
			for _, url := range urls {
				command = append(command, "--probe="+url)
			}
		}
		if slices.Contains(known, f.Name) {
			command = append(command, "--"+f.Name+"="+f.Value.String())
		}
	})
	return command
}

// awaitRunner returns when the detached graft answers, or has ended.
func (a *app) awaitRunner(ctx context.Context, state migrate.State, logFile string, ended <-chan error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			text, _ := os.ReadFile(logFile)
			fmt.Fprint(a.Err, string(text))
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return failf(Code(exit.ExitCode()), "", "the detached graft has ended; it wrote %s", logFile)
			}
			return err
		case <-tick.C:
			err := migrate.Ask(ctx, state.Socket(), "status", func(migrate.Reply) error { return nil })
			if err == nil {
				a.say("running in the background: graft status, graft finish, graft rollback; it writes %s", logFile)
				return nil
			}
		}
	}
}
