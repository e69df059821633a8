package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graft/internal/journal"
	"graft/internal/migrate"
	"graft/internal/policy"
	"graft/internal/procfs"
)

// How often a watcher looks: at the runner's word, and at the host itself where none is at work, which is
// dearer.
const (
	watchPeriod = time.Second
	lookPeriod  = 5 * time.Second
	// lineEvery is the time between two lines about a gate that goes on as before, off a terminal.
	lineEvery = time.Minute
)

func (a *app) watchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch [MIGRATION]",
		Short: "Watch a migration and its gate until it is over; pause, extend or pass the gate by hand",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			state, err := a.state()
			if err != nil {
				return err
			}
			rec, err := state.Current()
			if len(args) > 0 && err == nil && rec.ID != args[0] {
				if rec, err = state.Read(args[0]); err != nil {
					return failf(CodeUsage, "graft history lists them", "no migration %s: %w", args[0], err)
				}
			}
			if err != nil {
				return err
			}
			w := a.newWatcher(state, rec.ID)
			return w.run(cmd.Context())
		},
	}
	cmd.AddCommand(
		a.gateOrder("pause", "Stop the gate's clock: it neither passes nor runs out; what fails still rolls back", migrate.OrderPause, cobra.NoArgs),
		a.gateOrder("continue", "Let a paused gate go on", migrate.OrderContinue, cobra.NoArgs),
		a.gateOrder("extend DURATION", "Let the gate watch for longer: 30m, 2d", migrate.OrderExtend, cobra.ExactArgs(1)),
		a.gateOrder("pass", "Let the gate pass by hand, whatever it misses, unless it fails", migrate.OrderPass, cobra.NoArgs),
	)
	return cmd
}

// gateOrder is a command that gives the running graft an order about its gate.
func (a *app) gateOrder(use, short, do string, args cobra.PositionalArgs) *cobra.Command {
	request := migrate.Request{Command: do, Name: os.Getenv("SUDO_USER")}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if request.Reason == "" {
				return failf(CodeUsage, "the journal keeps it, with who asked", "why? --reason TEXT is required")
			}
			if do == migrate.OrderExtend {
				length, err := policy.ParseDuration(args[0])
				if err != nil || length <= 0 {
					return failf(CodeUsage, "", "extend by %s: want a duration as 30m or 2d", args[0])
				}
				request.Length = length
			}
			return a.giveOrder(cmd.Context(), request)
		},
	}
	cmd.Flags().StringVar(&request.Reason, "reason", "", "why; the journal keeps it")
	if do == migrate.OrderPause {
		cmd.Flags().BoolVar(&request.NoRollback, "no-rollback", false, "meanwhile nothing rolls back by comparison; crashes and lost probes still do")
	}
	return cmd
}

func (a *app) giveOrder(ctx context.Context, request migrate.Request) error {
	state, err := a.state()
	if err != nil {
		return err
	}
	var status *migrate.Status
	err = migrate.Send(ctx, state.Socket(), request, func(r migrate.Reply) error {
		status = r.Status
		return nil
	})
	switch {
	case errors.Is(err, migrate.ErrNoRunner) && request.Command == migrate.OrderPass:
		o, err := a.remembered()
		if err != nil {
			return err
		}
		return a.takeOver(ctx, o, migrate.Finished, func(e *migrate.Engine) {
			e.Obey(migrate.Order{Do: request.Command, By: migrate.Self(), Reason: request.Reason})
		})
	case errors.Is(err, migrate.ErrNoRunner):
		return failf(CodeFailed, "graft resume watches on; graft resume --detach does so in the background", "no graft is at work, so no gate's clock runs; nothing was changed")
	case err != nil:
		return failf(CodeFailed, "graft status shows where it stands; nothing was changed", "%w", err)
	}
	return a.answer(status, func(w io.Writer) { a.showStatus(w, *status) })
}

// watcher shows one migration as it goes on.
type watcher struct {
	*app
	state  migrate.State
	id     string
	screen *os.File // nil: not a terminal
	shown  int      // events that were told
	last   string   // the gate's verdict that was told last
	told   time.Time
}

func (a *app) newWatcher(state migrate.State, id string) *watcher {
	w := &watcher{app: a, state: state, id: id}
	if file, ok := a.Out.(*os.File); ok && a.output == outputText && isTerminal(file) && os.Getenv("TERM") != "dumb" {
		w.screen = file
	}
	return w
}

func (w *watcher) run(ctx context.Context) error {
	w.answered = w.output != outputText
	for {
		rec, status, err := w.look(ctx)
		if ctx.Err() != nil {
			return nil // the watcher went away; the migration goes on
		}
		if err != nil {
			return err
		}
		if err := w.tell(rec, status); err != nil {
			return err
		}
		if over, err := ended(rec, status); over {
			return err
		}
		period := watchPeriod
		if !status.Running {
			period = lookPeriod
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(period):
		}
	}
}

