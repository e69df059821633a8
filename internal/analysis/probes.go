package analysis

import (
	"fmt"
	"slices"
	"time"
)

// Side is whose process answered a probe. The zero value: nobody knows.
type Side string

// The sides.
const (
	OldSide Side = "old"
	NewSide Side = "new"
)

// ProbeTry is what one try of a probe came to.
type ProbeTry struct {
	At time.Time
	By Side
	// Lost tells how it was lost, if it was: "refused", "reset" …
	Lost string
	// Differs tells in which way the answer is not the one of before, if so: "500 instead of 200".
	Differs string
	// Grave: such an answer speaks against the binary even where no old one is left to compare with: a
	// status that is an error now, or not what the user said that it has to be. What else differs may be
	// new content.
	Grave bool
}

// ProbeTries are the tries of one probe since the gate was entered, of which the last minutes are
// kept whole. It is not safe for concurrent use.
type ProbeTries struct {
	name   string
	before Count // lost tries before the swap
	// Shared: both generations read the packets of one socket, so that losses are nobody's (HTTP/3
	// while both masters live, the trap quic-bpf).
	shared bool
	tries  []ProbeTry // of the window, oldest first
	sides  map[Side]*Count
	state  State
	since  time.Time
}

// The rules. On a path that loses nothing two losses within a minute are a fault; a single one may be
// a stall of this host, and is waited upon.
const (
	probeWindow  = 5 * time.Minute
	probeKept    = 4096 // tries of the window at most
	lostMinute   = 2    // losses within a minute
	lostWindow   = 3    // losses within the window
	lostFlaky    = 5    // losses of a target that lost some before, and twice the share
	differBeside = 3    // differing answers of the new binary in a row, while the old one still answers as before
	differAlone  = 5    // the same without an old one, of grave ones
	differOften  = 5    // differing answers within the window, not in a row …
	differShare  = 0.10 // … and their share
	probeEnough  = 3    // answers that are enough for [Quiet]
)

// NewProbeTries begins to count. before are the tries before the swap, and how many of them were lost.
func NewProbeTries(name string, before Count) *ProbeTries {
	return &ProbeTries{name: name, before: before, sides: map[Side]*Count{OldSide: {}, NewSide: {}, "": {}}}
}

// Counts are all tries so far, by who answered.
func (p *ProbeTries) Counts() map[Side]Count {
	all := make(map[Side]Count, len(p.sides))
	for side, n := range p.sides {
		all[side] = *n
	}
	return all
}

// GoOn counts on from what an earlier gate had. Its window is not known any more.
func (p *ProbeTries) GoOn(from map[Side]Count) {
	for side, n := range p.sides {
		*n = from[side]
	}
}

// Share sets whether losses have to be put down to two generations that share a socket.
func (p *ProbeTries) Share(shared bool) { p.shared = shared }

// Add takes in a try.
func (p *ProbeTries) Add(t ProbeTry) {
	side := p.sides[t.By]
	side.Total++
	if t.Lost != "" || t.Differs != "" {
		side.Bad++
	}
	p.tries = append(p.tries, t)
	keep := 0
	for keep < len(p.tries) && (len(p.tries)-keep > probeKept || t.At.Sub(p.tries[keep].At) > probeWindow) {
		keep++
	}
	p.tries = p.tries[keep:]
}

// Forgive takes all differences so far back: the old binary answers otherwise now, too, so that they
// were no fault.
func (p *ProbeTries) Forgive() {
	for i := range p.tries {
		t := &p.tries[i]
		if t.Differs == "" {
			continue
		}
		t.Differs, t.Grave = "", false
		p.sides[t.By].Bad--
	}
}

// Finding is what the tries say at a time.
func (p *ProbeTries) Finding(now time.Time) Finding {
	seen := p.see(now)
	state, words := p.lost(seen)
	if s, w := p.differs(seen); rankOf(s) > rankOf(state) || words == "" {
		state, words = s, w
	}
	if state != p.state || p.since.IsZero() {
		p.state, p.since = state, now
	}
	after := Count{p.sides[NewSide].Bad + p.sides[""].Bad, p.sides[NewSide].Total + p.sides[""].Total}
	if words == "" {
		words = fmt.Sprintf("%s: as before (%d of %d tries)", p.name, after.Total-after.Bad, after.Total)
	}
	return Finding{Signal: Probes, Scope: p.name, Test: Rule, State: state, Since: p.since,
		Before: *p.sides[OldSide], After: after, Words: words}
}

