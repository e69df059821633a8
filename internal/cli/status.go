package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graft/internal/gate"
	"graft/internal/guard"
	"graft/internal/journal"
	"graft/internal/migrate"
	"graft/internal/pkgmanager"
	"graft/internal/procfs"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show where the migration stands, seen on the host right now",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := a.state()
			if err != nil {
				return err
			}
			var status *migrate.Status
			err = migrate.Ask(cmd.Context(), state.Socket(), "status", func(r migrate.Reply) error {
				status = r.Status
				return nil
			})
			if errors.Is(err, migrate.ErrNoRunner) {
				var seen migrate.Status
				seen, err = a.look(func(fs procfs.FS, rec migrate.Record) (migrate.Status, error) {
					return migrate.LookGuarded(cmd.Context(), fs, rec)
				})
				status = &seen
			}
			if err != nil {
				return err
			}
			return a.answer(status, func(w io.Writer) { a.showStatus(w, *status) })
		},
	}
}

func (a *app) showStatus(w io.Writer, s migrate.Status) {
	fmt.Fprintf(w, "migration %s: %s", s.Migration, s.Phase)
	if !s.Since.IsZero() {
		fmt.Fprintf(w, " since %s (%s)", s.Since.Local().Format(time.DateTime), time.Since(s.Since).Round(time.Second))
	}
	fmt.Fprintln(w)
	if s.Reason != "" {
		fmt.Fprintf(w, "  why       %s\n", s.Reason)
	}
	fmt.Fprintf(w, "  old       %s: %s\n", s.Old.Name, s.Old.Master)
	fmt.Fprintf(w, "  new       %s: %s\n", s.New.Name, s.New.Master)
	a.showGate(w, s.Gate)
	if len(s.Unprobed) > 0 {
		fmt.Fprintf(w, "  probes    %s\n", migrate.Unprobed{Targets: s.Unprobed})
	}
	for _, f := range s.Guards {
		fmt.Fprintf(w, "  guard     %s: %s\n            since %s; → %s\n", f.ID, f.Evidence, f.Since.Local().Format(time.DateTime), strings.ReplaceAll(f.Remedy, "\n", "\n            "))
	}
	if !s.Phase.Terminal() {
		running := "none is at work on it"
		if s.Running {
			running = "at work on it"
		}
		fmt.Fprintf(w, "  graft     %s\n", running)
	}
	if s.Next != "" {
		fmt.Fprintf(w, "  next      %s\n", s.Next)
	}
	if s.Rollback != "" {
		fmt.Fprintf(w, "  rollback  %s\n", s.Rollback)
	}
}

func (a *app) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "history [MIGRATION]",
		Short: "List the migrations of this host, or everything that one of them did and saw",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := a.state()
			if err != nil {
				return err
			}
			list, err := state.List()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.answer(map[string]any{"migrations": summaries(list)}, func(w io.Writer) { showHistory(w, list) })
			}
			for _, rec := range list {
				if rec.ID == args[0] {
					return a.answer(map[string]any{"migration": rec.ID, "events": rec.Events}, func(w io.Writer) {
						for _, e := range rec.Events {
							fmt.Fprintf(w, "%s  %-11s %-8s %-8s %s\n", e.Time.Local().Format("2006-01-02 15:04:05.000"), e.Phase, e.Step, e.Event, e.Data)
						}
					})
				}
			}
			return failf(CodeUsage, "graft history lists them", "no migration %s", args[0])
		},
	}
}

type summary struct {
	Migration string        `json:"migration"`
	Begun     time.Time     `json:"begun"`
	From      string        `json:"from"`
	To        string        `json:"to"`
	Ended     migrate.Phase `json:"ended,omitempty"`
}

func summaries(list []migrate.Record) []summary {
	all := make([]summary, len(list))
	for i, rec := range list {
		all[i] = summary{
			Migration: rec.ID, From: string(rec.Plan.Old.Flavor) + " " + rec.Plan.Old.Version, To: rec.Plan.Target.Name,
			Begun: rec.Begun(), Ended: rec.Ended(),
		}
	}
	return all
}

func showHistory(w io.Writer, list []migrate.Record) {
	for _, s := range summaries(list) {
		ended := string(s.Ended)
		if ended == "" {
			ended = "under way"
		}
		fmt.Fprintf(w, "%s  %-11s  %s → %s\n", s.Migration, ended, s.From, s.To)
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "none")
	}
}

