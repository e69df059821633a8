package gate

import (
	"context"
	"fmt"

	"graft/internal/probe"
)

// unfit tells why a target is not worth probing by how it answered before; empty if it is.
func unfit(t Target, b Before) string {
	switch {
	case b.Fate != probe.OK && b.Err != nil: // a baseline that was kept has no words any more
		return fmt.Sprintf("it did not answer before either (%s: %v)", b.Fate, b.Err)
	case b.Fate != probe.OK:
		return fmt.Sprintf("it did not answer before either (%s)", b.Fate)
	case t.Proof == Probed && t.Spec.URL == "" && b.Status >= 400:
		// Of a server's own, it would be a line in the error log for each try.
		return fmt.Sprintf("it answered %d before", b.Status)
	case t.Spec.URL != "" && len(b.Tries) > 0:
		if what := newFormer(t, b).unexpected(b.Tries[0]); what != "" {
			return "it was not as expected before either: " + what
		}
	}
	return ""
}

// Unprobed lists the targets that will not be probed, each with the reason.
func (b Baseline) Unprobed(targets []Target) (notes []string) {
	for _, t := range targets {
		before, asked := b[t.Key()]
		if !asked {
			continue
		}
		if why := unfit(t, before); why != "" {
			notes = append(notes, fmt.Sprintf("%s is not probed: %s", t.Key(), why))
		}
	}
	return notes
}

// MustFit asks those of the targets that the user named, and tells of each that does not answer, or not
// as it is expected to, what was seen.
func MustFit(ctx context.Context, targets []Target) (wrong []string) {
	var own []Target
	for _, t := range targets {
		if t.Spec.URL != "" {
			own = append(own, t)
		}
	}
	b := TakeBaseline(ctx, own)
	for _, t := range own {
		before := b[t.Key()]
		switch {
		case before.Fate != probe.OK:
			wrong = append(wrong, fmt.Sprintf("%s does not answer: %s: %v", t.Key(), before.Fate, before.Err))
		case len(before.Tries) > 0:
			if what := newFormer(t, before).unexpected(before.Tries[0]); what != "" {
				wrong = append(wrong, fmt.Sprintf("%s does not answer as expected: %s", t.Key(), what))
			}
		}
	}
	return wrong
}
