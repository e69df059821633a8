package policy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"graft/internal/analysis"
)

// mistake is a value that means nothing, and where it is in the file.
type mistake struct {
	path []string
	text string
}

// Check tells what is wrong with it; flags may have changed it since it was read.
func (p Policy) Check() error {
	if wrong := p.problem(); wrong != nil {
		return fmt.Errorf("policy: %s: %s", strings.Join(wrong.path, "."), wrong.text)
	}
	return nil
}

func (p Policy) problem() *mistake {
	wrong := func(text string, path ...string) *mistake { return &mistake{path, text} }
	switch {
	case !(p.Alpha > 0 && p.Alpha <= 0.5):
		return wrong(fmt.Sprintf("%v is no probability of a false alarm: want more than 0 and at most 0.5; 0.01 is usual", p.Alpha), "alpha")
	case !(p.Margin >= 1 && p.Margin <= 1000):
		return wrong(fmt.Sprintf("%v: want a factor of 1 to 1000; 1.5 lets a signal rise by half", p.Margin), "margin")
	case p.Minimum.Requests < 0:
		return wrong("want 0 or more", "minimum", "requests")
	case !(p.Probes.Rate > 0 && p.Probes.Rate <= 1000):
		return wrong("want more than 0 and at most 1000 requests a second", "probes", "rate")
	case p.Baseline < 0 || p.Baseline > Duration(31*24*time.Hour):
		return wrong("want 0 (nothing is read) to 31d", "baseline")
	case p.Calm < 0:
		return wrong("must not be negative", "calm")
	case p.Gates.Overlap < 0:
		return wrong("must not be negative", "gates", "overlap")
	case p.Gates.Park < 0:
		return wrong("must not be negative", "gates", "park")
	}
	for key, end := range map[string]End{"undetermined": p.Undetermined, "degraded": p.Degraded} {
		if ends := []End{Hold, Proceed, GiveUp}; !slices.Contains(ends, end) {
			return wrong(fmt.Sprintf("%q: want hold, proceed or rollback%s", end, meant(string(end), texts(ends))), key)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Signals)) {
		if text := signalProblem(name, p.Signals[name]); text != "" {
			return wrong(text, "signals", string(name))
		}
	}
	for i, spec := range p.Probes.URLs {
		if err := spec.Validate(); err != nil {
			return wrong(err.Error(), "probes", "urls", fmt.Sprint(i))
		}
	}
	for key, windows := range map[string][]Window{"blackout": p.Blackout, "finish_only": p.FinishOnly} {
		for i, w := range windows {
			if text := w.problem(); text != "" {
				return wrong(text, key, fmt.Sprint(i))
			}
		}
	}
	return nil
}

func signalProblem(name analysis.Signal, s Signal) string {
	actions := []analysis.Action{analysis.Rollback, analysis.Warn, analysis.Ignore}
	switch {
	case !slices.Contains(analysis.Signals(), name):
		return fmt.Sprintf("unknown signal %q%s; the signals are %s", name, meant(string(name), texts(analysis.Signals())), strings.Join(texts(analysis.Signals()), ", "))
	case s.Action != "" && !slices.Contains(actions, s.Action):
		return fmt.Sprintf("action %q: want rollback, warn or ignore%s", s.Action, meant(string(s.Action), texts(actions)))
	case s.Margin != 0 && !name.Compared():
		return fmt.Sprintf("%s has no margin: it is counted, not compared with a level", name)
	case s.Margin != 0 && !(s.Margin >= 1 && s.Margin <= 1000):
		return fmt.Sprintf("margin %v: want a factor of 1 to 1000", s.Margin)
	case s.Required && s.Action == analysis.Ignore:
		return fmt.Sprintf("%s is both required and ignored: leave one out", name)
	}
	return ""
}

func (w Window) problem() string {
	if w.Date != "" && len(w.Days) > 0 {
		return "it has both date and days: leave one out"
	}
	if w.From == dayEnd {
		return "from: 24:00 is the end of a day: want a time before it"
	}
	if w.From == w.To && w.From != 0 {
		return fmt.Sprintf("from and to are both %s: want two times, or from: 00:00 and to: 24:00 for whole days", analysis.TimeOfDay(w.From))
	}
	if _, err := w.location(); err != nil {
		return fmt.Sprintf("zone %q: %v; want a name as Europe/Berlin, local for this host's, or none for UTC", w.Zone, err)
	}
	return ""
}

func texts[T ~string](list []T) []string {
	var out []string
	for _, t := range list {
		out = append(out, string(t))
	}
	return out
}

// Keys are all that a policy file may have, at any depth.
func Keys() []string {
	var all []string
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Slice, reflect.Map, reflect.Pointer:
			walk(t.Elem())
		case reflect.Struct:
			for i := range t.NumField() {
				name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
				if name == "" || name == "-" {
					continue
				}
				all = append(all, name)
				walk(t.Field(i).Type)
			}
		}
	}
	walk(reflect.TypeFor[Policy]())
	slices.Sort(all)
	return slices.Compact(all)
}

// meant guesses the word that was meant; empty if none is near.
func meant(given string, known []string) string {
	best, near := "", 3
	for _, k := range known {
		if d := distance(given, k); d < near && d < len(k) {
			best, near = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", best)
}

// distance counts the letters to change, add or leave out between two words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
