package gate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"graft/internal/accesslog"
)

// A sample of a log is so many pieces, evenly spread over the plain files that are to be read.
const (
	samplePieces = 32
	samplePiece  = 128 << 10
	sampleGzip   = 2 << 20 // of a log that has compressed files only: so much of the newest one's beginning
)

// take lets the survey see a sample of one log's lines of the time from … until.
func (s *survey) take(log AccessLog, set logSet, from, until time.Time) error {
	var plain []string
	var size int64
	for _, file := range set.files {
		if st, err := os.Stat(file); err == nil && !strings.HasSuffix(file, ".gz") {
			plain = append(plain, file)
			size += st.Size()
		}
	}
	one := func(weight float64) func(*accesslog.Record) {
		return func(r *accesslog.Record) {
			if r.Time == 0 || r.Time >= from.Unix() && r.Time < until.Unix() {
				s.add(log.Path, r, weight)
			}
		}
	}
	if size == 0 {
		if len(set.files) == 0 {
			return nil
		}
		return sampleInflated(set.files[len(set.files)-1], log.Formats, one(1))
	}
	step := max(size/samplePieces, samplePiece)
	weight := float64(step) / samplePiece
	scanner := accesslog.NewScanner(log.Formats)
	buf := make([]byte, samplePiece)
	next := int64(0) // of the next piece, counted over all files
	for _, file := range plain {
		read, err := samplePlain(file, next, step, buf, func(lines []byte) { scanner.Scan(lines, one(weight)) })
		if err != nil {
			return err
		}
		next = read
	}
	return nil
}

// samplePlain reads a piece at every step, the first one at offset first, and returns where in the next
// file the first piece lies.
func samplePlain(path string, first, step int64, buf []byte, fn func(lines []byte)) (next int64, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return first, nil // rotated meanwhile: it is a sample
	}
	if err != nil {
		return first, fmt.Errorf("sample a log: %w", err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return first, fmt.Errorf("sample a log: %w", err)
	}
	at := first
	for ; at < st.Size(); at += step {
		n, err := file.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return at, fmt.Errorf("sample a log: %w", err)
		}
		lines := buf[:n]
		if at > 0 { // within a line
			lines = lines[bytes.IndexByte(lines, '\n')+1:]
		}
		fn(lines)
	}
	return at - st.Size(), nil
}

func sampleInflated(path string, formats accesslog.Formats, fn func(*accesslog.Record)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sample a log: %w", err)
	}
	defer file.Close()
	inflate, err := gzip.NewReader(file)
	if err != nil {
		return nil // not gzip, whatever it is called: who reads all of it says so
	}
	buf := make([]byte, sampleGzip)
	n, _ := io.ReadFull(inflate, buf)
	accesslog.NewScanner(formats).Scan(buf[:n], fn)
	return nil
}
