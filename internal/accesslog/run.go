package accesslog

import "bytes"

// outcome is what a plan made of a line.
type outcome uint8

const (
	unsure outcome = iota // the matcher has to decide
	unfit                 // the format has not written it
	fits
)

// beyond is how many bytes behind a line may be looked at, so that its end can be read in words, too.
// They decide nothing: a line that a plan reads beyond its end does not fit.
const beyond = 16

// run fills r, as far as it comes, with all that the format tells.
func (p *plan) run(line []byte, q quotes, r *Record, c *clock) outcome {
	end := len(line)
	line = line[:min(end+beyond, cap(line))]
	at, seen := len(p.head.text), p.head.quotes
	steps := p.steps
	if !p.combined {
		if !p.head.begins(line) {
			return unfit
		}
	} else {
		n := c.combined(line, q, r)
		if n < 0 || !p.steps[0].behind.begins(line[n:]) {
			return unsure
		}
		at, seen = n+len(p.steps[0].behind.text), len(combinedQuotes{})-1+p.steps[0].behind.quotes
		steps = steps[1:]
	}
	for i := range steps {
		s := &steps[i]
		if at > end {
			return unsure
		}
		rest := line[at:]
		n := 0 // length of the variable's text
		switch s.how {
		case byStop:
			if n = s.untilStop(rest); n < 0 {
				return s.missed()
			}
			s.text(r, rest[:n:n])
			at += n + len(s.behind.text)
			seen += s.behind.quotes
			continue
		case byQuote, byJSON:
			switch {
			case seen < len(q.places):
				n = int(q.places[seen]) - q.base - at
			case len(q.places) == 0:
				n = bytes.IndexByte(rest, '"')
			default:
				n = -1
			}
			if n < 0 {
				return s.missed()
			}
			if s.how == byJSON && n > 0 && rest[n-1] == '\\' {
				if n = jsonTextLen(rest[:end-at]); n == end-at {
					return s.missed()
				}
				seen = q.skip(seen, at+n)
			}
			if s.read != readNothing {
				s.text(r, rest[:n:n])
			}
		case byIndex:
			if n = bytes.Index(rest, s.behind.text); n < 0 {
				return s.missed()
			}
			s.text(r, rest[:n:n])
			at += n + len(s.behind.text)
			seen += s.behind.quotes
			continue
		case byEnd:
			if n = end - at; !s.whole(rest[:n]) {
				return s.missed()
			}
			s.text(r, rest[:n:n])
		case byList:
			if n = s.list(rest, end-at, r); n < 0 {
				return s.missed()
			}
			at += n + len(s.behind.text)
			seen += s.behind.quotes
			continue
		case byDigits:
			if n = s.digits(rest, r); n <= 0 {
				return s.missed()
			}
		case bySeconds:
			if n = s.seconds(rest, r); n < 0 {
				return s.missed()
			}
		case byStatus:
			if n = s.status(rest, r); n < 0 {
				return s.missed()
			}
		case byLocal:
			if n = c.readLocal(rest, s.read, r); n < 0 {
				return s.missed()
			}
		case byISO:
			if n = c.readISO(rest, s.read, r); n < 0 {
				return s.missed()
			}
		}
		at += n
		switch rest = line[at:]; {
		case s.behind.long:
			if !s.behind.beginsLong(rest) {
				return s.missed()
			}
		case len(rest) < 8:
			if !s.behind.begins(rest) {
				return s.missed()
			}
		case load(rest)&s.behind.mask != s.behind.word:
			return s.missed()
		}
		at += len(s.behind.text)
		seen += s.behind.quotes
	}
	if at == end {
		return fits
	}
	return unsure
}

// status reads three digits.
func (s *step) status(rest []byte, r *Record) int {
	if len(rest) < 3 {
		return -1
	}
	a, b, c := rest[0]-'0', rest[1]-'0', rest[2]-'0'
	if a > 9 || b > 9 || c > 9 {
		return -1
	}
	if s.read == readStatus {
		r.Status = int(a)*100 + int(b)*10 + int(c)
	}
	return 3
}

