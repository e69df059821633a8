package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// size is how much is run.
type size struct {
	runs, delays, short, workers int
	seeds                        [2]uint64
	world                        string // the only one that counts; all if empty
}

// part is one table of the document.
type part struct {
	name  string
	write func(*strings.Builder, size, io.Writer)
}

func parts() []part {
	return []part{{"false-alarms", falseAlarms}, {"short-baselines", shortBaselines}, {"delays", delays}, {"concurrent", concurrent}}
}

// replaced puts a table between its marks in the document.
func (p part) replaced(document, table string) (string, error) {
	begins, ends := "<!-- "+p.name+": begin -->\n", "<!-- "+p.name+": end -->\n"
	before, rest, ok := strings.Cut(document, begins)
	_, after, also := strings.Cut(rest, ends)
	if !ok || !also {
		return "", fmt.Errorf("the marks %q and %q, between which a table belongs, are missing", begins, ends)
	}
	return before + begins + table + ends + after, nil
}

// table runs what it tells.
func (p part) table(s size, progress io.Writer) string {
	var b strings.Builder
	p.write(&b, s, progress)
	fmt.Fprintf(&b, "\nRun on %s with the seeds %d and %d, half of the runs each.\n", time.Now().UTC().Format(time.DateOnly), s.seeds[0], s.seeds[1])
	return b.String()
}

func falseAlarms(b *strings.Builder, s size, progress io.Writer) {
	head := []string{"World", "A", "B", "**A + B**", "95 % interval"}
	for _, r := range rules() {
		head = append(head, r.name)
	}
	fmt.Fprintf(b, "Watches of 48 h with a false alarm, of %d per world, against a baseline of 48 h; α = %g %%:\n\n", s.runs, 100*alpha)
	row(b, head)
	row(b, strings.Split(strings.Repeat("-", len(head)), ""))
	for _, w := range worlds() {
		if s.world != "" && s.world != w.name {
			continue
		}
		outcomes := many(s, s.runs, func(r noise) outcome { return watchWithout(w, r, baselineBlocks, true) })
		ab, cells := counted(outcomes)
		name := w.name
		if w.untuned {
			name += " †"
		}
		cells = append([]string{name}, append(cells, interval(ab, s.runs))...)
		for i := range rules() {
			n := 0
			for _, o := range outcomes {
				if o.rules[i] {
					n++
				}
			}
			cells = append(cells, share(n, s.runs))
		}
		row(b, cells)
		fmt.Fprintf(progress, "%s false alarms in %q: %s\n", time.Now().Format(time.TimeOnly), w.name, strings.Join(cells[1:], " | "))
	}
	fmt.Fprintf(b, "\n† Not tuned on, though seen between changes. The worlds: ")
	for i, w := range worlds() {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(b, "*%s*, %s", w.name, w.tells)
	}
	b.WriteString(".\n")
}

// counted are the alarms of A and B together, and cells for A, B and both.
func counted(outcomes []outcome) (ab int, cells []string) {
	var a, b int
	for _, o := range outcomes {
		if o.a {
			a++
		}
		if o.b {
			b++
		}
		if o.a || o.b {
			ab++
		}
	}
	n := len(outcomes)
	return ab, []string{share(a, n), share(b, n), "**" + share(ab, n) + "**"}
}

func shortBaselines(b *strings.Builder, s size, progress io.Writer) {
	fmt.Fprintf(b, "With a shorter baseline (%d watches of 48 h each):\n\n", s.short)
	row(b, []string{"World", "Baseline", "A", "B", "**A + B**", "95 % interval"})
	row(b, strings.Split("------", ""))
	all := worlds()
	for _, w := range []world{all[1], all[3]} {
		for _, baseline := range []int{perHour / 6, perHour, 6 * perHour} {
			outcomes := many(s, s.short, func(r noise) outcome { return watchWithout(w, r, baseline, false) })
			ab, cells := counted(outcomes)
			long := (time.Duration(baseline*blockSeconds) * time.Second).String()
			row(b, append([]string{w.name, short(long)}, append(cells, interval(ab, s.short))...))
			fmt.Fprintf(progress, "%s %s of baseline in %q: %d of %d\n", time.Now().Format(time.TimeOnly), long, w.name, ab, s.short)
		}
	}
}

var rises = []float64{5, 10, 50}

func delays(b *strings.Builder, s size, progress io.Writer) {
	fmt.Fprintf(b, "Delay until A or B finds a fault that begins with the watch, median / 95 %% (%d faults each):\n\n", s.delays)
	row(b, []string{"World", "×5", "×10", "×50"})
	row(b, strings.Split("----", ""))
	all := worlds()
	for _, w := range []world{all[0], all[1], all[3]} {
		cells := []string{w.name}
		for _, rise := range rises {
			cells = append(cells, both(many(s, s.delays, func(r noise) time.Duration { return w.delay(r, rise) })))
		}
		row(b, cells)
		fmt.Fprintf(progress, "%s delays in %q: %s\n", time.Now().Format(time.TimeOnly), w.name, strings.Join(cells[1:], ", "))
	}
}

func concurrent(b *strings.Builder, s size, progress io.Writer) {
	fmt.Fprintf(b, "C, old and new workers side by side: watches of 48 h with a false alarm, of %d; delays, median / 95 %%, of %d:\n\n", s.runs, s.delays)
	row(b, []string{"World", "**C**", "95 % interval", "×2", "×5", "×10", "×50"})
	row(b, strings.Split("-------", ""))
	for _, p := range pairs() {
		if s.world != "" && s.world != p.name {
			continue
		}
		n := 0
		for _, d := range many(s, s.runs, func(r noise) time.Duration { return p.concurrent(r, watchBlocks, 1) }) {
			if d != unseen {
				n++
			}
		}
		name := p.name
		if p.untuned {
			name += " †"
		}
		cells := []string{name, "**" + share(n, s.runs) + "**", interval(n, s.runs)}
		for _, rise := range append([]float64{2}, rises...) {
			cells = append(cells, both(many(s, s.delays, func(r noise) time.Duration { return p.concurrent(r, delayBlocks, rise) })))
		}
		row(b, cells)
		fmt.Fprintf(progress, "%s C in %q: %s\n", time.Now().Format(time.TimeOnly), p.name, strings.Join(cells[1:], ", "))
	}
	fmt.Fprintf(b, "\nThese worlds: ")
	for i, p := range pairs() {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(b, "*%s*, %s", p.name, p.tells)
	}
	b.WriteString(".\n")
}

func row(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func share(k, n int) string {
	if k == 0 {
		return "0"
	}
	return fmt.Sprintf("%.3g %%", 100*float64(k)/float64(n))
}

// interval is Wilson's.
func interval(k, n int) string {
	const z = 1.96
	p, m := float64(k)/float64(n), float64(n)
	center := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 100 / (1 + z*z/m)
	return fmt.Sprintf("%.1f–%.1f %%", math.Max(center-half, 0)*scale, (center+half)*scale)
}

func both(list []time.Duration) string {
	return short(spoken(quantile(list, 0.5))) + " / " + short(spoken(quantile(list, 0.95)))
}

func spoken(d time.Duration) string {
	if d == unseen {
		return "> 12 h"
	}
	if d > time.Hour {
		d = d.Round(time.Minute)
	}
	return d.String()
}

// short leaves out units of which there are none.
func short(duration string) string {
	if strings.HasSuffix(duration, "m0s") {
		duration = strings.TrimSuffix(duration, "0s")
	}
	if strings.HasSuffix(duration, "h0m") {
		duration = strings.TrimSuffix(duration, "0m")
	}
	return duration
}
