package accesslog

import (
	"bytes"
	"time"
)

const (
	// maxMore bounds what is kept of the lines that belong to an entry. nginx cuts an entry at 2 KiB,
	// OpenResty at 4 KiB.
	maxMore = 8 << 10
	// moment is how long an entry waits for lines that belong to it. nginx writes an entry with one
	// write(2), so that its lines come together; only what a program prints to stderr comes later.
	moment = 500 * time.Millisecond
)

// ErrorReader puts the entries of one error log together: the stack traceback of a Lua error, the
// messages of PHP that FastCGI passes on, and whatever else follows without nginx's head belong to
// the entry before. An entry is complete when the next begins or when a moment has passed.
type ErrorReader struct {
	fn      func(ErrorLine)
	entry   ErrorLine
	open    bool
	since   time.Time
	more    []byte
	parser  errorParser
	foreign int64
}

// NewErrorReader makes a reader that calls fn with each complete entry.
func NewErrorReader(fn func(ErrorLine)) *ErrorReader { return &ErrorReader{fn: fn} }

// Add takes the next line, without its line break.
func (r *ErrorReader) Add(line []byte, now time.Time) {
	entry, ok := r.parser.parse(line)
	if ok {
		r.Flush()
		r.entry, r.open, r.since = entry, true, now
		return
	}
	if !r.open {
		r.foreign++
		return
	}
	r.since = now
	if room := maxMore - len(r.more); room > 0 {
		if len(r.more) > 0 {
			r.more = append(r.more, '\n')
			room--
		}
		r.more = append(r.more, line[:min(len(line), room)]...)
	}
}

// Settle hands over an entry that has waited for a moment. Call it after each Poll.
func (r *ErrorReader) Settle(now time.Time) {
	if r.open && now.Sub(r.since) >= moment {
		r.Flush()
	}
}

// Flush hands over the entry that is not known to be complete. Call it before a [Position] is stored:
// what lies before that is not read again.
func (r *ErrorReader) Flush() {
	if !r.open {
		return
	}
	r.entry.More = string(bytes.TrimRight(r.more, "\n"))
	r.open, r.more = false, r.more[:0]
	r.fn(r.entry)
}

// Foreign is how many lines belonged to no entry.
func (r *ErrorReader) Foreign() int64 { return r.foreign }
