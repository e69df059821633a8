package accesslog

import "bytes"

// lineBuffer carries the beginning of a line from one block over to the next.
type lineBuffer struct {
	buf      []byte
	have     int  // bytes of a line whose end has not come
	skipping bool // the rest of a line that does not fit
}

// space is where the next bytes of the file go.
func (b *lineBuffer) space() []byte { return b.buf[b.have:] }

// scan takes n bytes that were put into space.
func (b *lineBuffer) scan(n int, s *Scanner, fn func(*Record)) {
	data := b.buf[:b.have+n]
	if b.skipping {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			b.have = 0
			return
		}
		data, b.skipping = data[end+1:], false
	}
	rest := s.Scan(data, fn)
	if rest == len(b.buf) {
		s.tooLong(data)
		rest, b.skipping = 0, true
	}
	b.have = copy(b.buf, data[len(data)-rest:])
}

// unfinished tells whether the last line had no line break.
func (b *lineBuffer) unfinished() bool { return b.have > 0 || b.skipping }
