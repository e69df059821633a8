package conf

import "strings"

// Error is a configuration that nginx would refuse to read.
type Error struct {
	File string // CommandLine for the -g text
	Line int    // the line nginx itself names, unless it lost count in a Lua block
	Msg  string // in nginx's words
	Hint string // what is wrong and what to do; may be empty

	IncludedFrom []Pos // include directives that led to File, the innermost first
	Err          error // the cause, if a file could not be read

	uncounted int // lines before Line that nginx does not count
}

// Error puts it as nginx does, `unexpected "}" in /etc/nginx/nginx.conf:7`, then the include chain
// and the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Msg)
	if e.File != "" {
		b.WriteString(" in ")
		b.WriteString(Pos{e.File, e.Line}.String())
	}
	for _, pos := range e.IncludedFrom {
		b.WriteString(", included from ")
		b.WriteString(pos.String())
	}
	if e.Hint != "" {
		b.WriteString(": ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }
