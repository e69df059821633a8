package accesslog

import (
	"bytes"
	"encoding/binary"
)

// plan is the fast way through a line: at each variable it takes the nearest end that what follows
// fits, as the matcher does first, and never goes back. So whatever fits a plan is what the matcher
// would have found; what does not, the matcher decides, unless no step before had a choice.
type plan struct {
	head  literal
	steps []step
}

// step is a variable and the literal behind it.
type step struct {
	how    method
	read   reading
	shape  string // of a byShape
	behind literal
	// sure says that no step before could have ended elsewhere: a line that fails here has not been
	// written in this format.
	sure bool
}

// method is how the end of a variable is found.
type method uint8

const (
	byStop    method = iota // text of escape=default, to the first byte of the literal, no quote before it
	byQuote                 // text of escape=default, to a quote
	byJSON                  // text of escape=json, to a quote
	byIndex                 // text of escape=none, to the literal
	byEnd                   // the rest of the line
	byList                  // a number for each try
	byDigits                // a number
	bySeconds               // a number with a fraction, or "-"
	byStatus                // three digits
	byLocal                 // $time_local
	byISO                   // $time_iso8601
)

// literal is text of the format. Its first 8 bytes are compared as one word.
type literal struct {
	text       []byte
	word, mask uint64
}

func newLiteral(text []byte) literal {
	l := literal{text: text}
	var word, mask [8]byte
	copy(word[:], text)
	for i := range min(len(text), len(mask)) {
		mask[i] = 0xff
	}
	l.word, l.mask = binary.LittleEndian.Uint64(word[:]), binary.LittleEndian.Uint64(mask[:])
	return l
}

// begins tells whether s begins with the literal.
func (l *literal) begins(s []byte) bool {
	if len(s) < 8 {
		return bytes.HasPrefix(s, l.text)
	}
	return binary.LittleEndian.Uint64(s)&l.mask == l.word && (len(l.text) <= 8 || bytes.HasPrefix(s[8:], l.text[8:]))
}

// newPlan makes the plan of a format; nil if some end of a variable cannot be told without trying.
func newPlan(f *Format) *plan {
	p := &plan{}
	ops := f.ops
	if len(ops) > 0 && ops[0].literal != nil {
		p.head = newLiteral(ops[0].literal)
		ops = ops[1:]
	}
	sure := true
	for len(ops) > 0 {
		s := step{read: ops[0].read, shape: ops[0].shape, sure: sure}
		last := len(ops) == 1
		var behind []byte
		if !last {
			behind = ops[1].literal
		}
		s.behind = newLiteral(behind)
		var ok, choice bool
		if s.how, choice, ok = methodOf(ops[0].shape, f.quote, last, behind); !ok {
			return nil
		}
		sure = sure && !choice
		p.steps = append(p.steps, s)
		if ops = ops[1:]; behind != nil {
			ops = ops[1:]
		}
	}
	return p
}

// methodOf chooses how to find the end of a variable; choice says that it may not be the only one.
func methodOf(shape string, quote quoting, last bool, behind []byte) (how method, choice, ok bool) {
	switch shape {
	case digits:
		return byDigits, false, true
	case number:
		return bySeconds, false, true
	case shapes["status"]:
		return byStatus, false, true
	case shapes["time_local"]:
		return byLocal, false, true
	case shapes["time_iso8601"]:
		return byISO, false, true
	case list:
		// A literal that goes on as a list does leaves its end open.
		ok = last || behind != nil && !isDigit(behind[0]) && behind[0] != '.' && behind[0] != '-'
		return byList, true, ok
	}
	switch {
	case last:
		return byEnd, false, true
	case behind == nil:
		return 0, true, false
	case quote == quoteHex && behind[0] == '"':
		return byQuote, false, true
	case quote == quoteHex:
		return byStop, true, true
	case quote == quoteJSON && behind[0] == '"':
		return byJSON, false, true
	case quote == quoteNone:
		return byIndex, true, true
	}
	return 0, true, false
}

