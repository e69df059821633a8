package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"graft/internal/gate"
	"graft/internal/journal"
)

// Unprobed is what the journal tells of targets that the gates leave out.
type Unprobed struct {
	Targets []string `json:"not_probed"` // each with the reason
}

func (u Unprobed) String() string {
	const most = 3
	text := strings.Join(u.Targets[:min(most, len(u.Targets))], "; ")
	if n := len(u.Targets) - most; n > 0 {
		text += fmt.Sprintf("; and %d more", n)
	}
	return text
}

// mustAnswer turns back, while nothing has been changed, where a probe that the operator named fails already:
// the gates would leave it out, and decide without what the operator relies on. Once something has begun, and
// on the way back, nobody is kept from going on.
func (e *Engine) mustAnswer(ctx context.Context, seen Seen) (*Outcome, error) {
	begun := slices.ContainsFunc(e.events, func(event journal.Event) bool { return event.Step == string(Stage) })
	if begun || e.rec.Plan.Returns != "" || len(e.opts.Policy.Probes.URLs) == 0 {
		return nil, nil
	}
	if _, err := e.addresses(seen.Old); err != nil {
		return nil, err
	}
	wrong := gate.MustFit(ctx, e.probes)
	if ctx.Err() != nil {
		return &Outcome{Phase: e.phase, Interrupted: true}, nil
	}
	if len(wrong) == 0 {
		return nil, nil
	}
	return nil, e.turn("a probe that you named fails before anything is changed, so it could not tell the new binary from the old: " +
		strings.Join(wrong, "; ") + "; correct it, or leave it out of the policy's probes and --probe")
}

// unprobed is what the journal told last of targets that are left out.
func unprobed(events []journal.Event) []string {
	for _, e := range slices.Backward(events) {
		var u Unprobed
		if e.Step == stepProbes && json.Unmarshal(e.Data, &u) == nil {
			return u.Targets
		}
	}
	return nil
}
