package accesslog

import "bytes"

// budget is how many steps the matcher may take for a line.
func (f *Format) budget(line []byte) int { return 16*len(f.ops) + 4*len(line) }

// matcher is one line being matched.
type matcher struct {
	*Format
	line  []byte
	steps int // left before the line is given up: hostile lines must not cost more than others
	found *Record

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
		case o.shape == "" || o.shape == list:
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
	m.charge(limit - at)
	isList := m.ops[i].shape == list
	if i == len(m.ops)-1 {
		if limit < len(m.line) || isList && !isNumberList(m.line[at:]) {
			return false
		}
		m.take(&m.ops[i], m.line[at:])
		return true
	}
	next := m.ops[i+1].literal
	end := at
	if next != nil && next[0] == '"' && m.quote != quoteNone {
		end = limit // a quote before it is escaped, and none of the format's
	}
	for ; end <= limit; end++ {
		if next != nil {
			skip := bytes.Index(m.line[end:min(limit+len(next), len(m.line))], next)
			if skip < 0 {
				return false
			}
			m.charge(skip)
			end += skip
		}
		if isList {
			m.charge(end - at)
		}
		if m.steps--; m.steps < 0 {
			return false
		}
		if isList && !isNumberList(m.line[at:end]) {
			continue
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

// charge takes the cost of looking at n bytes, which are looked at 32 at a time.
func (m *matcher) charge(n int) { m.steps -= n / 32 }

// textLimit is the furthest place where a text that begins at may end.
func (m *matcher) textLimit(at int) int {
	switch m.quote {
	case quoteHex:
		if n := bytes.IndexByte(m.line[at:], '"'); n >= 0 {
			return at + n
		}
	case quoteJSON:
		return at + jsonTextLen(m.line[at:])
	}
	return len(m.line)
}

// jsonTextLen is how far a text goes that escape=json has written: to the first quote that no
// backslash stands before.
func jsonTextLen(s []byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return len(s)
}

func (m *matcher) take(o *op, text []byte) {
	if m.variables != nil {
		m.variables[o.name] = text
	}
	o.read.fill(m.found, text)
}

// shapeLen is how many bytes of s have the shape; -1 if none.
func shapeLen(s []byte, shape string) int {
	switch shape {
	case digits, number, size:
		n := 0
		for n < len(s) && (isDigit(s[n]) || shape == number && s[n] == '.') {
			n++
		}
		if n == 0 && shape != digits && len(s) > 0 && s[0] == '-' {
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
