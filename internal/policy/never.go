package policy

import "time"

// never finds what would let no gate pass however long it watches. It is asked of a file that is read now: of a
// policy that is under way, dates pass.
func (p Policy) never(now time.Time) *mistake {
	if p.alwaysBlack(now) {
		return &mistake{[]string{"blackout"}, "it covers every minute of the week, so that no gate's clock would ever run: leave a time out of it"}
	}
	if p.tooLate(now) {
		return &mistake{[]string{"finish_only"}, "all its dates are past, so that the old master would never be ended: want one to come, or leave finish_only out"}
	}
	return nil
}

// alwaysBlack goes from window to window through a week that has none of the dates.
func (p Policy) alwaysBlack(now time.Time) bool {
	again := p
	again.Blackout = nil
	for _, w := range p.Blackout {
		if w.Date == "" {
			again.Blackout = append(again.Blackout, w)
		}
	}
	windows, err := again.Blackouts()
	if err != nil || len(windows) == 0 {
		return false
	}
	for at := now; at.Before(now.AddDate(0, 0, 7)); {
		_, end, covered := windows.At(at)
		if !covered {
			return false
		}
		at = end
	}
	return true
}

// tooLate tells whether no time is left to end the old master at.
func (p Policy) tooLate(now time.Time) bool {
	windows, err := p.FinishTimes()
	if err != nil || len(windows) == 0 || windows.Covers(now) {
		return false
	}
	_, comes := windows.Next(now)
	return !comes
}
