package accesslog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// ReadOptions tell what is read.
type ReadOptions struct {
	Files   []string // plain or gzip, whatever their names
	Formats Formats
	// From and To bound the time of the lines: From <= t < To. A zero one does not bound.
	From, To time.Time
	// Slack is how far lines may stand from where their times belong; 0: 5 minutes. nginx writes a line
	// when the request has ended, and the workers of an access_log with buffer= when their buffers are
	// full or flush= says so. Every line is checked; this only decides how much of a file is read.
	Slack    time.Duration
	Parallel int // goroutines; 0: as many as there are processors to use
	// Progress is told how many bytes of the files, as they are on the disk, are done. It is not called
	// concurrently.
	Progress func(done, total int64)
}

// Sink takes the lines that one goroutine reads. They come in no particular order of files or times.
type Sink interface {
	Add(r *Record) // r is only valid until Add returns
}

// Stats sums up what was read.
type Stats struct {
	Lines      int64    `json:"lines"`   // whole lines read, malformed ones and those out of the range included
	Records    int64    `json:"records"` // lines within the range, handed to the sinks
	Malformed  int64    `json:"malformed"`
	Samples    []Sample `json:"samples,omitempty"` // the first malformed lines that were met
	Bytes      int64    `json:"bytes"`             // of lines, inflated
	Unfinished int      `json:"unfinished"`        // files whose last line has no line break; it was left out
	Notes      []string `json:"notes,omitempty"`   // what was not read, though the rest was
}

// Sample is the beginning of a malformed line.
type Sample struct {
	File string `json:"file"`
	Line string `json:"line"`
}

// ErrNoTime says that a range of time cannot be applied.
var ErrNoTime = errors.New("a log_format tells no time ($time_local, $time_iso8601 or $msec)")

// ReadFiles reads logs in parallel, each goroutine into a sink of its own, which newSink makes before
// the reading begins. What could be read has been handed to the sinks even when there is an error; it
// names each file that could not, or the context's end.
func ReadFiles(ctx context.Context, o ReadOptions, newSink func() Sink) (Stats, error) {
	if len(o.Formats) == 0 {
		return Stats{}, errors.New("read access logs: no log_format is given")
	}
	if !(o.From.IsZero() && o.To.IsZero()) && !o.Formats.Tells(FieldTime) {
		return Stats{}, fmt.Errorf("read a range of time of access logs: %w", ErrNoTime)
	}
	span := newSpan(o)
	workers := cmp.Or(o.Parallel, runtime.GOMAXPROCS(0))
	files, notes, failed := openSources(o.Files, span)
	defer closeSources(files)
	parts, err := divide(files, span, o.Formats, workers)
	failed = errors.Join(failed, err)

	run := &run{parts: parts, progress: progress{tell: o.Progress}, stats: Stats{Notes: notes}}
	for _, p := range parts {
		run.progress.total += p.to - p.from
	}
	var readers errgroup.Group
	for range min(workers, len(parts)) {
		r := newPartReader(o.Formats, span, newSink(), &run.progress)
		readers.Go(func() error { return run.work(ctx, r) })
	}
	failed = errors.Join(failed, readers.Wait(), ctx.Err())
	if failed != nil {
		return run.stats, fmt.Errorf("read access logs: %w", failed)
	}
	return run.stats, nil
}

func closeSources(files []*source) {
	for _, f := range files {
		f.file.Close()
	}
}

// run is one ReadFiles: parts that goroutines take, and the sum of what they saw.
type run struct {
	mu       sync.Mutex
	parts    []part
	stats    Stats
	progress progress
}

func (n *run) next() (part, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.parts) == 0 {
		return part{}, false
	}
	p := n.parts[0]
	n.parts = n.parts[1:]
	return p, true
}

// work reads parts until there are none. One that cannot be read does not stop the others.
func (n *run) work(ctx context.Context, r *partReader) error {
	var failed error
	for ctx.Err() == nil {
		p, ok := n.next()
		if !ok {
			break
		}
		seen, err := r.read(ctx, p)
		failed = errors.Join(failed, err)
		n.mu.Lock()
		n.stats.add(seen)
		n.mu.Unlock()
	}
	return failed
}

func (s *Stats) add(o Stats) {
	s.Lines += o.Lines
	s.Records += o.Records
	s.Malformed += o.Malformed
	s.Bytes += o.Bytes
	s.Unfinished += o.Unfinished
	s.Samples = append(s.Samples, o.Samples...)
	s.Samples = s.Samples[:min(len(s.Samples), maxSamples)]
	s.Notes = append(s.Notes, o.Notes...)
	slices.Sort(s.Notes)
}

// progress adds up what the goroutines have done.
type progress struct {
	mu          sync.Mutex
	done, total int64
	tell        func(done, total int64)
}

func (p *progress) add(n int64) {
	if p.tell == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.tell(min(p.done, p.total), p.total)
}

// span is the range of time that is asked for, as Unix seconds.
type span struct {
	bounded  bool
	from, to int64
	slack    int64
}

func newSpan(o ReadOptions) span {
	s := span{from: -1 << 62, to: 1 << 62, slack: int64(cmp.Or(o.Slack, 5*time.Minute).Seconds())}
	if !o.From.IsZero() {
		s.bounded, s.from = true, o.From.Unix()
		if o.From.Nanosecond() > 0 {
			s.from++ // a line tells whole seconds
		}
	}
	if !o.To.IsZero() {
		s.bounded, s.to = true, o.To.Unix()
		if o.To.Nanosecond() > 0 {
			s.to++
		}
	}
	return s
}

func (s span) holds(t int64) bool { return t >= s.from && t < s.to }
