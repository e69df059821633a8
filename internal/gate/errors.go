package gate

import (
	"regexp"
	"slices"
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
	usual    map[string]bool // by the class's ID
	familiar int64
	// classes are those of both generations' lines, in the comparison with the days before and with each other.
	classes *errorClasses
	killed  map[int]bool // whose end by a signal a master has told
}

// side is what one generation wrote.
type side struct {
	lines   analysis.Lines
	crashes []string
	ends    []time.Time           // of workers that crashed
	sample  []accesslog.ErrorLine // worst first
}

type waitingLine struct {
	accesslog.ErrorLine
	Since time.Time `json:"since"`
}

func newErrorLines(pids *generations) *errorLines {
	return &errorLines{pids: pids, usual: make(map[string]bool), killed: make(map[int]bool), classes: newErrorClasses(nil)}
}

// know takes what was usual in the days before.
func (e *errorLines) know(h *errorHistory) {
	e.classes = newErrorClasses(h)
	for id, c := range h.Classes {
		if severe(c.Level) {
			e.usual[id] = true
		}
	}
}

// recall takes a line from before the gate. What the new generation wrote then is not usual.
func (e *errorLines) recall(line []byte) {
	l, ok := accesslog.ParseErrorLine(line)
	if !ok || e.pids.of[l.PID] == newGeneration {
		return
	}
	if severe(l.Level) {
		e.addUsual(l)
	}
	e.classes.recall(l)
}

func (e *errorLines) addUsual(l accesslog.ErrorLine) {
	if _, crash := crashOf(l); !crash && len(e.usual) < maxClasses {
		e.usual[accesslog.ClassOf(l).ID] = true
	}
}

// add takes a new entry.
func (e *errorLines) add(l accesslog.ErrorLine, now time.Time) {
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
		if now.Sub(w.Since) < patience {
			return false
		}
		e.giveUp(w.ErrorLine)
		return true
	})
}

// sort counts a line of a known pid.
func (e *errorLines) sort(l accesslog.ErrorLine) bool {
	whose := e.pids.of[l.PID]
	if whose != unknown {
		e.classes.add(l, whose)
	}
	switch whose {
	case oldGeneration:
		if severe(l.Level) {
			e.addUsual(l)
		}
		e.take(&e.old, whose, l)
	case newGeneration:
		if severe(l.Level) && e.usual[accesslog.ClassOf(l).ID] {
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
	if rank(l.Level) <= rank(accesslog.Alert) && !third && !e.usual[accesslog.ClassOf(l).ID] {
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
		if len(e.killed) < maxWaiting {
			e.killed[exit.PID] = true
		}
		if len(s.ends) < maxWaiting {
			s.ends = append(s.ends, l.Time)
		}
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
		texts = append(texts, cut(l.String()))
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

// crashOf tells whether a master says that a child ended by a signal.
func crashOf(l accesslog.ErrorLine) (accesslog.Exit, bool) {
	if l.Level != accesslog.Alert {
		return accesslog.Exit{}, false
	}
	return accesslog.ParseExit(l.Message)
}
