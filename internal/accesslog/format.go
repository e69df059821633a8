package accesslog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Format is a compiled log_format. It is immutable: any number of goroutines may use it.
type Format struct {
	ops   []op
	quote quoting
	has   [fields]bool
}

// Request is what a line of the access log tells, as far as its format does.
type Request struct {
	Status    int
	PID       int    // of the worker; 0 if the format has no $pid
	UserAgent []byte // as logged, escapes included; part of the line; nil if the format has no $http_user_agent
}

// Is5xx tells whether the server was at fault.
func (r Request) Is5xx() bool { return r.Status >= 500 && r.Status <= 599 }

// ErrUnobservable says that a log exists but nothing can be learnt from it here.
var ErrUnobservable = errors.New("unobservable")

// combined is compiled into nginx (ngx_http_log_module.c: ngx_http_combined_fmt).
const combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`

// Combined is the format of an access_log that names none.
func Combined() *Format {
	f, err := Compile(combined, "default")
	if err != nil {
		panic(err) // a constant
	}
	return f
}

// field is a part of the line that is wanted.
type field uint8

const (
	unwanted field = iota
	status
	pid
	userAgent
	fields
)

// op is one part of the format: a literal or a variable.
type op struct {
	literal []byte // nil: a variable
	name    string // the variable's; "host$request_uri" for two that nothing parts
	field   field
	shape   string // of a variable: see shapes; "" is any text
}

// shapes of the variables that have one. '9' is a digit, 'a' a letter, '+' a sign, anything else itself.
// A shape that is one of these two names stands for a run of characters.
const (
	digits = "digits"
	number = "number" // digits and dots, or "-"
)

var shapes = map[string]string{
	"status":              "999",
	"pid":                 digits,
	"connection":          digits,
	"connection_requests": digits,
	"body_bytes_sent":     digits,
	"bytes_sent":          digits,
	"request_length":      digits,
	"request_time":        number,
	"msec":                number,
	"time_local":          "99/aaa/9999:99:99:99 +9999",
	"time_iso8601":        "9999-99-99T99:99:99+99:99",
}

// quoting is what nginx does to the text of a variable; it decides where such a text surely ends.
type quoting uint8

const (
	quoteHex  quoting = iota // escape=default: no " and no \ is left, each is written \xXX
	quoteJSON                // escape=json: \" and \\
	quoteNone                // escape=none: as it is
)

// Compile reads a log_format's text and its escape parameter ("default", "json", "none" or "").
// A format without $status is [ErrUnobservable].
func Compile(format, escape string) (*Format, error) {
	f := &Format{}
	switch escape {
	case "", "default":
	case "json":
		f.quote = quoteJSON
	case "none":
		f.quote = quoteNone
	default:
		return nil, fmt.Errorf("compile log_format: unknown escape %q; nginx knows default, json and none", escape)
	}
	for rest := format; rest != ""; {
		literal, after, found := strings.Cut(rest, "$")
		f.addLiteral(literal)
		if !found {
			break
		}
		name, tail, err := variable(after)
		if err != nil {
			return nil, fmt.Errorf("compile log_format %q: %w", format, err)
		}
		f.addVariable(name)
		rest = tail
	}
	if !f.has[status] {
		return nil, fmt.Errorf("compile log_format %q: %w: it has no $status", format, ErrUnobservable)
	}
	return f, nil
}

// variable splits "name…" or "{name}…" behind a dollar sign.
func variable(s string) (name, rest string, err error) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		name, rest, ok = strings.Cut(inner, "}")
		if !ok {
			return "", "", errors.New(`"${" has no "}"`)
		}
		s = name
		if nameLen(s) != len(s) {
			return "", "", fmt.Errorf("%q is no name of a variable", s)
		}
	} else {
		name, rest = s[:nameLen(s)], s[nameLen(s):]
	}
	if name == "" {
		return "", "", errors.New(`"$" has no name behind it`)
	}
	return name, rest, nil
}

func nameLen(s string) int {
	n := strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if n < 0 {
		return len(s)
	}
	return n
}

func (f *Format) addLiteral(s string) {
	if s != "" {
		f.ops = append(f.ops, op{literal: []byte(s)})
	}
}

func (f *Format) addVariable(name string) {
	name = strings.ToLower(name) // as ngx_http_log_compile does
	o := op{name: name, shape: shapes[name]}
	switch name {
	case "status":
		o.field = status
	case "pid":
		o.field = pid
	case "http_user_agent":
		o.field = userAgent
	}
	if f.has[o.field] {
		o.field = unwanted // the first one counts
	}
	if last := len(f.ops) - 1; o.shape == "" && last >= 0 && f.ops[last].literal == nil && f.ops[last].shape == "" {
		// Two texts with nothing between cannot be told apart.
		f.has[f.ops[last].field] = false
		f.ops[last].field = unwanted
		f.ops[last].name += "$" + name
		return
	}
	f.has[o.field] = o.field != unwanted
	f.ops = append(f.ops, o)
}

// HasUserAgent tells whether the lines hold the client's User-Agent.
func (f *Format) HasUserAgent() bool { return f.has[userAgent] }

// Parse matches a whole line, without its line break. ok is false for a line that the format
// cannot have written.
//
// The text of a variable ends where what follows it in the format fits: at the first such place
// that lets the rest of the line match too. Escaping keeps a quote out of a quoted text, and the
// fixed shapes of the status and the times keep a user name like "x] 200 [" from being taken for
// more than it is. Only where a format gives texts no quotes, or with escape=none, may a client
// write what cannot be told from the real thing.
func (f *Format) Parse(line []byte) (Request, bool) {
	m := matcher{Format: f, line: line, steps: 16*len(f.ops) + 4*len(line)}
	if !m.match(0, 0) {
		return Request{}, false
	}
	return m.found, true
}

// Variables is what a whole line tells of each variable of the format, by its name in lower case,
// as nginx had it before it escaped it; "host$request_uri" is the name of two that nothing parts.
func (f *Format) Variables(line []byte) (map[string]string, bool) {
	m := matcher{Format: f, line: line, steps: 16*len(f.ops) + 4*len(line), variables: map[string][]byte{}}
	if !m.match(0, 0) {
		return nil, false
	}
	values := make(map[string]string, len(m.variables))
	for name, text := range m.variables {
		values[name] = f.unescape(text)
	}
	return values, true
}

// unescape takes back what nginx did to a variable's text.
func (f *Format) unescape(text []byte) string {
	if f.quote == quoteNone || bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	if f.quote == quoteJSON {
		var s string
		if err := json.Unmarshal(slices.Concat([]byte{'"'}, text, []byte{'"'}), &s); err == nil {
			return s
		}
		return string(text)
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) && text[i+1] == 'x' {
			if c, err := hex.DecodeString(string(text[i+2 : i+4])); err == nil {
				out = append(out, c[0])
				i += 3
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

// Formats are those that lines are written to one file in.
type Formats []*Format

// Parse is what the first format that fits makes of a line.
func (fs Formats) Parse(line []byte) (Request, bool) {
	for _, f := range fs {
		if r, ok := f.Parse(line); ok {
			return r, true
		}
	}
	return Request{}, false
}

// matcher is one line being matched.
type matcher struct {
	*Format
	line  []byte
	steps int // left before the line is given up: hostile lines must not cost more than others
	found Request

	variables map[string][]byte // nil: nobody asks for them
}

// match tells whether line[at:] is what f.ops[i:] write.
func (m *matcher) match(i, at int) bool {
	for ; i < len(m.ops); i++ {
		if m.steps--; m.steps < 0 {
			return false
		}
		o := &m.ops[i]
		switch {
		case o.literal != nil:
			if !bytes.HasPrefix(m.line[at:], o.literal) {
				return false
			}
			at += len(o.literal)
		case o.shape == "":
			return m.text(i, at)
		default:
			n := shapeLen(m.line[at:], o.shape)
			if n < 0 {
				return false
			}
			m.take(o, m.line[at:at+n])
			at += n
		}
	}
	return at == len(m.line)
}

// text matches the text variable i at its possible ends, the nearest first.
func (m *matcher) text(i, at int) bool {
	limit := m.textLimit(at)
	if i == len(m.ops)-1 {
		if limit < len(m.line) {
			return false
		}
		m.take(&m.ops[i], m.line[at:])
		return true
	}
	next := m.ops[i+1].literal
	for end := at; end <= limit; end++ {
		if next != nil {
			skip := bytes.Index(m.line[end:min(limit+len(next), len(m.line))], next)
			if skip < 0 {
				return false
			}
			end += skip
		}
		if m.match(i+1, end) {
			m.take(&m.ops[i], m.line[at:end])
			return true
		}
		if m.steps < 0 {
			return false
		}
	}
	return false
}

// textLimit is the furthest place where a text that begins at may end.
func (m *matcher) textLimit(at int) int {
	switch m.quote {
	case quoteHex:
		if n := bytes.IndexByte(m.line[at:], '"'); n >= 0 {
			return at + n
		}
	case quoteJSON:
		for i := at; i < len(m.line); i++ {
			switch m.line[i] {
			case '"':
				return i
			case '\\':
				i++
			}
		}
	}
	return len(m.line)
}

func (m *matcher) take(o *op, text []byte) {
	if m.variables != nil {
		m.variables[o.name] = text
	}
	switch o.field {
	case status:
		m.found.Status = atoi(text)
	case pid:
		m.found.PID = atoi(text)
	case userAgent:
		m.found.UserAgent = text
	}
}

// shapeLen is how many bytes of s have the shape; -1 if none.
func shapeLen(s []byte, shape string) int {
	switch shape {
	case digits, number:
		n := 0
		for n < len(s) && (isDigit(s[n]) || shape == number && s[n] == '.') {
			n++
		}
		if n == 0 && shape == number && len(s) > 0 && s[0] == '-' {
			return 1
		}
		if n == 0 {
			return -1
		}
		return n
	}
	if len(s) < len(shape) {
		return -1
	}
	for i := range len(shape) {
		c := s[i]
		ok := c == shape[i]
		switch shape[i] {
		case '9':
			ok = isDigit(c)
		case 'a':
			ok = c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		case '+':
			ok = c == '+' || c == '-'
		}
		if !ok {
			return -1
		}
	}
	return len(shape)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// atoi reads decimal digits, of which a pid has few: longer ones are nobody's pid.
func atoi(text []byte) int {
	if len(text) > 9 {
		return 0
	}
	n := 0
	for _, c := range text {
		n = 10*n + int(c-'0')
	}
	return n
}
