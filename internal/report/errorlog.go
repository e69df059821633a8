package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// ErrorLog is what the error logs told of a period. The zero value is empty.
type ErrorLog struct {
	classes map[string]*ErrorClass
	exits   []time.Time // of workers, by a signal
	last    string      // of those, in nginx's words
}

// mostClasses bounds memory: a log of more kinds of lines has some that nobody thought of.
const mostClasses = 5000

// Add counts an entry.
func (l *ErrorLog) Add(e accesslog.ErrorLine) {
	if _, ok := accesslog.ParseExit(e.Message); ok {
		l.exits, l.last = append(l.exits, e.Time), e.Message
	}
	class := accesslog.ClassOf(e)
	c := l.classes[class.ID]
	if c == nil {
		if len(l.classes) >= mostClasses {
			return
		}
		if l.classes == nil {
			l.classes = make(map[string]*ErrorClass)
		}
		c = &ErrorClass{ID: class.ID, Kind: class.Kind, Level: string(e.Level), Template: class.Template, Sample: e.Message, first: e.Time}
		l.classes[class.ID] = c
	}
	c.After++
	if e.Time.Before(c.first) {
		c.first = e.Time
	}
	if second := e.Time.Unix(); second != c.last {
		c.seconds++
		c.last = second
	}
}

// against is what speaks against the period of a later log.
func (l *ErrorLog) against(now *ErrorLog, before, after time.Duration) []analysis.Finding {
	if l == nil || now == nil {
		return nil
	}
	if len(l.classes) == 0 {
		before = 0 // no log of that time was given, or it is silent: it does not tell what was not there
	}
	slices.SortFunc(l.exits, time.Time.Compare)
	slices.SortFunc(now.exits, time.Time.Compare)
	findings := []analysis.Finding{analysis.ExitRule(analysis.Events{
		At: now.exits, Watched: after, Last: now.last, Before: l.exits, BeforeKnown: before,
	})}
	if before == 0 {
		return findings
	}
	for _, c := range grown(l, now) {
		if c.Before > 0 || c.After == 0 || c.Kind == accesslog.KindExit {
			continue
		}
		of := now.classes[c.ID]
		f := analysis.UnseenRule(signalOf(c.Kind), analysis.Unseen{
			Class: c.Template, Level: c.Level, Severe: severe(c), Lines: c.After, Seconds: of.seconds, First: of.first, Sample: c.Sample, After: after, Before: before,
		})
		if f.State == analysis.Alarm || f.State == analysis.Suspect {
			findings = append(findings, f)
		}
	}
	return findings
}

// severe tells whether one line of the class is worth telling. What odd clients bring about is crit, too.
func severe(c ErrorClass) bool {
	switch accesslog.Level(c.Level) {
	case accesslog.Emerg, accesslog.Alert:
		return true
	case accesslog.Crit:
		return c.Kind != accesslog.KindCertificate && c.Kind != accesslog.KindRequest
	}
	return false
}

func signalOf(kind string) analysis.Signal {
	switch kind {
	case accesslog.KindLua:
		return analysis.Lua
	case accesslog.KindCertificate:
		return analysis.Certificate
	}
	return analysis.NewClass
}

// grown are the classes of both, those that grew most first; nil if there is no log.
func grown(before, after *ErrorLog) []ErrorClass {
	if before == nil && after == nil {
		return nil
	}
	list := []ErrorClass{}
	if after != nil {
		for id, c := range after.classes {
			both := *c
			if before != nil && before.classes[id] != nil {
				both.Before = before.classes[id].After
			}
			list = append(list, both)
		}
	}
	if before != nil {
		for id, c := range before.classes {
			if after == nil || after.classes[id] == nil {
				gone := *c
				gone.Before, gone.After = c.After, 0
				list = append(list, gone)
			}
		}
	}
	slices.SortFunc(list, func(a, b ErrorClass) int {
		return cmp.Or(cmp.Compare(b.After-b.Before, a.After-a.Before), cmp.Compare(b.After, a.After), strings.Compare(a.ID, b.ID))
	})
	return list
}