// outcome is what a plan made of a line.
type outcome uint8

const (
	unsure outcome = iota // the matcher has to decide
	unfit                 // the format has not written it
	fits
)

func (s *step) missed() outcome {
	if s.sure {
		return unfit
	}
	return unsure
}

// run fills r, which has to be untold before, as far as it comes.
func (p *plan) run(f *Format, line []byte, r *Record, c *clock) outcome {
	if !p.head.begins(line) {
		return unfit
	}
	at := len(p.head.text)
	for i := range p.steps {
		s := &p.steps[i]
		rest := line[at:]
		n := 0 // length of the variable's text
		switch s.how {
		case byStop:
			stop := s.behind.text[0]
			for ; ; n++ {
				if n >= len(rest) {
					return s.missed()
				}
				if rest[n] == stop && s.behind.begins(rest[n:]) {
					break
				}
				if rest[n] == '"' {
					return s.missed()
				}
			}
			s.read.fill(r, rest[:n])
		case byQuote:
			if n = bytes.IndexByte(rest, '"'); n < 0 {
				return s.missed()
			}
			s.read.fill(r, rest[:n])
		case byJSON:
			if n = bytes.IndexByte(rest, '"'); n > 0 && rest[n-1] == '\\' {
				n = jsonTextLen(rest)
			}
			if n < 0 {
				return s.missed()
			}
			s.read.fill(r, rest[:n])
		case byIndex:
			if n = bytes.Index(rest, s.behind.text); n < 0 {
				return s.missed()
			}
			s.read.fill(r, rest[:n])
		case byEnd:
			n = len(rest)
			switch f.quote {
			case quoteHex:
				if bytes.IndexByte(rest, '"') >= 0 {
					return s.missed()
				}
			case quoteJSON:
				if jsonTextLen(rest) < n {
					return s.missed()
				}
			}
			s.read.fill(r, rest)
		case byList:
			if n = s.listLen(rest); n < 0 {
				return s.missed()
			}
			s.read.fill(r, rest[:n])
		case byDigits:
			for n < len(rest) && isDigit(rest[n]) {
				n++
			}
			if n == 0 {
				return s.missed()
			}
			s.read.fill(r, rest[:n])
		case bySeconds:
			if n = shapeLen(rest, number); n < 0 {
				return s.missed()
			}
			s.read.fill(r, rest[:n])
		case byStatus:
			if n = shapeLen(rest, s.shape); n < 0 {
				return s.missed()
			}
			s.read.fill(r, rest[:n])
		case byLocal:
			if n = c.local(rest, s.read, r); n < 0 {
				return s.missed()
			}
		case byISO:
			if n = c.iso(rest, s.read, r); n < 0 {
				return s.missed()
			}
		}
		at += n
		if !s.behind.begins(line[at:]) {
			return s.missed()
		}
		at += len(s.behind.text)
	}
	if at != len(line) {
		if last := p.steps; len(last) > 0 {
			return last[len(last)-1].missedBehind()
		}
		return unfit
	}
	return fits
}

// missedBehind is a line that goes on behind the step.
func (s *step) missedBehind() outcome {
	if s.sure && s.how != byStop && s.how != byIndex && s.how != byList {
		return unfit
	}
	return unsure
}

// listLen is the length of the shortest list that the literal behind follows; -1 if there is none.
func (s *step) listLen(rest []byte) int {
	ends := func(n int) bool {
		if len(s.behind.text) == 0 {
			return n == len(rest)
		}
		return s.behind.begins(rest[n:])
	}
	if ends(0) {
		return 0
	}
	for n := 0; ; {
		length := shapeLen(rest[n:], number)
		if length < 0 {
			return -1
		}
		n += length
		if ends(n) {
			return n
		}
		switch {
		case bytes.HasPrefix(rest[n:], []byte(", ")):
			n += 2
		case bytes.HasPrefix(rest[n:], []byte(" : ")):
			if n += 3; ends(n) {
				return n
			}
		default:
			return -1
		}
	}
}
