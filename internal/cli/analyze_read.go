package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"

	"graft/internal/accesslog"
	"graft/internal/report"
	"graft/internal/traffic"
)

// accessReader reads access logs into the periods that they are of.
type accessReader struct {
	app      *app
	parallel int
	stdin    *bufio.Reader
	pipes    map[string]*pipe // whose heads were looked at, by name
}

// pipe is what can be read only once, and is, from its head on.
type pipe struct {
	*bufio.Reader
	io.Closer
}

// once opens a pipe or stdin, or goes on with it if it is open.
func (ar *accessReader) once(name string) (*pipe, error) {
	if name == stdin {
		return &pipe{ar.stdin, io.NopCloser(nil)}, nil
	}
	if p := ar.pipes[name]; p != nil {
		return p, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if ar.pipes == nil {
		ar.pipes = make(map[string]*pipe)
	}
	ar.pipes[name] = &pipe{bufio.NewReaderSize(file, headSize), file}
	return ar.pipes[name], nil
}

// headSize is how much of a file is looked at to see whether the format fits.
const (
	headSize  = 64 << 10
	headFiles = 8
	headLines = 100 // of each
)

// head is the first lines of a file.
type head struct {
	name  string
	lines [][]byte
}

// heads are those of all files, but of one pipe only: what writes the next one may wait until this one is read.
func (ar *accessReader) heads(files []string) ([]head, error) {
	var heads []head
	piped := false
	for _, name := range files {
		if !isRegular(name) {
			if piped {
				continue
			}
			piped = true
		}
		text, err := ar.head(name)
		if err != nil {
			return nil, err
		}
		h := head{name: name}
		for line := range bytes.Lines(text) {
			whole := bytes.HasSuffix(line, []byte("\n"))
			if line = bytes.TrimRight(line, "\n"); len(line) > 0 && (whole || len(text) < headSize) && len(h.lines) < headLines {
				h.lines = append(h.lines, line)
			}
		}
		heads = append(heads, h)
	}
	return heads, nil
}

// firstLines are those of the first files.
func firstLines(heads []head) [][]byte {
	var lines [][]byte
	for _, h := range heads[:min(len(heads), headFiles)] {
		lines = append(lines, h.lines...)
	}
	return lines
}

// head is the beginning of a file.
func (ar *accessReader) head(name string) ([]byte, error) {
	if !isRegular(name) {
		p, err := ar.once(name)
		if err != nil {
			return nil, err
		}
		head, err := p.Peek(headSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return inflated(head), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	head, err := io.ReadAll(io.LimitReader(file, headSize))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return inflated(head), nil
}

func isRegular(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

// inflated is the beginning of a file without its gzip, if it has any.
func inflated(head []byte) []byte {
	if !isGzip(head) {
		return head
	}
	z, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return nil // who reads the file tells
	}
	out, _ := io.ReadAll(io.LimitReader(z, headSize)) // cut off where head is
	if cut := bytes.LastIndexByte(out, '\n'); cut >= 0 {
		out = out[:cut+1]
	}
	return out
}

func isGzip(head []byte) bool { return bytes.HasPrefix(head, []byte{0x1f, 0x8b}) }

// sorter puts each request into its period.
type sorter struct {
	sides  []side
	counts []traffic.Overview
}

func newSorter(sides []side) *sorter { return &sorter{sides, make([]traffic.Overview, len(sides))} }

// Add counts a request; those of no period are left out.
func (s *sorter) Add(r *accesslog.Record) {
	for i := range s.sides {
		if side := &s.sides[i]; !side.bounded() || side.holds(time.Unix(r.Time, 0)) {
			s.counts[i].Add(r)
			return
		}
	}
}

// merged are the counts of all, which are of the same sides.
func merged(all []*sorter) []traffic.Overview {
	for _, s := range all[1:] {
		for i := range s.counts {
			all[0].counts[i].Merge(&s.counts[i])
		}
	}
	return all[0].counts
}

// read counts the files' requests by side.
func (ar *accessReader) read(ctx context.Context, files []string, sides []side, formats []logFormat) ([]traffic.Overview, report.Reading, error) {
	result := report.Reading{Files: files}
	var compiled accesslog.Formats
	for _, f := range formats {
		compiled = append(compiled, f.Format)
	}
	streams := slices.DeleteFunc(slices.Clone(files), isRegular)
	regular := slices.DeleteFunc(slices.Clone(files), func(name string) bool { return !isRegular(name) })
	span := stretch{sides[0].from, sides[len(sides)-1].to}
	if span.bounded() || len(sides) > 1 {
		if !compiled.Tells(accesslog.FieldTime) {
			return nil, result, failf(CodeUsage, "name the files of each period: --before FILES… --after FILES…", "divide the logs by time: %w", accesslog.ErrNoTime)
		}
	}
	sorters := []*sorter{newSorter(sides)}
	for _, name := range streams {
		if err := ar.stream(ctx, name, compiled, sorters[0], &result); err != nil {
			return nil, result, err
		}
	}
	if len(regular) > 0 {
		stats, err := accesslog.ReadFiles(ctx, accesslog.ReadOptions{
			Files: regular, Formats: compiled, From: span.from, To: span.to, Parallel: ar.parallel, Progress: ar.app.progress("reading logs"),
		}, func() accesslog.Sink {
			s := newSorter(sides)
			sorters = append(sorters, s)
			return s
		})
		ar.app.progressDone()
		result.Lines += stats.Lines
		result.Malformed += stats.Malformed
		result.Notes = append(result.Notes, stats.Notes...)
		for _, s := range stats.Samples {
			result.Samples = append(result.Samples, s.File+": "+s.Line)
		}
		switch {
		case stats.Unfinished == 1:
			result.Notes = append(result.Notes, "1 file ends within a line, which was left out")
		case stats.Unfinished > 1:
			result.Notes = append(result.Notes, fmt.Sprintf("%d files end within a line, which was left out", stats.Unfinished))
		}
		if err != nil {
			return nil, result, err
		}
	}
	return merged(sorters), result, nil
}

// stream counts what can be read only once: stdin, or a pipe.
func (ar *accessReader) stream(ctx context.Context, name string, formats accesslog.Formats, into *sorter, result *report.Reading) error {
	in, err := ar.once(name)
	if err != nil {
		return err
	}
	defer in.Close()
	var from io.Reader = in
	if head, err := in.Peek(2); err == nil && isGzip(head) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		from = z
	}
	scanner := accesslog.NewScanner(formats)
	block, held := make([]byte, 1<<20), 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(block[held:])
		data := block[:held+n]
		rest := scanner.Scan(data, into.Add)
		if held = copy(block, data[len(data)-rest:]); held == len(block) {
			held = 0 // a line of a megabyte is no line of nginx's
			scanner.Malformed++
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	if held > 0 {
		result.Notes = append(result.Notes, name+" ends within a line, which was left out")
	}
	result.Lines += scanner.Lines
	result.Malformed += scanner.Malformed
	if scanner.Malformed == scanner.Lines && scanner.Lines >= foreignLines {
		return failf(CodeFailed, foreignHint, "none of the %d lines of %s fits the format", scanner.Lines, name)
	}
	for _, s := range scanner.Samples {
		result.Samples = append(result.Samples, name+": "+s)
	}
	return nil
}
