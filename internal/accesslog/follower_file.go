package accesslog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/procfs"
)

// logFile is one inode under the path, now or before.
type logFile struct {
	file   *os.File
	id     procfs.FileID
	born   int64  // when it was created, Unix nanoseconds; 0: the file system does not tell
	offset int64  // of the first line not handed over
	passed int64  // bytes from there on that are known to hold no line break: of a long line
	head   []byte // its first bytes, at most headSize and not beyond the offset
	behind bool   // it was not read to its end

	size  int64 // when it was last looked at
	mtime time.Time
	fresh time.Time // when it last had something new
	asked time.Time // when it was last asked who writes
}

func newLogFile(file *os.File) (*logFile, error) {
	id, err := fileID(file)
	if err != nil {
		return nil, err
	}
	return &logFile{file: file, id: id, born: bornAt(file), size: -1, fresh: time.Now()}, nil
}

// bornAt is when a file was created, 0 where that is not told.
func bornAt(file *os.File) int64 {
	var st unix.Statx_t
	err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}

func (l *logFile) position() FilePosition {
	return FilePosition{FileID: l.id, Offset: l.offset, Head: headOf(l.head), Born: l.born}
}

// toEnd moves behind the last whole line.
func (l *logFile) toEnd() error {
	end, err := lastLineEnd(l.file)
	if err != nil {
		return err
	}
	l.offset = end
	return l.takeHead()
}

// to moves to a position if the file is the one that it was taken in.
func (l *logFile) to(p FilePosition) (bool, error) {
	if p.Born != 0 && l.born != 0 && p.Born != l.born {
		return false, nil // its inode number was free, and was used again
	}
	st, err := l.file.Stat()
	if err != nil || st.Size() < p.Offset {
		return false, err
	}
	l.offset = p.Offset
	if err := l.takeHead(); err != nil {
		return false, err
	}
	if !p.Head.fits(l.head) || !l.atLine() {
		l.rewind()
		return false, nil
	}
	return true, nil
}

// takeHead reads the head anew.
func (l *logFile) takeHead() error {
	l.head = make([]byte, min(l.offset, headSize))
	_, err := l.file.ReadAt(l.head, 0)
	return err
}

// atLine tells whether a line begins at the offset.
func (l *logFile) atLine() bool {
	if l.offset == 0 {
		return true
	}
	var before [1]byte
	_, err := l.file.ReadAt(before[:], l.offset-1)
	return err == nil && before[0] == '\n'
}

func (l *logFile) rewind() { l.offset, l.passed, l.head = 0, 0, nil }

// news is what has happened to a file since it was last looked at.
type news int

const (
	nothing news = iota
	written
	replaced // truncated, and perhaps written again
)

// look compares the file with what is known of it. A file that was truncated and has grown past the
// offset since looks untouched by its size, so its head is compared whenever it was written to: that
// takes a microsecond, four times a second.
func (l *logFile) look() (news, error) {
	st, err := l.file.Stat()
	if err != nil {
		return nothing, err
	}
	if st.Size() == l.size && st.ModTime().Equal(l.mtime) {
		if l.behind {
			return written, nil
		}
		return nothing, nil
	}
	l.size, l.mtime = st.Size(), st.ModTime()
	if l.size < l.offset {
		return replaced, nil
	}
	if l.size < l.offset+l.passed {
		l.passed = 0
	}
	head := make([]byte, len(l.head))
	if _, err := l.file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nothing, err
	}
	if !bytes.Equal(head, l.head) || !l.atLine() {
		return replaced, nil
	}
	return written, nil
}

// read hands over the whole lines after the offset.
func (l *logFile) read(buf []byte, fn func(lines []byte)) error {
	end := min(l.size, l.offset+maxPoll)
	l.behind = false
	for l.offset+l.passed < end {
		n, err := l.file.ReadAt(buf, l.offset+l.passed)
		data := buf[:n]
		if n > 0 {
			l.fresh = time.Now()
		}
		switch whole := wholeLines(data); {
		case l.passed > 0:
			if ended, err := l.endLong(data, fn); err != nil {
				return err
			} else if ended {
				continue
			}
		case whole > 0:
			fn(data[:whole])
			l.keepHead(data[:whole])
			l.offset += int64(whole)
		case n == len(buf):
			l.passed = int64(n)
		default:
			return nil // the line goes on
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	l.behind = l.offset+l.passed < l.size
	return nil
}

// endLong looks for the end of a line that is longer than the buffer, and hands over its beginning.
func (l *logFile) endLong(data []byte, fn func(lines []byte)) (ended bool, err error) {
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		l.passed += int64(len(data))
		return false, nil
	}
	cut := make([]byte, maxLine, maxLine+1)
	if _, err := l.file.ReadAt(cut, l.offset); err != nil {
		return false, err
	}
	cut = append(cut, '\n')
	fn(cut)
	l.keepHead(cut[:maxLine])
	l.offset += l.passed + int64(end) + 1
	l.passed = 0
	return true, nil
}

// keepHead takes the head from what was read at the offset, not once more from the file: that may be
// another by now.
func (l *logFile) keepHead(data []byte) {
	if l.offset == int64(len(l.head)) && len(l.head) < headSize {
		l.head = append(l.head, data[:min(len(data), headSize-len(l.head))]...)
	}
}

// hasWriter tells whether any process has the file open for writing. The kernel grants a lease for
// reading only if none has; it is given back at once. It is not known of files of other users, to
// whoever is not root, and on network file systems.
func hasWriter(file *os.File) (yes, known bool) {
	_, err := unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if errors.Is(err, unix.EAGAIN) {
		return true, true
	}
	if err != nil {
		return false, false
	}
	_, err = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return false, err == nil
}