func rankOf(s State) int { return slices.Index([]State{TooLittle, Quiet, Suspect, Alarm}, s) }

// sight is the window, counted.
type sight struct {
	lost, lostMinute, tries int
	lastLost                ProbeTry

	old, young struct{ good, differ int } // answers; those of nobody known are young
	inRow      int                        // young answers that differ, the last ones
	graveInRow int
	// The old binary's answers that are as before, since that row began, and since the first young one
	// that differs: it is at the same time that both are compared. Content that changes under both
	// makes the earlier ones worthless.
	oldInRow, oldSince int
	lastDiffer         ProbeTry
	grave              int
	attributed         bool // one at least was the new binary's for certain
}

func (p *ProbeTries) see(now time.Time) sight {
	var s sight
	known := slices.ContainsFunc(p.tries, func(t ProbeTry) bool { return t.By != "" && now.Sub(t.At) <= probeWindow })
	for _, t := range p.tries {
		if now.Sub(t.At) > probeWindow {
			continue
		}
		s.tries++
		if t.Lost != "" {
			s.lost++
			if now.Sub(t.At) <= time.Minute {
				s.lostMinute++
			}
			s.lastLost = t
			continue
		}
		side := &s.young
		if t.By == OldSide {
			side = &s.old
		}
		if t.Differs == "" {
			side.good++
		} else {
			side.differ++
		}
		if t.By == OldSide {
			if t.Differs == "" && s.inRow > 0 {
				s.oldInRow++
			}
			if t.Differs == "" && s.young.differ > 0 {
				s.oldSince++
			}
			continue
		}
		s.attributed = s.attributed || t.By == NewSide
		if t.By == "" && known { // it may be either's, and so belongs to no row
			if t.Grave {
				s.grave++
			}
			if t.Differs != "" {
				s.lastDiffer = t
			}
			continue
		}
		if t.Differs == "" {
			s.inRow, s.graveInRow, s.oldInRow = 0, 0, 0
			continue
		}
		s.inRow++
		s.lastDiffer = t
		if t.Grave {
			s.graveInRow++
			s.grave++
		} else {
			s.graveInRow = 0
		}
	}
	return s
}

func (p *ProbeTries) lost(s sight) (State, string) {
	if s.lost == 0 {
		return TooLittle, ""
	}
	words := fmt.Sprintf("%s: %d of %d tries lost within %s, the last one %s", p.name, s.lost, s.tries, minutes(probeWindow), s.lastLost.Lost)
	switch {
	case p.shared:
		return Suspect, words + " (both generations read the packets of one socket: the trap quic-bpf)"
	case p.before.Bad > 0:
		words += fmt.Sprintf("; before the swap %d of %d", p.before.Bad, p.before.Total)
		if s.lost >= lostFlaky && float64(s.lost)/float64(s.tries) > 2*p.before.Share() {
			return Alarm, words
		}
		return Suspect, words
	case s.lostMinute >= lostMinute, s.lost >= lostWindow:
		return Alarm, words
	}
	return Suspect, words
}

func (p *ProbeTries) differs(s sight) (State, string) {
	young, old := s.young.good+s.young.differ, s.old.good+s.old.differ
	if s.young.differ == 0 {
		if young < probeEnough {
			return TooLittle, fmt.Sprintf("%s: %d answers of the new binary", p.name, young)
		}
		return Quiet, ""
	}
	words := fmt.Sprintf("%s: %s (%d of %d tries)", p.name, s.lastDiffer.Differs, s.young.differ, young)
	if s.attributed {
		words = fmt.Sprintf("%s: %s, from the new generation (%d of %d tries)", p.name, s.lastDiffer.Differs, s.young.differ, young)
	}
	share := float64(s.young.differ) / float64(young)
	often := s.young.differ >= differOften && share >= differShare
	if old > 0 {
		words += fmt.Sprintf(", the old answers as before (%d of %d)", s.old.good, old)
	}
	switch {
	case s.old.differ > 0 && 2*s.old.differ >= s.old.good: // it is not the new binary that does this
		return Suspect, words
	case s.attributed && s.oldInRow > 0 && s.inRow >= differBeside:
		return Alarm, words
	case s.attributed && s.oldSince >= differOften && s.old.differ == 0 && often:
		return Alarm, words
	case s.graveInRow >= differAlone, s.grave >= differOften && often:
		return Alarm, words
	case s.lastDiffer.Grave || s.attributed && s.oldSince > 0:
		return Suspect, words
	}
	return Suspect, words + "; without the old binary beside it this may be new content"
}

func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return d.String()
}
