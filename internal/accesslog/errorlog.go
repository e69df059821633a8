package accesslog

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Level is the severity of a line in the error log, in nginx's words.
type Level string

// The levels, worst first.
const (
	Emerg  Level = "emerg"
	Alert  Level = "alert"
	Crit   Level = "crit"
	Error  Level = "error"
	Warn   Level = "warn"
	Notice Level = "notice"
	Info   Level = "info"
	Debug  Level = "debug"
)

// ErrorLine is one line of the error log, as ngx_log_error_core writes it:
//
//	2026/11/03 10:15:42 [error] 812#814: *77 open() "/x" failed (2: No such file or directory), client: …
type ErrorLine struct {
	Time       time.Time `json:"time"` // in the host's zone: nginx writes local time without saying so
	Level      Level     `json:"level"`
	PID        int       `json:"pid"`
	TID        int       `json:"tid"`
	Connection uint64    `json:"connection,omitempty"` // 0: of none
	Message    string    `json:"message"`
	// More are the lines that follow without nginx's head, such as a traceback: see [ErrorReader].
	More string `json:"more,omitempty"`
}

func (l ErrorLine) String() string {
	return fmt.Sprintf("%s [%s] %d: %s", l.Time.Format("15:04:05"), l.Level, l.PID, l.Message)
}

const errorTime = "2006/01/02 15:04:05"

// ParseErrorLine reads a line without its line break. ok is false for a line that does not begin
// like one of nginx's: it goes on with the line before it (a Lua or PHP traceback), or is foreign.
func ParseErrorLine(line []byte) (l ErrorLine, ok bool) {
	var p errorParser
	return p.parse(line)
}

// errorParser remembers the last time it has read: that of most lines is the same.
type errorParser struct {
	text [len(errorTime)]byte
	time time.Time
}

func (p *errorParser) parse(line []byte) (l ErrorLine, ok bool) {
	if len(line) < len(errorTime)+2 || line[4] != '/' || line[len(errorTime)] != ' ' || line[len(errorTime)+1] != '[' {
		return l, false // before the costly part: tracebacks are long
	}
	level, rest, ok := bytes.Cut(line[len(errorTime)+2:], []byte("] "))
	if !ok {
		return l, false
	}
	if l.Level, ok = levelOf(level); !ok {
		return l, false
	}
	if l.PID, rest, ok = digitsBefore(rest, "#"); !ok {
		return l, false
	}
	if l.TID, rest, ok = digitsBefore(rest, ": "); !ok {
		return l, false
	}
	if l.Time, ok = p.at(line[:len(errorTime)]); !ok {
		return l, false
	}
	if len(rest) > 1 && rest[0] == '*' {
		if n, message, ok := digitsBefore(rest[1:], " "); ok {
			l.Connection, rest = uint64(n), message
		}
	}
	l.Message = string(rest)
	return l, true
}

func (p *errorParser) at(text []byte) (time.Time, bool) {
	if string(text) != string(p.text[:]) || p.time.IsZero() {
		t, err := time.ParseInLocation(errorTime, string(text), time.Local)
		if err != nil {
			return t, false
		}
		copy(p.text[:], text)
		p.time = t
	}
	return p.time, true
}

// digitsBefore reads the digits up to a separator.
func digitsBefore(text []byte, separator string) (n int, rest []byte, ok bool) {
	digits, rest, ok := bytes.Cut(text, []byte(separator))
	if !ok || len(digits) == 0 || len(digits) > 18 { // more overflow
		return 0, nil, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, nil, false
		}
		n = 10*n + int(c-'0')
	}
	return n, rest, true
}

func levelOf(name []byte) (Level, bool) {
	for _, level := range [...]Level{Emerg, Alert, Crit, Error, Warn, Notice, Info, Debug} {
		if string(name) == string(level) {
			return level, true
		}
	}
	return "", false
}

// Exit is a child's end by a signal, as its master tells it.
type Exit struct {
	Process string `json:"process"` // "worker process", "cache manager process", …
	PID     int    `json:"pid"`
	Signal  int    `json:"signal"`
	Core    bool   `json:"core"` // it left a core file
}

// ngx_process.c: ngx_process_get_status
var exitMessage = regexp.MustCompile(`^(.+) (\d+) exited on signal (\d+)( \(core dumped\))?$`)

// ParseExit reads the message of an alert.
func ParseExit(message string) (e Exit, ok bool) {
	m := exitMessage.FindStringSubmatch(message)
	if m == nil {
		return e, false
	}
	pid, err := strconv.Atoi(m[2])
	if err != nil {
		return e, false
	}
	signal, err := strconv.Atoi(m[3])
	if err != nil {
		return e, false
	}
	return Exit{Process: m[1], PID: pid, Signal: signal, Core: m[4] != ""}, true
}
