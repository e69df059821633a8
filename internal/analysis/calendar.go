package analysis

import (
	"fmt"
	"slices"
	"time"
)

// Window is a stretch of time that comes again: on some days, from one time of the day to another. Its
// times are those of clocks on walls in its zone.
type Window struct {
	Name string         `json:"name,omitempty"`
	Days []time.Weekday `json:"days,omitempty"` // on which it begins; none: every day
	// Date is the one day on which it begins, and Days do not count; the zero Date: it comes again.
	Date Date `json:"date,omitzero"`
	// From and To are times of the day. If To is not after From, it ends on the next day; equal: a whole day.
	From TimeOfDay `json:"from"`
	To   TimeOfDay `json:"to"`
	Zone string    `json:"zone,omitempty"` // an IANA name; empty: UTC
	zone *time.Location
}

// TimeOfDay is minutes since midnight by the clock on the wall.
type TimeOfDay int

func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", t/60, t%60) }

// Date is a day of the calendar.
type Date struct {
	Year  int        `json:"year"`
	Month time.Month `json:"month"`
	Day   int        `json:"day"`
}

func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// String says it as people do.
func (w Window) String() string {
	when := "daily"
	switch {
	case w.Date != Date{}:
		when = w.Date.String()
	case len(w.Days) > 0:
		when = ""
		for i, d := range w.Days {
			if i > 0 {
				when += ", "
			}
			when += d.String()[:3]
		}
	}
	text := fmt.Sprintf("%s %s–%s %s", when, w.From, w.To, w.location())
	if w.Name != "" {
		return w.Name + " (" + text + ")"
	}
	return text
}

// In gives the window its zone's rules, which are data of the host: whoever reads a policy loads them.
func (w Window) In(zone *time.Location) Window {
	w.zone = zone
	return w
}

func (w Window) location() *time.Location {
	if w.zone == nil {
		return time.UTC
	}
	return w.zone
}

// covers tells whether the window is open at t, and when it ends then. Where a clock is set forward or
// back inside it, it is shorter or longer by that.
func (w Window) covers(t time.Time) (end time.Time, ok bool) {
	local := t.In(w.location())
	for back := range 2 { // it may have begun yesterday
		year, month, day := local.AddDate(0, 0, -back).Date()
		from := time.Date(year, month, day, 0, int(w.From), 0, 0, w.location())
		if !w.begins(from.Weekday(), Date{year, month, day}) {
			continue
		}
		if w.To <= w.From {
			day++
		}
		to := time.Date(year, month, day, 0, int(w.To), 0, 0, w.location())
		if !t.Before(from) && t.Before(to) {
			return to, true
		}
	}
	return time.Time{}, false
}

func (w Window) begins(weekday time.Weekday, date Date) bool {
	if (w.Date != Date{}) {
		return w.Date == date
	}
	return len(w.Days) == 0 || slices.Contains(w.Days, weekday)
}

// Calendar is a set of windows.
type Calendar []Window

// At is the window that is open at t, the one that ends last if there are several, and when it ends.
func (c Calendar) At(t time.Time) (w Window, end time.Time, ok bool) {
	for _, window := range c {
		if to, covered := window.covers(t); covered && (!ok || to.After(end)) {
			w, end, ok = window, to, true
		}
	}
	return w, end, ok
}

// Covers tells whether a window is open at t.
func (c Calendar) Covers(t time.Time) bool {
	_, _, ok := c.At(t)
	return ok
}

// Next is when a window begins next after t; false: none does any more.
func (c Calendar) Next(t time.Time) (begins time.Time, ok bool) {
	for _, w := range c {
		if at, comes := w.next(t); comes && (!ok || at.Before(begins)) {
			begins, ok = at, true
		}
	}
	return begins, ok
}

func (w Window) next(t time.Time) (time.Time, bool) {
	if (w.Date != Date{}) {
		at := time.Date(w.Date.Year, w.Date.Month, w.Date.Day, 0, int(w.From), 0, 0, w.location())
		return at, at.After(t)
	}
	year, month, day := t.In(w.location()).Date()
	for ahead := range 8 {
		at := time.Date(year, month, day+ahead, 0, int(w.From), 0, 0, w.location())
		if at.After(t) && w.begins(at.Weekday(), Date{}) {
			return at, true
		}
	}
	return time.Time{}, false
}
