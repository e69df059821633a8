package accesslog

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"graft/internal/procfs"
)

// FollowFrom begins at a position. A file that has been renamed since is looked for in the same
// directory; if it is gone, a copy of it, which copytruncate or gzip has made. What of it is left is
// read before the file now at the path, and so are the files that came and went in between, as long as
// they are not compressed. What is not found is lost, and counted by Gaps.
func FollowFrom(path string, from Position) (*Follower, error) {
	f := newFollower(path)
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	f.current = file
	f.past = slices.Clone(from.Past)
	for _, p := range append(slices.Clone(from.Rotated), from.FilePosition) {
		if p.FileID == (procfs.FileID{}) {
			continue
		}
		if file != nil && file.id == p.FileID {
			if there, err := file.to(p); err != nil {
				f.Close()
				return nil, fmt.Errorf("follow %s: %w", path, err)
			} else if there {
				continue
			}
		}
		f.recover(p)
	}
	f.born = from.Newest
	if file == nil || file.born != from.Newest {
		f.addMissed()
	}
	if file != nil {
		f.born = file.born
	}
	return f, nil
}

// recover finds what is left of a file that is not at the path any more, by its inode or, if that is
// gone or holds something else by now, in a copy.
func (f *Follower) recover(p FilePosition) {
	var plain, packed []string
	for _, name := range siblings(f.path) {
		if strings.HasSuffix(name, ".gz") {
			packed = append(packed, name)
			continue
		}
		if log := openAt(name, p); log != nil {
			f.rotated = append(f.rotated, log)
			return
		}
		if id, err := procfs.Identify(name); err == nil && !f.has(id) {
			plain = append(plain, name)
		}
	}
	if p.Head.Size > 0 { // else any file would fit
		for _, name := range append(plain, packed...) { // a .gz beside a plain file is not complete yet
			if r := openRest(name, p); r != nil {
				f.rests = append(f.rests, r)
				return
			}
		}
	}
	if p.Offset > 0 {
		f.gaps++
	}
}

// openAt opens the file of a position, at the position; nil if it is another.
func openAt(name string, p FilePosition) *logFile {
	file, err := openLog(name)
	if err != nil {
		return nil
	}
	log, err := newLogFile(file)
	if err == nil && log.id == p.FileID {
		if there, err := log.to(p); err == nil && there {
			return log
		}
	}
	file.Close()
	return nil
}

// has tells whether a file is being followed.
func (f *Follower) has(id procfs.FileID) bool {
	return f.current != nil && f.current.id == id || slices.ContainsFunc(f.rotated, func(l *logFile) bool { return l.id == id })
}

// siblings are the files beside a log whose names begin with its own, as rotation gives: access.log.1,
// access.log-20261103, access.log.2.gz.
func siblings(path string) []string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)) && e.Name() != filepath.Base(path) {
			found = append(found, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return found
}

// rotationSuffix is what rotation puts behind a name, and not people or programs that make something of
// a log.
var rotationSuffix = regexp.MustCompile(`^[.-][0-9][0-9_.-]*$`)

// addMissed takes up files that were at the path after the one that was last taken up there and before
// the current one, if there is one. They are told by their time of birth; a copy of a file that was read, by its head.
func (f *Follower) addMissed() {
	if f.born == 0 {
		return
	}
	before := int64(math.MaxInt64)
	if f.current != nil && f.current.born > f.born {
		before = f.current.born
	}
	var missed []*logFile
	for _, name := range siblings(f.path) {
		if !rotationSuffix.MatchString(strings.TrimPrefix(name, f.path)) {
			continue
		}
		file, err := openLog(name)
		if err != nil {
			continue
		}
		log, err := newLogFile(file)
		if err != nil || log.born <= f.born || log.born >= before || f.has(log.id) || f.isCopy(file) {
			file.Close()
			continue
		}
		missed = append(missed, log)
	}
	slices.SortFunc(missed, func(a, b *logFile) int { return int(min(max(a.born-b.born, -1), 1)) })
	for _, log := range missed {
		f.rotated, f.born = append(f.rotated, log), log.born
	}
}

// isCopy tells whether a file begins as one does that is followed, or was until its truncation.
func (f *Follower) isCopy(file *os.File) bool {
	head := make([]byte, headSize)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return true
	}
	now := f.Position()
	known := append(now.Past, now.Head)
	for _, p := range now.Rotated {
		known = append(known, p.Head)
	}
	return slices.ContainsFunc(known, func(h Head) bool { return h.Size > 0 && h.fits(head[:n]) })
}
