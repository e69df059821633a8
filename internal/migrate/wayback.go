package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"graft/internal/analysis"
	"graft/internal/gate"
	"graft/internal/journal"
)

// WayBack is what was seen of a rollback: how soon it came, and that the old binary serves as before.
type WayBack struct {
	VerdictAt time.Time     `json:"verdict_at,omitzero"`    // when the gate's verdict was recorded; zero: no gate asked for it
	First     time.Duration `json:"first_act_ns,omitempty"` // from the verdict to the first act's announcement
	Answering time.Duration `json:"answering_ns,omitempty"` // until the old master's workers were proven to answer, if they were away
	Whole     time.Duration `json:"whole_ns,omitempty"`     // until everything was as it was
	Asked     int           `json:"asked,omitempty"`        // probes that were answered before and were sent again
	Differ    []string      `json:"differ,omitempty"`       // those that are answered otherwise now
	Unseen    string        `json:"not_verified,omitempty"` // why nobody was asked
}

// String says it in a line; empty if there is nothing to say.
func (w WayBack) String() string {
	var parts []string
	if !w.VerdictAt.IsZero() {
		parts = append(parts, fmt.Sprintf("the first act came %s after the verdict, all was back after %s", short(w.First), short(w.Whole)))
	}
	switch {
	case w.Unseen != "":
		parts = append(parts, "whether it answers as before was not seen: "+w.Unseen)
	case len(w.Differ) > 0:
		parts = append(parts, fmt.Sprintf("%d of %d probes do not answer as before: %s", len(w.Differ), w.Asked, strings.Join(w.Differ, "; ")))
	case w.Asked > 0:
		parts = append(parts, fmt.Sprintf("all %d probes answer as before", w.Asked))
	}
	return strings.Join(parts, "; ")
}

func short(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// timesBack reads from the journal when a rollback's parts came, up to now.
func timesBack(events []journal.Event, now time.Time) (w WayBack) {
	turn := -1
	for i, e := range events {
		if e.Step == stepTurn {
			turn = i
		}
	}
	if turn < 1 {
		return w
	}
	var g Gate
	if last := events[turn-1]; last.Step != stepGate || json.Unmarshal(last.Data, &g) != nil || g.Verdict != analysis.Fail {
		return w
	}
	w.VerdictAt = events[turn-1].Time
	for _, e := range events[turn:] {
		if e.Event == journal.Intent && w.First == 0 {
			w.First = e.Time.Sub(w.VerdictAt)
		}
		if e.Step == string(Revive) && e.Event == journal.Done {
			w.Answering = e.Time.Sub(w.VerdictAt)
		}
	}
	w.Whole = now.Sub(w.VerdictAt)
	return w
}

// wayBack looks whether the old binary answers as it did before, once all is back.
func (e *Engine) wayBack(ctx context.Context, old Master) *WayBack {
	w := timesBack(e.events, time.Now())
	b, err := e.readBefore()
	if err != nil {
		w.Unseen = "how it answered before is not known: " + err.Error()
		return &w
	}
	e.targets = nil // the addresses as they are now
	targets, err := e.addresses(old)
	if err != nil {
		w.Unseen = err.Error()
		return &w
	}
	targets = slices.Concat(targets, e.probes)
	w.Asked, w.Differ = b.Baseline.Differs(targets, gate.TakeBaseline(ctx, targets))
	return &w
}