// look asks the graft that is at work on the migration, or looks at the host itself.
func (w *watcher) look(ctx context.Context) (migrate.Record, migrate.Status, error) {
	var status migrate.Status
	err := migrate.Ask(ctx, w.state.Socket(), "status", func(r migrate.Reply) error {
		if r.Status != nil {
			status = *r.Status
		}
		return nil
	})
	if err != nil && !errors.Is(err, migrate.ErrNoRunner) {
		return migrate.Record{}, status, err
	}
	rec, readErr := w.state.Read(w.id)
	if readErr != nil || err == nil && status.Migration == w.id {
		return rec, status, readErr
	}
	if rec.Ended() != "" { // the host may be in another migration by now
		return rec, migrate.Status{Migration: w.id, Phase: rec.Ended()}, nil
	}
	status, err = lookAt(ctx, w.fs, rec)
	return rec, status, err
}

func lookAt(ctx context.Context, fs procfs.FS, rec migrate.Record) (migrate.Status, error) {
	s, err := migrate.LookGuarded(ctx, fs, rec)
	if err != nil {
		return s, fmt.Errorf("look at migration %s: %w", rec.ID, err)
	}
	return s, nil
}

// ended tells whether there is nothing more to watch, and how it ended.
func ended(rec migrate.Record, s migrate.Status) (bool, error) {
	if s.Running {
		return false, nil
	}
	switch rec.Ended() {
	case migrate.Finished:
		return true, nil
	case migrate.RolledBack:
		return true, failf(CodeRolledBack, "the old binary serves and is on disk", "rolled back: %s", orUnknown(rec.Reason()))
	case migrate.Halted:
		return true, failf(CodeHalted, "graft status and graft history tell what there is", "halted: %s", orUnknown(rec.Reason()))
	}
	return false, nil
}

func orUnknown(reason string) string {
	if reason == "" {
		return "the journal does not say why"
	}
	return reason
}

// tell shows what is new.
func (w *watcher) tell(rec migrate.Record, s migrate.Status) error {
	fresh := rec.Events[min(w.shown, len(rec.Events)):]
	w.shown = len(rec.Events)
	switch {
	case w.output != outputText:
		for _, e := range fresh {
			if err := w.answer(e, nil); err != nil {
				return err
			}
		}
	case w.screen != nil:
		w.draw(rec, s)
	default:
		for _, e := range fresh {
			if text := describe(e); text != "" {
				w.line(e.Time, e.Phase, text)
			}
		}
		w.gateLine(s)
	}
	return nil
}

func (w *watcher) line(at time.Time, phase, text string) {
	fmt.Fprintf(w.Out, "%s  %-11s %s\n", at.Local().Format("2006-01-02 15:04:05"), phase, text)
}

// gateLine tells what the gate says: at once when its verdict changes, and else now and then.
func (w *watcher) gateLine(s migrate.Status) {
	if len(s.Gate.Why) == 0 || !s.Running {
		return
	}
	verdict := s.Gate.Verdict.String() + s.Gate.Rest + s.Gate.Waits
	if verdict == w.last && time.Since(w.told) < lineEvery {
		return
	}
	w.last, w.told = verdict, time.Now()
	text := fmt.Sprintf("gate: %s%s: %s", s.Gate.Verdict, progress(s.Gate), s.Gate.Why[0])
	if s.Gate.Rest != "" {
		text += "; its clock stands: " + s.Gate.Rest
	} else if s.Gate.Waits != "" {
		text += "; waiting: " + s.Gate.Waits
	}
	w.line(w.told, string(s.Phase), text)
}

// lastEvents is how many of the journal's lines a screen shows.
const lastEvents = 6

// draw writes the screen anew over the one before: the cursor goes home, each line is cut where it ends, and
// what was below is wiped.
func (w *watcher) draw(rec migrate.Record, s migrate.Status) {
	var page strings.Builder
	w.showStatus(&page, s)
	var lines []string
	for _, e := range rec.Events {
		if text := describe(e); text != "" && e.Event != journal.Done {
			lines = append(lines, fmt.Sprintf("  %s  %-11s %s", e.Time.Local().Format(time.TimeOnly), e.Phase, text))
		}
	}
	fmt.Fprintf(&page, "\n%s\n\nCtrl-C leaves; the migration goes on. graft watch pause|continue|extend|pass --reason TEXT\n", strings.Join(lines[max(0, len(lines)-lastEvents):], "\n"))
	fmt.Fprint(w.screen, "\x1b[H"+strings.ReplaceAll(page.String(), "\n", "\x1b[K\n")+"\x1b[J")
}
