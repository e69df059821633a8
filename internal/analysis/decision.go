package analysis

import (
	"fmt"
	"slices"
	"time"
)

// Decision is a verdict with all that it rests on.
type Decision struct {
	Verdict Verdict  `json:"verdict"`
	Why     []string `json:"why"` // each stands for itself, with its numbers; what decided comes first
	// Warned: an alarm that the policy only warns of is on, whatever the verdict is for other reasons.
	Warned bool `json:"warned,omitempty"`
	// Hard: it fails by what acts inside a blackout, too.
	Hard bool `json:"hard,omitempty"`
	// Findings are those of the evidence, the worst first.
	Findings []Finding `json:"findings,omitempty"`
}

// worst first: alarms, suspicions, then what says nothing, and last what has too little to go on.
var order = map[State]int{Alarm: 0, Suspect: 1, Quiet: 2, TooLittle: 3}

// sorted has the worst first, and keeps the order of equals.
func sorted(findings []Finding) []Finding {
	list := slices.Clone(findings)
	slices.SortStableFunc(list, func(a, b Finding) int { return order[a.State] - order[b.State] })
	return list
}

// weighed is what findings come to under a policy.
type weighed struct {
	fail     []string // alarms that roll back
	hard     bool     // one of them is hard
	warned   []string // alarms that are only warned of
	doubtful []string // suspicions of what would roll back: they may be chance, and they may not
	missing  []string // required signals that no test says anything of
	listed   []string // the rest that is worth a word
	clues    []string // too little for alarms of their own: what only the new binary writes, parts that look worse
}

// maxClues are enough to know where to look.
const maxClues = 3

// clue tells whether a finding, which decides nothing, may say why others do.
func (f Finding) clue() bool {
	logged := f.Signal == Lua || f.Signal == Certificate || f.Signal == NewClass
	part := f.Scope != "" && (f.Test == Concurrent || f.Test == Sequential) && f.Evidence >= partClue
	return (logged || part) && f.State != Alarm && f.After.Bad > 0
}

// partClue is the evidence that makes a part of the traffic worth a word: where what is worse may be.
const partClue = 5

func weigh(findings []Finding, p Policy) weighed {
	var w weighed
	told := make(map[Signal]bool)
	moved := slices.ContainsFunc(findings, func(f Finding) bool {
		return (f.State == Alarm || f.State == Suspect) && (f.Test == Sequential || f.Test == Guard || f.Test == Concurrent) && p.Action(f.Signal) != Ignore
	})
	for _, f := range findings {
		told[f.Signal] = told[f.Signal] || f.State != TooLittle
		action := p.Action(f.Signal)
		if f.clue() && (f.State != Suspect || action == Rollback) && len(w.clues) < maxClues { // else it is listed
			w.clues = append(w.clues, f.Words)
		}
		switch {
		case f.State == Quiet || f.State == TooLittle:
		case action == Ignore:
			w.listed = append(w.listed, "ignored, as the policy says: "+f.Words)
		case f.State == Suspect && action == Rollback:
			w.doubtful = append(w.doubtful, "it may be chance, and it may not: "+f.Words)
		case f.State == Suspect:
			w.listed = append(w.listed, "it may be chance: "+f.Words)
		case action == Rollback:
			w.fail, w.hard = append(w.fail, f.Words+where(findings, f.Signal, f.Scope)), w.hard || f.Signal.Hard()
		case f.Signal == NewClass && moved:
			w.fail = append(w.fail, f.Words+"; and a test of another signal has moved, too")
		default:
			w.warned = append(w.warned, f.Words)
		}
	}
	for _, s := range p.Required {
		if !told[s] {
			w.missing = append(w.missing, fmt.Sprintf("%s: no test had enough to go on, and the policy requires one%s", s, firstOf(powers(findings, s))))
		}
	}
	return w
}

// powers are what the signal's findings would not have seen.
func powers(findings []Finding, s Signal) (list []string) {
	for _, f := range findings {
		if f.Signal == s && f.Power != "" {
			list = append(list, f.Power+" would not be seen")
		}
	}
	return list
}

// Steady judges one gate again and again, and does not let its verdict flap: an alarm that rolls back
// stays, one that is only warned of stays until it has been gone for the policy's Calm of watching.
type Steady struct {
	Kept []Kept `json:"kept,omitempty"`
}

// Kept is an alarm that was seen.
type Kept struct {
	Finding Finding       `json:"finding"`
	Last    time.Duration `json:"last"` // how long the gate had watched when it was last seen
}

// Judge is the verdict on the evidence and on the alarms that were seen before and still count.
func (s *Steady) Judge(e Evidence, p Policy) Decision {
	s.keep(e)
	seen := func(f Finding) bool {
		return slices.ContainsFunc(e.Findings, func(g Finding) bool { return g.State == Alarm && same(f, g) })
	}
	for _, k := range s.Kept {
		action, gone := p.Action(k.Finding.Signal), e.Watched-k.Last
		if seen(k.Finding) || action == Warn && gone >= p.Calm {
			continue
		}
		f := k.Finding
		f.Words = fmt.Sprintf("%s (last seen %s ago)", f.Words, gone.Round(time.Second))
		e.Findings = append(slices.DeleteFunc(slices.Clone(e.Findings), func(g Finding) bool { return same(f, g) }), f)
	}
	return Judge(e, p)
}

// keep notes the alarms of now, and forgets none: there are few, one for each test.
func (s *Steady) keep(e Evidence) {
	for _, f := range e.Findings {
		if f.State != Alarm {
			continue
		}
		i := slices.IndexFunc(s.Kept, func(k Kept) bool { return same(k.Finding, f) })
		if i < 0 {
			i, s.Kept = len(s.Kept), append(s.Kept, Kept{})
		}
		s.Kept[i] = Kept{f, e.Watched}
	}
}

// same tells whether two findings are of the same test.
func same(a, b Finding) bool { return a.Signal == b.Signal && a.Scope == b.Scope && a.Test == b.Test }
