package accesslog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"graft/internal/procfs"
)

// Follower hands over the lines of one log file, as they are written, across rotation:
//
//   - rename and create: the old file is read to its end before the new one, and goes on being read
//     for a while, because nginx writes to it until USR1, and workers that are shutting down may do
//     so for as long as they live (logrotate signals the newer master only);
//   - copytruncate: a file that has become shorter is read from its beginning. What was written
//     between the copy and the truncation is lost, as it is to everybody else;
//   - a file that is missing is waited for; one that comes and goes between two Polls is never seen.
//
// It has no goroutine: whoever calls Poll sets the pace. It is not safe for concurrent use.
type Follower struct {
	path    string
	current *logFile
	rotated []*logFile // oldest first
	buf     []byte
}

// logFile is one inode under the path, now or before.
type logFile struct {
	file   *os.File
	id     procfs.FileID
	offset int64
	lines  splitter
	fresh  time.Time // when it last had something new
}

const (
	// linger is how long a rotated file that gets nothing new is kept open. It bounds how long
	// a deleted one takes up its space.
	linger     = 10 * time.Minute
	maxRotated = 4
	// maxPoll bounds the bytes of one file handed over by one Poll, so that its caller is not kept
	// for long behind a log that has grown far.
	maxPoll = 64 << 20
)

// Follow begins at the present end of the file, or at the beginning of one that is yet to come.
func Follow(path string) (*Follower, error) {
	f := &Follower{path: path}
	file, err := f.open()
	if err != nil || file == nil {
		return f, err
	}
	if file.offset, err = lastLineEnd(file.file); err != nil {
		file.file.Close()
		return nil, fmt.Errorf("follow %s: %w", path, err)
	}
	f.current = file
	return f, nil
}

// FollowFrom begins at a position. If that file has been renamed since, it is looked for in the
// same directory and read to its end before the file now at the path; if it is gone, what it held
// is lost and the file at the path is read from its beginning. Files that came and went between
// the two are not read.
func FollowFrom(path string, from Position) (*Follower, error) {
	f := &Follower{path: path}
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	switch {
	case file != nil && file.id == from.FileID:
		file.offset = from.Offset
	case from.FileID != procfs.FileID{}:
		if old := findFile(path, from.FileID); old != nil {
			f.rotated = append(f.rotated, &logFile{file: old, id: from.FileID, offset: from.Offset, fresh: time.Now()})
		}
	}
	f.current = file
	return f, nil
}

// Position is where the next Poll begins in the file now at the path.
func (f *Follower) Position() Position {
	if f.current == nil {
		return Position{}
	}
	return Position{FilePosition: FilePosition{FileID: f.current.id, Offset: f.current.offset - int64(len(f.current.lines.part))}}
}

// Close lets go of the files.
func (f *Follower) Close() {
	for _, file := range f.rotated {
		file.file.Close()
	}
	if f.current != nil {
		f.current.file.Close()
	}
	f.rotated, f.current = nil, nil
}

// Poll calls fn with each line completed since the last call, without its line break. The line is
// only valid until fn returns; one longer than 64 KiB is cut. After an error, the next Poll goes on.
func (f *Follower) Poll(fn func(line []byte)) error {
	if f.buf == nil {
		f.buf = make([]byte, readSize)
	}
	failed := f.turn()
	kept := f.rotated[:0]
	for i, file := range f.rotated {
		err := file.read(f.buf, fn)
		failed = errors.Join(failed, err)
		if err != nil || time.Since(file.fresh) > linger || len(f.rotated)-i > maxRotated {
			file.file.Close()
			continue
		}
		kept = append(kept, file)
	}
	clear(f.rotated[len(kept):])
	f.rotated = kept
	if f.current != nil {
		failed = errors.Join(failed, f.current.read(f.buf, fn))
	}
	if failed != nil {
		return fmt.Errorf("follow %s: %w", f.path, failed)
	}
	return nil
}

// turn takes up the file at the path if it is another one than before.
func (f *Follower) turn() error {
	id, err := procfs.Identify(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // renamed, and nginx still writes to it
	}
	if err != nil {
		return err
	}
	if f.current != nil && f.current.id == id {
		return nil
	}
	file, err := f.open()
	if err != nil || file == nil {
		return err
	}
	for i, old := range f.rotated {
		if old.id == file.id { // renamed back
			old.fresh = time.Now()
			file.file.Close()
			file = old
			f.rotated = append(f.rotated[:i], f.rotated[i+1:]...)
			break
		}
	}
	if f.current != nil {
		f.current.fresh = time.Now()
		f.rotated = append(f.rotated, f.current)
	}
	f.current = file
	return nil
}

// open opens the file at the path, at its beginning; nil if there is none.
func (f *Follower) open() (*logFile, error) {
	file, err := openLog(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("follow a log: %w", err)
	}
	id, err := fileID(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("follow a log: %w", err)
	}
	return &logFile{file: file, id: id, fresh: time.Now()}, nil
}

// read hands over what is new.
func (l *logFile) read(buf []byte, fn func(line []byte)) error {
	st, err := l.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() < l.offset { // truncated
		l.offset, l.lines = 0, splitter{}
	}
	end := min(st.Size(), l.offset+maxPoll)
	for l.offset < end {
		n, err := l.file.ReadAt(buf[:min(int64(len(buf)), end-l.offset)], l.offset)
		l.lines.write(buf[:n], fn)
		l.offset += int64(n)
		if n > 0 {
			l.fresh = time.Now()
		}
		if errors.Is(err, io.EOF) {
			return nil // truncated while it was read: the next Poll sees it
		}
		if err != nil {
			return err
		}
	}
	return nil
}
