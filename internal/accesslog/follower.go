package accesslog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"graft/internal/procfs"
)

// PollInterval is a good time between two Polls. One of an idle log costs some microseconds, and whoever
// decides by windows of 10 s misses nothing by a quarter of a second; nor does the Follower, for it finds
// what was rotated in between. Events of the kernel would not be better: a busy log has one for each write,
// which cost more than reading it, and they get lost.
const PollInterval = 250 * time.Millisecond

// Follower hands over the lines of one log file, as they are written, across rotation:
//
//   - rename and create: the old file is read to its end before the new one, and goes on being read
//     as long as any process has it open for writing, because nginx writes to it until USR1, and
//     workers that are shutting down for as long as they live (logrotate signals the newer master
//     only);
//   - copytruncate, seen by a file that became shorter or begins otherwise than before: what is left of
//     the copy beside it is read, then the file from its beginning. What is written between the copy
//     and the truncation is lost, as it is to everybody else; so is what was written and truncated
//     before it was looked at for the first time;
//   - a file that is missing is waited for, a deleted one read as long as it is written to; one that
//     comes and goes between two Polls is read where it lies beside, renamed as rotation does.
//
// A line that a full disk has torn is handed over together with the one written after it, as one line.
//
// It has no goroutine: whoever calls Poll sets the pace. It is not safe for concurrent use.
type Follower struct {
	path    string
	current *logFile
	born    int64      // when the newest file that was taken up was created
	rotated []*logFile // oldest first
	rests   []*rest    // of files that are gone
	buf     []byte
	gaps    int
	past    []Head // of contents that were truncated, copies of which lie beside
	writing func(*os.File) (yes, known bool)
}

const (
	// linger is how long a rotated file that gets nothing new is kept open where it cannot be told
	// whether a process still has it open for writing. It bounds how long a deleted one takes up its
	// space.
	linger = 10 * time.Minute
	// askWriters is how often that is asked.
	askWriters = time.Second
	maxRotated = 16
	maxPast    = 8
	// maxPoll bounds the bytes of one file handed over by one Poll, so that its caller is not kept
	// for long behind a log that has grown far.
	maxPoll = 64 << 20
)

func newFollower(path string) *Follower { return &Follower{path: path, writing: hasWriter} }

// Follow begins at the present end of the file, or at the beginning of one that is yet to come.
func Follow(path string) (*Follower, error) {
	f := newFollower(path)
	file, err := f.open()
	if err != nil || file == nil {
		return f, err
	}
	if err := file.toEnd(); err != nil {
		file.file.Close()
		return nil, fmt.Errorf("follow %s: %w", path, err)
	}
	f.current, f.born = file, file.born
	return f, nil
}

// Position is where the next Poll begins.
func (f *Follower) Position() Position {
	p := Position{Newest: f.born, Past: slices.Clone(f.past)}
	for _, r := range f.rests {
		p.Rotated = append(p.Rotated, r.FilePosition)
	}
	for _, file := range f.rotated {
		p.Rotated = append(p.Rotated, file.position())
	}
	if f.current != nil {
		p.FilePosition = f.current.position()
	}
	return p
}

// Gaps is how many times the rest of a file was not found, so that lines of it may be lost.
func (f *Follower) Gaps() int { return f.gaps }

// Close lets go of the files.
func (f *Follower) Close() {
	for _, r := range f.rests {
		r.file.Close()
	}
	for _, file := range f.rotated {
		file.file.Close()
	}
	if f.current != nil {
		f.current.file.Close()
	}
	f.rests, f.rotated, f.current = nil, nil, nil
}

// Poll calls fn with each line completed since the last call, without its line break. The line is
// only valid until fn returns; one longer than 64 KiB is cut. After an error, the next Poll goes on.
func (f *Follower) Poll(fn func(line []byte)) error {
	var lines splitter
	return f.PollBlocks(func(block []byte) { lines.write(block, fn) })
}

// PollBlocks is Poll for whoever takes many lines at once: each block holds whole lines with their line
// breaks, and is only valid until fn returns.
func (f *Follower) PollBlocks(fn func(lines []byte)) error {
	if f.buf == nil {
		f.buf = make([]byte, readSize)
	}
	failed := errors.Join(f.turn(), f.finishRests(fn))
	kept := f.rotated[:0]
	for i, file := range f.rotated {
		done := f.finished(file) || len(f.rotated)-i > maxRotated
		err := f.read(file, fn)
		failed = errors.Join(failed, err)
		if err != nil {
			f.gaps++
		}
		if err != nil || done && !file.behind {
			file.file.Close()
			continue
		}
		kept = append(kept, file)
	}
	clear(f.rotated[len(kept):])
	f.rotated = kept
	if f.current != nil {
		failed = errors.Join(failed, f.read(f.current, fn))
	}
	if failed != nil {
		return fmt.Errorf("follow %s: %w", f.path, failed)
	}
	return nil
}

// read hands over what is new in a file.
func (f *Follower) read(file *logFile, fn func(lines []byte)) error {
	news, err := file.look()
	if err != nil || news == nothing {
		return err
	}
	if news == replaced {
		if p := file.position(); p.Offset > 0 {
			f.recover(p)
			f.past = append(f.past, p.Head)
			f.past = f.past[max(len(f.past)-maxPast, 0):]
		}
		file.rewind()
		if err := f.finishRests(fn); err != nil {
			return err
		}
	}
	return file.read(f.buf, fn)
}

// finished tells whether nothing can be written to a rotated file any more. What was written before that
// was asked is still to be read.
func (f *Follower) finished(file *logFile) bool {
	if time.Since(file.asked) < askWriters {
		return false
	}
	file.asked = time.Now()
	if yes, known := f.writing(file.file); known {
		return !yes
	}
	return time.Since(file.fresh) > linger
}

// turn takes up the file at the path if it is another one than before.
func (f *Follower) turn() error {
	id, err := procfs.Identify(f.path)
	if errors.Is(err, os.ErrNotExist) { // renamed, and nginx still writes to it
		f.addMissed()
		return nil
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
	last := f.current
	f.current = file
	if last != nil {
		last.fresh, last.asked = time.Now(), time.Now()
		f.rotated = append(f.rotated, last)
	}
	f.addMissed()
	f.born = file.born
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
	log, err := newLogFile(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("follow a log: %w", err)
	}
	return log, nil
}