func (s *step) missed() outcome {
	if s.sure {
		return unfit
	}
	return unsure
}

// text takes the text of a variable.
func (s *step) text(r *Record, text []byte) {
	switch s.read {
	case readNothing:
	case readUserAgent:
		r.UserAgent = text
	case readRequest:
		r.Request = text
	default:
		s.read.fill(r, text)
	}
}

// untilStop is the length of a text of escape=default that the literal behind ends; -1 if it has none.
func (s *step) untilStop(rest []byte) int {
	for n := 0; ; n++ {
		for len(rest)-n >= 8 {
			word := load(rest[n:])
			marks := match(word, s.stop) | match(word, quote)
			n += first(marks)
			if marks != 0 {
				break
			}
		}
		for len(rest)-n < 8 {
			if n == len(rest) {
				return -1
			}
			if rest[n] == byte(s.stop) || rest[n] == '"' {
				break
			}
			n++
		}
		if rest[n] == '"' {
			return -1
		}
		if s.behind.begins(rest[n:]) {
			return n
		}
	}
}

// whole tells whether a text may go to the end of the line.
func (s *step) whole(text []byte) bool {
	switch s.quote {
	case quoteHex:
		return bytes.IndexByte(text, '"') < 0
	case quoteJSON:
		return jsonTextLen(text) == len(text)
	}
	return true
}

// digits reads digits, and tells how many; 0 if there are none.
func (s *step) digits(rest []byte, r *Record) int {
	if len(rest) >= 8 {
		word := load(rest)
		if n := first(nonDigits(word)); n < 8 && n > 0 {
			switch s.read {
			case readBytes:
				r.Bytes = int64(number8(word, n))
			case readPID:
				r.PID = int(number8(word, n))
			}
			return n
		}
	}
	n := max(shapeLen(rest, s.shape), 0)
	s.read.fill(r, rest[:n])
	return n
}

// seconds reads a time in seconds, and tells its length; -1 if it is none.
func (s *step) seconds(rest []byte, r *Record) int {
	if s.read == readRequestTime && len(rest) >= 8 {
		if ms, n := secondsOf(load(rest)); n > 0 {
			r.RequestTime = ms
			return n
		}
	}
	n := shapeLen(rest, number)
	if n > 0 {
		s.read.fill(r, rest[:n])
	}
	return n
}

// list reads the shortest list that the literal behind follows, or the line's end, and tells its length;
// -1 if there is none. Most lists have one element.
func (s *step) list(rest []byte, end int, r *Record) int {
	if len(rest) >= 8 && (s.read == readUpstreamTime || s.read == readUpstreamTries) {
		ms, n := int32(-1), 1
		if rest[0] != '-' {
			ms, n = secondsOf(load(rest))
		}
		if n > 0 && s.ends(rest, n, end) {
			r.UpstreamTime = ms
			if s.read == readUpstreamTries {
				r.UpstreamFailures = 0
			}
			return n
		}
	}
	n := s.listLen(rest[:end], end)
	if n >= 0 {
		s.read.fill(r, rest[:n])
	}
	return n
}

func (s *step) ends(rest []byte, n, end int) bool {
	if len(s.behind.text) == 0 {
		return n == end
	}
	return s.behind.begins(rest[n:])
}

func (s *step) listLen(rest []byte, end int) int {
	if s.ends(rest, 0, end) {
		return 0
	}
	for n := 0; ; {
		length := shapeLen(rest[n:], number)
		if length < 0 {
			return -1
		}
		n += length
		if s.ends(rest, n, end) {
			return n
		}
		switch {
		case bytes.HasPrefix(rest[n:], []byte(", ")):
			n += 2
		case bytes.HasPrefix(rest[n:], []byte(" : ")):
			if n += 3; s.ends(rest, n, end) {
				return n
			}
		default:
			return -1
		}
	}
}
