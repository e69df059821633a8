package policy

import (
	"fmt"
	"strings"
	"time"

	"graft/internal/analysis"
)

// Window is a stretch of time that comes again, by the clock on the wall of its zone.
type Window struct {
	Name string    `yaml:"name,omitempty" json:"name,omitempty"`
	Days []Day     `yaml:"days,omitempty" json:"days,omitempty"` // on which it begins; none: every day
	Date Date      `yaml:"date,omitempty" json:"date,omitempty"` // the one day on which it begins
	From TimeOfDay `yaml:"from" json:"from"`
	To   TimeOfDay `yaml:"to" json:"to"`                         // not after From: on the next day
	Zone string    `yaml:"zone,omitempty" json:"zone,omitempty"` // as Europe/Berlin, or local; empty: UTC
}

// calendars gives windows the zones that they name.
func calendar(windows []Window) (analysis.Calendar, error) {
	var c analysis.Calendar
	for _, w := range windows {
		a := analysis.Window{Name: w.Name, From: analysis.TimeOfDay(w.From), To: analysis.TimeOfDay(w.To), Zone: w.Zone}
		for _, d := range w.Days {
			a.Days = append(a.Days, time.Weekday(d))
		}
		if w.Date != "" {
			day, err := time.Parse(time.DateOnly, string(w.Date))
			if err != nil {
				return nil, err
			}
			a.Date = analysis.Date{Year: day.Year(), Month: day.Month(), Day: day.Day()}
		}
		zone, err := w.location()
		if err != nil {
			return nil, err
		}
		c = append(c, a.In(zone))
	}
	return c, nil
}

func (w Window) location() (*time.Location, error) {
	if w.Zone == "local" {
		return time.Local, nil
	}
	return time.LoadLocation(w.Zone)
}

// Blackouts are the times in which nothing is counted and nothing but crashes and lost probes acts.
func (p Policy) Blackouts() (analysis.Calendar, error) { return calendar(p.Blackout) }

// FinishTimes are the times in which the old master may be ended; none: at any time.
func (p Policy) FinishTimes() (analysis.Calendar, error) { return calendar(p.FinishOnly) }

// Day is a day of the week.
type Day time.Weekday

// MarshalText writes its three letters.
func (d Day) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(time.Weekday(d).String()[:3])), nil
}

// UnmarshalText reads mon or monday, in any case.
func (d *Day) UnmarshalText(text []byte) error {
	given := strings.ToLower(string(text))
	for day := range time.Weekday(7) {
		if name := strings.ToLower(day.String()); given == name || given == name[:3] {
			*d = Day(day)
			return nil
		}
	}
	return fmt.Errorf("%q is no day of the week: want one of mon, tue, wed, thu, fri, sat, sun", text)
}

// Date is a day as 2026-11-27.
type Date string

// UnmarshalText reads it.
func (d *Date) UnmarshalText(text []byte) error {
	if _, err := time.Parse(time.DateOnly, string(text)); err != nil {
		return fmt.Errorf("%q is no date: want one as 2026-11-27", text)
	}
	*d = Date(text)
	return nil
}

// TimeOfDay is a time as 02:30.
type TimeOfDay analysis.TimeOfDay

const dayEnd TimeOfDay = 24 * 60

// MarshalText writes it.
func (t TimeOfDay) MarshalText() ([]byte, error) { return []byte(analysis.TimeOfDay(t).String()), nil }

// UnmarshalText reads it. 24:00 is the day's end.
func (t *TimeOfDay) UnmarshalText(text []byte) error {
	if string(text) == "24:00" {
		*t = dayEnd
		return nil
	}
	at, err := time.Parse("15:04", string(text))
	if err != nil {
		return fmt.Errorf("%q is no time of the day: want one as 02:30", text)
	}
	*t = TimeOfDay(at.Hour()*60 + at.Minute())
	return nil
}
