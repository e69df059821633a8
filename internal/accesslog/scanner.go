package accesslog

import "bytes"

// Scanner reads the lines of an access log out of blocks of it, without allocation. Each goroutine
// needs its own.
type Scanner struct {
	Lines     int64    // whole lines, malformed ones included
	Malformed int64    // lines that none of the formats has written
	Samples   []string // the beginnings of the first malformed lines

	formats Formats
	record  Record
	usual   bool // the record is of the first format's plan, which fills the same fields again
	clock   clock
	marks   marks
}

const (
	maxSamples = 5
	maxSample  = 256
)

// NewScanner makes a scanner of lines in any of the formats.
func NewScanner(formats Formats) *Scanner { return &Scanner{formats: formats} }

// Scan calls fn with each whole line of data that one of the formats has written, and tells how many
// bytes at its end are no whole line. The Record is only valid until fn returns.
func (s *Scanner) Scan(data []byte, fn func(*Record)) (rest int) {
	for len(data) > 0 {
		window := data[:min(len(data), markWindow)]
		done := s.window(window, data, fn)
		if done == 0 { // no line ends in it
			end := bytes.IndexByte(data[len(window):], '\n')
			if end < 0 {
				break
			}
			done = len(window) + end
			s.line(data[:done], quotes{}, fn)
			done++
		}
		data = data[done:]
	}
	return len(data)
}

// window scans the lines that end in a window, and tells how long they are together.
func (s *Scanner) window(window, data []byte, fn func(*Record)) (done int) {
	places := s.marks[:findMarks(window, s.marks[:])]
	var usual *plan
	expected := -1
	if len(s.formats) > 0 && s.formats[0].plan != nil {
		usual = s.formats[0].plan
		expected = usual.quotes
	}
	for first := 0; ; {
		// A line with as many quotes as the format is one whole line if it fits: if there were a line
		// break in it, a quote would lack.
		end := first + expected
		if expected >= 0 && end < len(places) && window[places[end]] == '\n' {
			if !s.usual {
				s.record = untold
			}
			if usual.run(data[done:places[end]], quotes{places[first:end], done}, &s.record, &s.clock) == fits {
				s.usual = true
				s.Lines++
				fn(&s.record)
				done, first = int(places[end])+1, end+1
				continue
			}
		}
		for end = first; end < len(places) && window[places[end]] != '\n'; {
			end++
		}
		if end == len(places) {
			return done
		}
		s.line(data[done:places[end]], quotes{places[first:end], done}, fn)
		done, first = int(places[end])+1, end+1
	}
}

func (s *Scanner) line(line []byte, q quotes, fn func(*Record)) {
	s.usual = false
	s.Lines++
	if s.formats.parse(line, q, &s.record, &s.clock) {
		fn(&s.record)
	} else {
		s.malformed(line)
	}
}

func (s *Scanner) malformed(line []byte) {
	s.Malformed++
	if len(s.Samples) < maxSamples {
		s.Samples = append(s.Samples, string(line[:min(len(line), maxSample)]))
	}
}

// tooLong counts a line that begins with data and does not fit into the caller's buffer.
func (s *Scanner) tooLong(data []byte) {
	s.Lines++
	s.malformed(data)
}
