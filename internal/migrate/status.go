package migrate

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"graft/internal/analysis"
	"graft/internal/guard"
	"graft/internal/journal"
	"graft/internal/procfs"
)

// Status is a migration at one moment, as `graft status` shows it.
type Status struct {
	Migration string          `json:"migration"`
	Phase     Phase           `json:"phase"`
	Since     time.Time       `json:"since"` // when this phase was first seen
	Goal      Phase           `json:"goal,omitempty"`
	Reason    string          `json:"reason,omitempty"` // why it turned or halted
	Old       Side            `json:"old"`
	New       Side            `json:"new"`
	Gate      Gate            `json:"gate"`
	Guards    []guard.Finding `json:"guards"`               // what the guards have found and is not over
	Unprobed  []string        `json:"not_probed,omitempty"` // by the gates, each with the reason
	Running   bool            `json:"running"`              // a graft is at work on it
	Next      string          `json:"next"`
	Rollback  string          `json:"rollback"`
}

// Side is one of the two binaries and what runs it.
type Side struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Master
}

// Gate is what the gate of this phase says.
type Gate struct {
	Verdict  analysis.Verdict   `json:"verdict"`
	Why      []string           `json:"why"`
	Evidence *analysis.Evidence `json:"evidence,omitempty"`
	// Warned: an alarm is on that the policy only warns of.
	Warned   bool               `json:"warned,omitempty"`
	Findings []analysis.Finding `json:"findings,omitempty"`   // the worst first
	Watched  time.Duration      `json:"watched_ns,omitempty"` // of this gate's Length
	Length   time.Duration      `json:"length_ns,omitempty"`
	Extended time.Duration      `json:"extended_ns,omitempty"` // the part of Length that was added by hand
	Paused   *Pause             `json:"paused,omitempty"`
	Rest     string             `json:"rest,omitempty"`  // why the clock stands: a pause, a blackout
	Waits    string             `json:"waits,omitempty"` // what it waits for: the same, or a time at which the old master may end
}

// Look tells where a migration stands, from the host and the journal, without changing anything.
func Look(fs procfs.FS, rec Record) (Status, error) {
	seen, err := newObserver(fs, rec.Plan, rec.Dir).look()
	if err != nil {
		return Status{}, err
	}
	s := status(rec, seen)
	s.recall(rec)
	return s, nil
}

// recall adds what is kept of the phase's gate: no graft is at work on it, so that its clock stands.
func (s *Status) recall(rec Record) {
	if s.Phase.Terminal() {
		return
	}
	gates, err := readGates(filepath.Join(rec.Dir, gatesFile))
	if err != nil {
		s.Gate.Why = append(s.Gate.Why, err.Error())
		return
	}
	state := gates.Phases[s.Phase]
	if state == nil {
		return
	}
	g := &s.Gate
	g.Watched, g.Extended, g.Paused = state.Watched, state.Extended, gates.Paused
	if state.Length > 0 {
		g.Length = state.Length + state.Extended
	}
	g.Rest, g.Waits = "no graft is at work on it", ""
	if gates.Paused != nil {
		g.Rest += "; " + gates.Paused.String()
	}
}

func status(rec Record, seen Seen) Status {
	phase, reason := seen.Phase()
	p := rec.Plan
	s := Status{
		Migration: rec.ID, Phase: phase, Reason: reason, Goal: memory(rec.Events).Goal, Guards: []guard.Finding{},
		Old: Side{Name: string(p.Old.Flavor) + " " + p.Old.Version, SHA256: p.Old.Exe.SHA256, Master: seen.Old},
		New: Side{Name: p.Target.Name, SHA256: p.Target.SHA256, Master: seen.New},
	}
	switch ended := rec.Ended(); {
	case ended == RolledBack && (phase == Planned || phase == Finished), ended == Halted:
		s.Phase = ended
	}
	for _, e := range rec.Events {
		if told := reasonOf(e); told != "" && reason == "" && (e.Step == stepTurn || e.Step == stepHold || e.Step == stepEnd) {
			s.Reason = told
		}
		if since := Phase(e.Phase); since == s.Phase && s.Since.IsZero() {
			s.Since = e.Time
		} else if since != s.Phase {
			s.Since = time.Time{}
		}
	}
	s.Gate = lastWord(rec.Events, s.Phase)
	s.Unprobed = unprobed(rec.Events)
	s.Next, s.Rollback = ways(s.Phase, s.Goal, seen)
	return s
}

// lastWord is what the phase's gate said last, as the journal has it.
func lastWord(events []journal.Event, phase Phase) Gate {
	for _, e := range slices.Backward(events) {
		if Phase(e.Phase) != phase {
			break
		}
		var g Gate
		if e.Step != stepGate || json.Unmarshal(e.Data, &g) != nil || len(g.Why) == 0 {
			continue
		}
		return g
	}
	return Gate{Why: []string{}}
}

// ways names the commands that lead on and back.
func ways(phase, goal Phase, seen Seen) (next, rollback string) {
	const back = "graft rollback"
	if goal == RolledBack && !phase.Terminal() {
		return back, back
	}
	switch phase {
	case Planned, Staged, Swapped:
		return "graft resume", back
	case Overlap:
		return "graft resume --until parked", back
	case Parked:
		if seen.Old.Quitting {
			return "graft resume", back // both wait for its last connection
		}
		return "graft finish", back
	case Finished:
		return "", back
	case RolledBack:
		return "graft plan", ""
	}
	return "a person decides: graft inspect, graft history", back
}
