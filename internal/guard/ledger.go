package guard

import (
	"slices"
	"time"
)

// Ledger remembers which findings are open, so that each is told once, and told when it is over.
type Ledger struct{ open []Finding }

// Update takes in what a look found. Told are the findings that are new or have changed; over are
// those that no longer show.
func (l *Ledger) Update(now time.Time, found []Finding) (told, over []Finding) {
	for i := range found {
		found[i].Since = now
		n := slices.IndexFunc(l.open, found[i].same)
		if n >= 0 {
			found[i].Since = l.open[n].Since
		}
		if n < 0 || l.open[n].Evidence != found[i].Evidence || l.open[n].Follows != found[i].Follows {
			told = append(told, found[i])
		}
	}
	for _, f := range l.open {
		if !slices.ContainsFunc(found, f.same) {
			over = append(over, f)
		}
	}
	l.open = found
	return told, over
}

// Open lists the findings that show.
func (l *Ledger) Open() []Finding { return slices.Clone(l.open) }

func (f Finding) same(other Finding) bool { return f.ID == other.ID && f.subject == other.subject }
