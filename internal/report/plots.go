package report

import (
	"maps"
	"slices"
	"time"
)

// plots are what the page draws.
type plots struct {
	Plots []plot `json:"plots"`
}

// plot is one chart: lines over a common time.
type plot struct {
	Title string     `json:"title"`
	Unit  string     `json:"unit"`
	X     []int64    `json:"x"` // the clock's time as if it were UTC, in Unix seconds
	Lines []plotLine `json:"lines"`
}

type plotLine struct {
	Label  string     `json:"label"`
	Colour int        `json:"colour"` // of the palette
	Dashed bool       `json:"dashed"`
	Y      []*float64 `json:"y"` // null: no requests
}

const day = 24 * 60 * 60

// shift is by how many seconds the first period is drawn later: whole days, so that the same times of day lie
// on each other. 0 where the periods are within a day, one behind the other.
func (r *Report) shift() int64 {
	if len(r.Periods) < 2 || r.Periods[0].From.IsZero() || r.Periods[1].From.IsZero() {
		return 0
	}
	apart := r.Periods[1].From.Unix() - r.Periods[0].From.Unix()
	const early = 60 // seconds by which the first request of a day may come before that of the other
	return (apart + early) / day * day
}

func (r *Report) plots() plots {
	x := r.times()
	all := plots{Plots: []plot{
		{Title: "Requests per second", Unit: "requests/s", X: x, Lines: r.lines(x, []measure{
			{"", 0, func(p Point) *float64 { return &p.PerSecond }},
		})},
		{Title: "Share of 5xx", Unit: "%", X: x, Lines: r.lines(x, []measure{{"5xx", 3, classShare(5)}})},
	}}
	if slices.ContainsFunc(r.Periods, func(p *Period) bool { return p.Time != nil }) {
		all.Plots = append(all.Plots, plot{Title: "Request time", Unit: "ms", X: x, Lines: r.lines(x, []measure{
			{"p50", 0, func(p Point) *float64 { return &p.P50 }},
			{"p95", 1, func(p Point) *float64 { return &p.P95 }},
			{"p99", 3, func(p Point) *float64 { return &p.P99 }},
		})})
	}
	all.Plots = append(all.Plots, plot{Title: "Status classes", Unit: "% of requests", X: x, Lines: r.lines(x, []measure{
		{"2xx", 0, classShare(2)}, {"3xx", 2, classShare(3)}, {"4xx", 1, classShare(4)}, {"5xx", 3, classShare(5)},
	})})
	return all
}

// measure is one number of a step.
type measure struct {
	label  string
	colour int
	of     func(Point) *float64
}

func classShare(class int) func(Point) *float64 {
	return func(p Point) *float64 {
		sum := int64(0)
		for _, n := range p.Classes {
			sum += n
		}
		percent := 100 * share(p.Classes[class], sum)
		return &percent
	}
}

// clockTime is what the clock of this host shows, as if it were UTC: pages are read anywhere.
func (r *Report) clockTime(period int, at int64) int64 {
	_, offset := r.Periods[len(r.Periods)-1].From.Local().Zone()
	at += int64(offset)
	if period == 0 { // of two; of one there is no shift
		at += r.shift()
	}
	return at
}

// times are all steps of both periods.
func (r *Report) times() []int64 {
	all := make(map[int64]bool)
	for i, p := range r.Periods {
		for n, point := range p.Timeline {
			at := r.clockTime(i, point.At)
			all[at] = true
			if n > 0 && point.At-p.Timeline[n-1].At > p.StepSeconds {
				all[r.clockTime(i, p.Timeline[n-1].At+p.StepSeconds)] = true // where the line breaks
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (r *Report) lines(x []int64, measures []measure) []plotLine {
	var list []plotLine
	for i, p := range r.Periods {
		points := make(map[int64]Point, len(p.Timeline))
		for _, point := range p.Timeline {
			points[r.clockTime(i, point.At)] = point
		}
		for _, m := range measures {
			line := plotLine{Label: p.Name, Colour: m.colour, Dashed: i < len(r.Periods)-1, Y: make([]*float64, len(x))}
			if m.label != "" {
				line.Label += " " + m.label
			}
			for n, at := range x {
				if point, ok := points[at]; ok {
					line.Y[n] = m.of(point)
				}
			}
			list = append(list, line)
		}
	}
	return list
}

// Shifted says so, for people.
func (r *Report) Shifted() string {
	switch days := r.shift() / day; days {
	case 0:
		return ""
	case 1:
		return "In the plots the period before is moved by one day, so that the same times of day lie on each other."
	default:
		return "In the plots the period before is moved by " + thousands(days) + " days, so that the same times of day lie on each other."
	}
}

// Zone is the one in which the page tells times.
func (r *Report) Zone() string {
	at := time.Now()
	if last := r.Periods[len(r.Periods)-1]; !last.From.IsZero() {
		at = last.From
	}
	return at.Local().Format("MST (-07:00)")
}