// describe puts an event into words; empty for one that says nothing to a person.
func describe(e journal.Event) string {
	words := map[string]string{
		string(migrate.Stage):    "back up the running binary, place the runtime",
		string(migrate.Swap):     "put the new binary at the path",
		string(migrate.Start):    "USR2 to the old master",
		string(migrate.Verify):   "see that the new master serves",
		string(migrate.Park):     "WINCH to the old master",
		string(migrate.Finish):   "QUIT to the old master",
		string(migrate.Revive):   "HUP to the old master: its workers come back",
		string(migrate.Withdraw): "WINCH to the new master",
		string(migrate.Dismiss):  "QUIT to the new master",
		string(migrate.Rescue):   "HUP to the master that is left: it has no workers",
		string(migrate.Release):  "QUIT to workers that have lost their master",
		string(migrate.PutBack):  "put the old binary back",
		string(migrate.Unstage):  "remove the runtime again",
		"reread":                 "systemd reads the unit's PIDFile again",
		"reopen":                 "USR1 to a master that writes to rotated logs",
		string(migrate.Unguard):  "end the guard against the package manager",
	}
	var data struct {
		Reason string            `json:"reason"`
		Why    []string          `json:"why"`
		ID     string            `json:"id"`
		Over   bool              `json:"over"`
		Found  string            `json:"evidence"`
		Remedy string            `json:"remedy"`
		Guard  pkgmanager.Lifted `json:"guard"`

		Follows guard.Consequence `json:"follows"`
		migrate.Verified
	}
	_ = json.Unmarshal(e.Data, &data) // some events carry other shapes, and words of their own
	switch {
	case e.Step == "turn":
		return "turning back: " + data.Reason
	case e.Step == "asked":
		return told[migrate.Order](e.Data, migrate.Order.String)
	case e.Step == "baseline" && e.Event == journal.Failed:
		return "the days before could not be read, so the gates compare with nothing: " + data.Reason
	case e.Step == "baseline" && e.Event == journal.Done:
		return told(e.Data, migrate.Learned.String)
	case e.Step == "baseline":
		return told(e.Data, gate.Progress.String)
	case e.Step == "guard" && data.Over:
		return "guard: " + data.ID + ": over"
	case e.Step == "guard" && data.Follows == guard.Halt:
		return "guard: " + data.ID + ": " + data.Found // the halt that follows tells the options
	case e.Step == "guard":
		return fmt.Sprintf("guard: %s: %s → %s", data.ID, data.Found, data.Remedy)
	case e.Step == "probes":
		return "probes: " + told(e.Data, migrate.Unprobed.String)
	case e.Step == "gate" && data.Why != nil:
		var g migrate.Gate
		_ = json.Unmarshal(e.Data, &g)
		const telling = 3 // how long, the probes, the 5xx; or the worst reasons
		return fmt.Sprintf("gate: %s: %s", g.Verdict, strings.Join(data.Why[:min(telling, len(data.Why))], "; "))
	case e.Step == "gate":
		return "gate: watching"
	case e.Step == "wait":
		return "waiting: " + data.Reason
	case e.Step == "hold":
		return "holding: " + data.Reason
	case e.Step == "unit" && e.Event == journal.Observed:
		var u migrate.UnitSeen
		_ = json.Unmarshal(e.Data, &u)
		if u.Problem != "" {
			return u.Problem
		}
		return u.String()
	case e.Step == "unit":
		return "systemd was not asked: " + data.Reason
	case e.Step == "end":
		return "over"
	case words[e.Step] == "":
		return ""
	case e.Event == journal.Intent:
		return words[e.Step]
	case data.Guard.String() != "":
		return "  done: " + data.Guard.String()
	case e.Event == journal.Failed:
		return "  failed: " + data.Reason
	case data.Master.PID != 0:
		return fmt.Sprintf("  master %d, %d workers, %d sockets, answers on %d addresses, after %s",
			data.Master.PID, data.Workers, data.Sockets, len(data.Answered), data.Took.Round(100*time.Microsecond))
	}
	return "  done"
}

// told puts an event's data into the words of its type.
func told[T any](data json.RawMessage, words func(T) string) string {
	var t T
	_ = json.Unmarshal(data, &t) // what cannot be read is the zero value, which says little
	return words(t)
}
