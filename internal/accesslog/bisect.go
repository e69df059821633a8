package accesslog

import (
	"bytes"
	"errors"
	"io"
)

// bisect finds the part of a plain file that may hold the lines of a span: all of it if it is not
// bounded. Lines stand in the order of their times but for the span's slack.
func (f *source) bisect(s span, formats Formats) (from, to int64, err error) {
	from, to = 0, f.size
	if !s.bounded {
		return from, to, nil
	}
	b := bisection{source: f, formats: formats, buf: make([]byte, 64<<10)}
	if from, _, err = b.around(s.from - s.slack); err != nil {
		return 0, 0, err
	}
	if _, to, err = b.around(s.to + s.slack); err != nil {
		return 0, 0, err
	}
	to, err = f.lineAfter(to)
	return from, to, err
}

type bisection struct {
	*source
	formats Formats
	buf     []byte
}

// around is a beginning of a line that all lines before are older than t, and an offset from which on
// all are younger; both but for the slack.
func (b *bisection) around(t int64) (before, after int64, err error) {
	after = b.size
	for after-before > int64(len(b.buf)) {
		middle := before + (after-before)/2
		at, time, err := b.timeFrom(middle, after)
		switch {
		case err != nil:
			return 0, 0, err
		case at < after && time < t:
			before = at
		default:
			after = middle
		}
	}
	return before, after, nil
}

// timeFrom finds the first line with a time that begins in [from, to); at is to if there is none.
func (b *bisection) timeFrom(from, to int64) (at, time int64, err error) {
	var r Record
	if from, err = b.lineAfter(from); err != nil {
		return 0, 0, err
	}
	for from < to {
		n, err := b.file.ReadAt(b.buf, from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		block := b.buf[:n]
		for {
			end := bytes.IndexByte(block, '\n')
			if end < 0 {
				break
			}
			if at := from + int64(n-len(block)); at >= to {
				return to, 0, nil
			} else if b.formats.Parse(block[:end], &r) && r.Time != 0 {
				return at, r.Time, nil
			}
			block = block[end+1:]
		}
		if n < len(b.buf) {
			break // the end of the file
		}
		if len(block) == n { // a line that is longer
			if from, err = b.lineAfter(from + int64(n)); err != nil {
				return 0, 0, err
			}
			continue
		}
		from += int64(n - len(block))
	}
	return to, 0, nil
}
