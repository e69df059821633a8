package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// rest is what is left of a file that is gone, in a copy of it. Its position is that in the file, so
// that it is found again.
type rest struct {
	FilePosition
	file  *os.File
	in    io.Reader
	at    int64 // how far it was read
	lines splitter
}

// openRest opens a copy of the file of a position, plain or gzip, at that position; nil if it is none.
func openRest(name string, p FilePosition) *rest {
	file, err := openLog(name)
	if err != nil {
		return nil
	}
	r := &rest{FilePosition: p, file: file, in: file, at: p.Offset}
	if strings.HasSuffix(name, ".gz") {
		r.in, err = gzip.NewReader(file)
	}
	if err != nil || !r.skip() {
		file.Close()
		return nil
	}
	return r
}

// skip reads up to the position, and compares what comes before it.
func (r *rest) skip() bool {
	head := make([]byte, r.Head.Size)
	if _, err := io.ReadFull(r.in, head); err != nil || !r.Head.fits(head) {
		return false
	}
	if between := r.Offset - int64(len(head)) - 1; between >= 0 {
		if _, err := io.CopyN(io.Discard, r.in, between); err != nil {
			return false
		}
		head = head[:1]
		if _, err := io.ReadFull(r.in, head); err != nil {
			return false
		}
	}
	return bytes.HasSuffix(head, []byte("\n"))
}

// read hands over lines, at most some maxPoll bytes of them. What comes after the last line break was
// torn by the copy.
func (r *rest) read(buf []byte, fn func(lines []byte)) (done bool, err error) {
	until := r.at + maxPoll
	for r.at < until {
		n, err := r.in.Read(buf)
		r.lines.write(buf[:n], func(line []byte) { fn(append(line[:len(line):len(line)], '\n')) })
		if whole := wholeLines(buf[:n]); whole > 0 {
			r.Offset = r.at + int64(whole)
		}
		r.at += int64(n)
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return true, err
		}
	}
	return false, nil
}

// finishRests hands over what is left of files that are gone.
func (f *Follower) finishRests(fn func(lines []byte)) error {
	var failed error
	kept := f.rests[:0]
	for _, r := range f.rests {
		done, err := r.read(f.buf, fn)
		if err != nil {
			f.gaps++
			failed = errors.Join(failed, fmt.Errorf("%s: %w", r.file.Name(), err))
		}
		if done {
			r.file.Close()
			continue
		}
		kept = append(kept, r)
	}
	clear(f.rests[len(kept):])
	f.rests = kept
	return failed
}
