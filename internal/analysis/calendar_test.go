package analysis

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWindows(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04", text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	nightly := Window{Name: "batch", From: 23*60 + 30, To: 90}.In(berlin)
	mondays := Window{Days: []time.Weekday{time.Monday}, From: 23 * 60, To: 60}.In(berlin)
	sale := Window{Date: Date{2026, time.November, 27}, From: 0, To: 0}.In(berlin)
	early := Window{From: 60, To: 4 * 60}.In(berlin)
	for _, c := range []struct {
		w    Window
		at   string
		want string // its end; empty: not open
	}{
		{nightly, "2026-11-24 23:29", ""},
		{nightly, "2026-11-24 23:30", "2026-11-25 01:30"},
		{nightly, "2026-11-25 01:29", "2026-11-25 01:30"},
		{nightly, "2026-11-25 01:30", ""},
		{mondays, "2026-11-23 23:30", "2026-11-24 01:00"}, // a Monday
		{mondays, "2026-11-24 00:59", "2026-11-24 01:00"}, // Tuesday by now, but it began on Monday
		{mondays, "2026-11-23 00:30", ""},
		{mondays, "2026-11-24 23:30", ""},
		{sale, "2026-11-27 00:00", "2026-11-28 00:00"},
		{sale, "2026-11-27 23:59", "2026-11-28 00:00"},
		{sale, "2026-11-28 00:00", ""},
		{sale, "2026-12-27 12:00", ""},
		{early, "2026-10-25 03:30", "2026-10-25 04:00"}, // the clock was set back at 03:00
		{early, "2026-03-29 03:30", "2026-03-29 04:00"}, // and forward at 02:00
	} {
		end, ok := c.w.covers(at(c.at))
		if got := end.In(berlin).Format("2006-01-02 15:04"); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s at %s: open %v until %s, want %q", c.w, c.at, ok, got, c.want)
		}
	}
	if got := nightly.String(); got != "batch (daily 23:30–01:30 Europe/Berlin)" {
		t.Error(got)
	}
	if w, end, ok := (Calendar{mondays, nightly}).At(at("2026-11-24 00:30")); !ok || w.Name != "batch" || !end.Equal(at("2026-11-25 01:30").AddDate(0, 0, -1)) {
		t.Errorf("of two that are open, %s until %s, want the one that ends last", w, end)
	}
}

// A window is open at a time exactly if a clock on the wall there shows a time inside it.
func TestAWindowIsWhatTheClockShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Window{From: TimeOfDay(rapid.IntRange(0, 1439).Draw(t, "from")), To: TimeOfDay(rapid.IntRange(0, 1439).Draw(t, "to"))}
		when := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "time"), 0).UTC()
		minute := TimeOfDay(when.Hour()*60 + when.Minute())
		want := w.From <= minute && minute < w.To
		if w.To <= w.From {
			want = minute >= w.From || minute < w.To
		}
		end, ok := w.covers(when)
		if ok != want || ok && (!end.After(when) || end.Sub(when) > 24*time.Hour) {
			t.Fatalf("%s at %s: open %v until %s, want %v", w, when, ok, end, want)
		}
	})
}

func TestWhenAWindowBeginsNext(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	c := Calendar{{Days: []time.Weekday{time.Saturday}, From: 120, To: 240}, {Date: Date{2026, 11, 25}, From: 600, To: 700}}
	for now, want := range map[string]string{
		"2026-11-25 09:00": "2026-11-25 10:00", // a Wednesday, and the date
		"2026-11-25 10:00": "2026-11-28 02:00",
		"2026-11-28 02:00": "2026-12-05 02:00",
	} {
		if got, ok := c.Next(at(now)); !ok || !got.Equal(at(want)) {
			t.Errorf("after %s: %v, %v; want %s", now, got, ok, want)
		}
	}
	if got, ok := c[1:].Next(at("2026-11-26 00:00")); ok {
		t.Errorf("a date that is past begins at %v", got)
	}
}
