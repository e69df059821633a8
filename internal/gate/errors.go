package gate

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

const (
	maxSample  = 5
	maxText    = 300 // bytes of a line in the evidence
	maxCrashes = 20
	maxNotes   = 10
	maxWaiting = 1000
	maxClasses = 1000
	// patience is how long a line waits for its pid to become known: a worker may write before it
	// is first seen.
	patience = time.Second
)

// errorLines sorts lines of the error logs by generation.
type errorLines struct {
	pids     *generations
	old, new side
	unknown  analysis.Lines
	waiting  []waitingLine
	// usual are the classes of severe lines that the old generation writes. Busy hosts have some at
	// all times: "could not allocate new session in SSL session shared cache" is an alert, each
	// scanner's broken TLS handshake is crit.
	usual    map[string]bool
	familiar int64
}

// side is what one generation wrote.
type side struct {
	lines   analysis.Lines
	crashes []string
	sample  []accesslog.ErrorLine // worst first
}

type waitingLine struct {
	accesslog.ErrorLine
	since time.Time
}

func newErrorLines(pids *generations) *errorLines {
	return &errorLines{pids: pids, usual: make(map[string]bool)}
}

// recall takes a line from before the gate. What the new generation wrote then is not usual.
func (e *errorLines) recall(line []byte) {
	l, ok := accesslog.ParseErrorLine(line)
	if ok && severe(l.Level) && e.pids.of[l.PID] != newGeneration {
		e.addUsual(l)
	}
}

func (e *errorLines) addUsual(l accesslog.ErrorLine) {
	if _, crash := crashOf(l); !crash && len(e.usual) < maxClasses {
		e.usual[class(l.Message)] = true
	}
}

// add takes a new line.
func (e *errorLines) add(line []byte, now time.Time) {
	l, ok := accesslog.ParseErrorLine(line)
	if !ok {
		return // goes on with the line before it, which was counted
	}
	if !e.sort(l) {
		if len(e.waiting) < maxWaiting {
			e.waiting = append(e.waiting, waitingLine{l, now})
		} else {
			e.giveUp(l)
		}
	}
}

// settle sorts the lines whose pids have become known, and those that have waited too long.
func (e *errorLines) settle(now time.Time) {
	e.waiting = slices.DeleteFunc(e.waiting, func(w waitingLine) bool {
		if e.sort(w.ErrorLine) {
			return true
		}
		if now.Sub(w.since) < patience {
			return false
		}
		e.giveUp(w.ErrorLine)
		return true
	})
}

// sort counts a line of a known pid.
func (e *errorLines) sort(l accesslog.ErrorLine) bool {
	switch whose := e.pids.of[l.PID]; whose {
	case oldGeneration:
		if severe(l.Level) {
			e.addUsual(l)
		}
		e.take(&e.old, whose, l)
	case newGeneration:
		if severe(l.Level) && e.usual[class(l.Message)] {
			e.familiar++
			return true
		}
		e.take(&e.new, whose, l)
	default:
		return false
	}
	return true
}

// giveUp counts a line whose pid nobody knows. An emerg or alert is held against the new
// generation, some process of which may have come and gone unseen, unless only a process that
// starts could have written it: both masters were up when the gate began, so it was a third nginx,
// such as `nginx -t` on a configuration with an error.
func (e *errorLines) giveUp(l accesslog.ErrorLine) {
	third := l.Level == accesslog.Emerg && starting.MatchString(l.Message)
	if rank(l.Level) <= rank(accesslog.Alert) && !third && !e.usual[class(l.Message)] {
		e.take(&e.new, unknown, l)
		return
	}
	count(&e.unknown, l.Level)
}

// starting matches what reading a configuration and opening listening sockets complain of.
var starting = regexp.MustCompile(` in \S+:\d+$|^bind\(\) to |^still could not bind\(\)|^open\(\) ".*" failed`)

func (e *errorLines) take(s *side, whose generation, l accesslog.ErrorLine) {
	if exit, ok := crashOf(l); ok {
		e.pids.learn(exit.PID, whose)
		if len(s.crashes) < maxCrashes {
			s.crashes = append(s.crashes, l.Message)
		}
		return
	}
	count(&s.lines, l.Level)
	if rank(l.Level) < rank(accesslog.Notice) {
		s.keep(l)
	}
}

// keep holds the worst lines, the earlier of equals.
func (s *side) keep(l accesslog.ErrorLine) {
	at := slices.IndexFunc(s.sample, func(have accesslog.ErrorLine) bool { return rank(l.Level) < rank(have.Level) })
	if at < 0 {
		at = len(s.sample)
	}
	if at < maxSample {
		s.sample = slices.Insert(s.sample, at, l)
		s.sample = s.sample[:min(len(s.sample), maxSample)]
	}
}

func (s *side) texts() []string {
	var texts []string
	for _, l := range s.sample {
		text := l.String()
		if len(text) > maxText {
			text = text[:maxText] + "…"
		}
		texts = append(texts, text)
	}
	return texts
}

// severe lines are the ones that can fail a gate.
func severe(l accesslog.Level) bool { return rank(l) <= rank(accesslog.Crit) }

// rank is 0 for the worst level.
func rank(l accesslog.Level) int {
	return slices.Index([]accesslog.Level{
		accesslog.Emerg, accesslog.Alert, accesslog.Crit, accesslog.Error, accesslog.Warn, accesslog.Notice, accesslog.Info, accesslog.Debug,
	}, l)
}

func count(n *analysis.Lines, l accesslog.Level) {
	switch l {
	case accesslog.Emerg:
		n.Emerg++
	case accesslog.Alert:
		n.Alert++
	case accesslog.Crit:
		n.Crit++
	case accesslog.Error:
		n.Error++
	case accesslog.Warn:
		n.Warn++
	}
}

// class is what a message complains of, without its numbers, the error behind it and the request it
// was about.
func class(message string) string {
	end := min(len(message), maxText)
	for _, mark := range [...]string{", client: ", " ("} {
		if at := strings.Index(message, mark); at >= 0 {
			end = min(end, at)
		}
	}
	masked := make([]byte, 0, end)
	for i := range end {
		switch c := message[i]; {
		case c < '0' || c > '9':
			masked = append(masked, c)
		case i == 0 || masked[len(masked)-1] != '0':
			masked = append(masked, '0')
		}
	}
	return string(masked)
}

// crashOf tells whether a master says that a child ended by a signal.
func crashOf(l accesslog.ErrorLine) (accesslog.Exit, bool) {
	if l.Level != accesslog.Alert {
		return accesslog.Exit{}, false
	}
	return accesslog.ParseExit(l.Message)
}
