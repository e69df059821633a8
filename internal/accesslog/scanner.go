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
	clock   clock
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
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			return len(data)
		}
		s.Lines++
		if s.formats.parse(data[:end], &s.record, &s.clock) {
			fn(&s.record)
		} else {
			s.malformed(data[:end])
		}
		data = data[end+1:]
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
