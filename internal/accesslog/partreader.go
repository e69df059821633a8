package accesslog

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// blockSize is how much is read at a time: small enough that what was read is still in the
// processor's cache when it is scanned. A line that is longer is malformed.
const blockSize = 256 << 10

// partReader is one goroutine's.
type partReader struct {
	scan     *Scanner
	take     func(*Record)
	records  int64
	span     span
	lines    lineBuffer
	progress *progress
	inflater *gzip.Reader // kept from file to file, for its tables
}

func newPartReader(formats Formats, s span, sink Sink, p *progress) *partReader {
	r := &partReader{scan: NewScanner(formats), span: s, progress: p, lines: lineBuffer{buf: make([]byte, blockSize)}}
	r.take = sink.Add
	if s.bounded {
		r.take = func(rec *Record) {
			if s.holds(rec.Time) {
				r.records++
				sink.Add(rec)
			}
		}
	}
	return r
}

// read reads one part and tells what it saw of it, also when it fails.
func (r *partReader) read(ctx context.Context, p part) (Stats, error) {
	lines, malformed, records := r.scan.Lines, r.scan.Malformed, r.records
	r.scan.Samples, r.lines.have, r.lines.skipping = nil, 0, false
	var seen Stats
	var err error
	if p.gzip {
		err = r.readGzip(ctx, p, &seen)
	} else {
		err = r.readPlain(ctx, p, &seen)
	}
	if r.lines.unfinished() && p.to == p.size && err == nil {
		seen.Unfinished = 1
	}
	seen.Lines = r.scan.Lines - lines
	seen.Malformed = r.scan.Malformed - malformed
	seen.Records = seen.Lines - seen.Malformed
	if r.span.bounded {
		seen.Records = r.records - records
	}
	for _, line := range r.scan.Samples {
		seen.Samples = append(seen.Samples, Sample{p.path, line})
	}
	if err != nil {
		return seen, fmt.Errorf("%s: %w (%d lines of it were read)", p.path, err, seen.Lines)
	}
	return seen, nil
}

// readPlain reads with pread: a map of a log that is truncated meanwhile would end graft with SIGBUS.
func (r *partReader) readPlain(ctx context.Context, p part, seen *Stats) error {
	for at := p.from; at < p.to; {
		if err := ctx.Err(); err != nil {
			return nil // ReadFiles tells it once
		}
		space := r.lines.space()
		n, err := p.file.ReadAt(space[:min(int64(len(space)), p.to-at)], at)
		at += int64(n)
		seen.Bytes += int64(n)
		r.lines.scan(n, r.scan, r.take)
		r.progress.add(int64(n))
		if errors.Is(err, io.EOF) && at < p.to {
			seen.Notes = append(seen.Notes, fmt.Sprintf("%s was truncated while it was read: %d bytes that it had are gone", p.path, p.to-at))
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// readGzip reads a file of one member or, as nginx writes for access_log … gzip=, of many.
func (r *partReader) readGzip(ctx context.Context, p part, seen *Stats) error {
	in := &countedReader{in: io.NewSectionReader(p.file, p.from, p.to-p.from), progress: r.progress}
	err := r.openGzip(in)
	for err == nil && ctx.Err() == nil {
		var n int
		n, err = r.inflater.Read(r.lines.space())
		seen.Bytes += int64(n)
		r.lines.scan(n, r.scan, r.take)
		if r.span.bounded && r.scan.record.Time >= r.span.to+r.span.slack {
			break // what follows is younger still
		}
	}
	r.progress.add(p.to - p.from - in.read)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, gzip.ErrHeader) && seen.Bytes > 0:
		seen.Notes = append(seen.Notes, fmt.Sprintf("%s is cut off, or not gzip to its end: what could be inflated was read (%d bytes)", p.path, seen.Bytes))
		return nil
	}
	return fmt.Errorf("inflate: %w", err)
}

func (r *partReader) openGzip(in io.Reader) (err error) {
	if r.inflater == nil {
		r.inflater, err = gzip.NewReader(in)
		return err
	}
	return r.inflater.Reset(in)
}

// countedReader tells how much of a compressed file is done.
type countedReader struct {
	in       io.Reader
	read     int64
	progress *progress
}

func (c *countedReader) Read(buf []byte) (int, error) {
	n, err := c.in.Read(buf)
	c.read += int64(n)
	c.progress.add(int64(n))
	return n, err
}
