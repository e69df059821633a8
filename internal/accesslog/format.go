package accesslog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Format is a compiled log_format. It is immutable: any number of goroutines may use it.
type Format struct {
	ops   []op
	quote quoting
	tells [fields]bool
	plan  *plan // nil: the matcher reads every line
}

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

// op is one part of the format: a literal or a variable.
type op struct {
	literal []byte  // nil: a variable
	name    string  // the variable's; "host$request_uri" for two that nothing parts
	read    reading // what its text becomes in the Record
	shape   string  // of a variable: see shapes; "" is any text
}

// shapes of the variables that have one. '9' is a digit, 'a' a letter, '+' a sign, anything else itself.
// A shape that is one of these two names stands for a run of characters.
const (
	digits = "digits"
	number = "number" // digits and dots, or "-"
	size   = "size"   // digits, or "-", which other servers write for nothing
	// list is one number for each try of an upstream, "0.5, 0.49 : 0.1". Nothing tells where such a
	// list ends in "$upstream_response_time, $request_time", so that it is matched as a text is.
	list = "list"
)

var shapes = map[string]string{
	"status":              "999",
	"pid":                 digits,
	"connection":          digits,
	"connection_requests": digits,
	"body_bytes_sent":     size,
	"bytes_sent":          size,
	"request_length":      digits,
	"request_time":        number,
	"msec":                number,
	"time_local":          "99/aaa/9999:99:99:99 +9999",
	"time_iso8601":        "9999-99-99T99:99:99+99:99",

	"upstream_status":          list,
	"upstream_response_time":   list,
	"upstream_header_time":     list,
	"upstream_connect_time":    list,
	"upstream_response_length": list,
	"upstream_bytes_received":  list,
	"upstream_bytes_sent":      list,
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
	if err := f.split(format); err != nil {
		return nil, fmt.Errorf("compile log_format %q: %w", format, err)
	}
	if strings.Contains(format, "\n") {
		return nil, fmt.Errorf("compile log_format %q: %w: it has a line break, so that no line is a request", format, ErrUnobservable)
	}
	f.assign()
	if !f.tells[FieldStatus] {
		return nil, fmt.Errorf("compile log_format %q: %w: it has no $status", format, ErrUnobservable)
	}
	f.plan = newPlan(f)
	return f, nil
}

// split cuts a log_format into literals and variables.
func (f *Format) split(format string) error {
	for rest := format; rest != ""; {
		literal, after, found := strings.Cut(rest, "$")
		f.addLiteral(literal)
		if !found {
			break
		}
		name, tail, err := variable(after)
		if err != nil {
			return err
		}
		f.addVariable(name)
		rest = tail
	}
	return nil
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
	if last := len(f.ops) - 1; o.shape == "" && last >= 0 && f.ops[last].literal == nil && f.ops[last].shape == "" {
		f.ops[last].name += "$" + name // two texts with nothing between cannot be told apart
		return
	}
	f.ops = append(f.ops, o)
}

// Parse matches a whole line, without its line break, and fills r. It is false for a line that the
// format cannot have written; r is then empty.
//
// The text of a variable ends where what follows it in the format fits: at the first such place
// that lets the rest of the line match too. Escaping keeps a quote out of a quoted text, and the
// fixed shapes of the status and the times keep a user name like "x] 200 [" from being taken for
// more than it is. Only where a format gives texts no quotes, or with escape=none, may a client
// write what cannot be told from the real thing.
func (f *Format) Parse(line []byte, r *Record) bool {
	return f.parse(line, quotes{}, r, new(clock))
}

func (f *Format) parse(line []byte, q quotes, r *Record, c *clock) bool {
	if f.plan != nil {
		*r = untold
		switch f.plan.run(line, q, r, c) {
		case fits:
			return true
		case unfit:
			*r = untold
			return false
		}
	}
	return f.match(line, r)
}

// match is Parse by the matcher alone.
func (f *Format) match(line []byte, r *Record) bool {
	*r = untold
	m := matcher{Format: f, line: line, steps: f.budget(line), found: r}
	if !m.match(0, 0) {
		*r = untold
		return false
	}
	return true
}

// Variables is what a whole line tells of each variable of the format, by its name in lower case,
// as nginx had it before it escaped it; "host$request_uri" is the name of two that nothing parts.
func (f *Format) Variables(line []byte) (map[string]string, bool) {
	m := matcher{Format: f, line: line, steps: f.budget(line), found: new(Record), variables: map[string][]byte{}}
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
		return unescapeJSON(text)
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

// Parse fills r as the first format that fits does.
func (fs Formats) Parse(line []byte, r *Record) bool {
	return fs.parse(line, quotes{}, r, new(clock))
}

func (fs Formats) parse(line []byte, q quotes, r *Record, c *clock) bool {
	for _, f := range fs {
		if f.parse(line, q, r, c) {
			return true
		}
	}
	*r = untold
	return false
}
