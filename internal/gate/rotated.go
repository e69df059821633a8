package gate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// logSet are the files of one log that reach into a period: the live one and those that rotation left.
type logSet struct {
	path  string
	files []string // oldest first
	size  int64
}

// rotatedName is what rotation puts behind or into a log's name: a number, a date, a time.
var rotatedName = regexp.MustCompile(`^[-._]?\d[-._\dT:]*$`)

// unreadable are the compressions that graft does not read.
var unreadable = regexp.MustCompile(`\.(bz2|xz|zst|lz4|lzma|Z)$`)

// findSet lists the files of a log that were last written to since from. others are paths that are logs of their
// own. notes tell of files that cannot be read.
func findSet(path string, others []string, from time.Time) (set logSet, notes []string, err error) {
	set.path = path
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return set, nil, nil
	}
	if err != nil {
		return set, nil, fmt.Errorf("look for rotated logs: %w", err)
	}
	type found struct {
		path    string
		written time.Time
	}
	var files []found
	for _, entry := range entries {
		file := dir + entry.Name()
		if file != path && (!isRotated(base, entry.Name()) || slices.Contains(others, file)) {
			continue
		}
		st, err := os.Stat(file)
		if err != nil || !st.Mode().IsRegular() || st.Size() == 0 || st.ModTime().Before(from) {
			continue // gone meanwhile, or nothing for us
		}
		if unreadable.MatchString(file) {
			notes = append(notes, file+" is not read: graft knows plain files and gzip")
			continue
		}
		files = append(files, found{file, st.ModTime()})
		set.size += st.Size()
	}
	slices.SortStableFunc(files, func(a, b found) int { return a.written.Compare(b.written) })
	for _, f := range files {
		set.files = append(set.files, f.path)
	}
	return set, notes, nil
}

// isRotated tells whether a name is a log's with what rotation added: access.log.1, access.log.2.gz,
// access.log-20261124, access-20261124.log.gz.
func isRotated(base, name string) bool {
	name = unreadable.ReplaceAllString(strings.TrimSuffix(name, ".gz"), "")
	if rest, ok := strings.CutPrefix(name, base); ok && rotatedName.MatchString(rest) {
		return true
	}
	ext := filepath.Ext(base)
	if ext == "" {
		return false
	}
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(base, ext))
	if !ok {
		return false
	}
	rest, ok = strings.CutSuffix(rest, ext)
	return ok && rotatedName.MatchString(rest)
}
