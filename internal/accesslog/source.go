package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"graft/internal/procfs"
)

// source is an open file to read.
type source struct {
	path string
	file *os.File
	size int64 // when it was opened: what is written later is not read
	gzip bool
}

// part is what one goroutine reads at a time: whole lines of a plain file, or a gzip file.
type part struct {
	*source
	from, to int64
}

// openSources opens the files that may hold lines of the span. Those that cannot be read are the
// error; the others are read nevertheless.
func openSources(paths []string, s span) (files []*source, notes []string, failed error) {
	seen := map[procfs.FileID]string{}
	for _, path := range paths {
		f, err := openSource(path)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		id, err := fileID(f.file)
		if err != nil {
			failed = errors.Join(failed, err)
			f.file.Close()
			continue
		}
		if same, ok := seen[id]; ok {
			notes = append(notes, fmt.Sprintf("%s is the same file as %s: it was read once", path, same))
			f.file.Close()
			continue
		}
		seen[id] = path
		st, err := f.file.Stat()
		if err == nil && s.bounded && st.ModTime().Unix() < s.from-s.slack {
			f.file.Close() // nothing was written to it since
			continue
		}
		files = append(files, f)
	}
	return files, notes, failed
}

// otherPackers are what a log may also have been packed with.
var otherPackers = []struct{ name, magic string }{
	{"zstd", "\x28\xb5\x2f\xfd"}, {"xz", "\xfd7zXZ\x00"}, {"bzip2", "BZh"}, {"lz4", "\x04\x22\x4d\x18"},
}

func openSource(path string) (*source, error) {
	file, err := openLog(path)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 6)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	head = head[:n]
	for _, p := range otherPackers {
		if bytes.HasPrefix(head, []byte(p.magic)) {
			file.Close()
			return nil, fmt.Errorf("%s is packed with %s, which graft does not read: unpack it first, or use gzip", path, p.name)
		}
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &source{path, file, st.Size(), bytes.HasPrefix(head, []byte{0x1f, 0x8b})}, nil
}

const (
	smallestPart = 8 << 20
	largestPart  = 64 << 20
)

// divide makes parts of the files, the large ones first, so that the goroutines end together.
func divide(files []*source, s span, formats Formats, workers int) ([]part, error) {
	var parts []part
	var failed error
	total := int64(0)
	for _, f := range files {
		total += f.size
	}
	size := min(max(total/int64(8*workers), smallestPart), largestPart)
	for _, f := range files {
		if f.gzip {
			parts = append(parts, part{f, 0, f.size})
			continue
		}
		plain, err := f.divide(s, formats, size)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", f.path, err))
			continue
		}
		parts = append(parts, plain...)
	}
	slices.SortStableFunc(parts, func(a, b part) int { return int(b.cost() - a.cost()) })
	return parts, failed
}

// cost is how long a part takes, in bytes of plain text.
func (p part) cost() int64 {
	if p.gzip {
		return 40 * (p.to - p.from) // logs shrink tenfold, and to inflate costs four times the reading
	}
	return p.to - p.from
}

// divide cuts a plain file at beginnings of lines.
func (f *source) divide(s span, formats Formats, size int64) ([]part, error) {
	from, end, err := f.bisect(s, formats)
	if err != nil {
		return nil, err
	}
	var parts []part
	for from < end {
		to := end
		if end-from > size {
			if to, err = f.lineAfter(from + size); err != nil {
				return nil, err
			}
			to = min(to, end)
		}
		parts = append(parts, part{f, from, to})
		from = to
	}
	return parts, nil
}

// lineAfter is where the first line begins at or behind an offset; the size if none does.
func (f *source) lineAfter(at int64) (int64, error) {
	if at <= 0 {
		return 0, nil
	}
	buf := make([]byte, 4096)
	for at--; at < f.size; {
		n, err := f.file.ReadAt(buf[:min(int64(len(buf)), f.size-at)], at)
		if end := bytes.IndexByte(buf[:n], '\n'); end >= 0 {
			return at + int64(end) + 1, nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		at += int64(n)
	}
	return f.size, nil
}
