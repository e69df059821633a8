package gate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
	"graft/internal/durable"
	"graft/internal/nginx"
	"graft/internal/procfs"
)

// HistoryOptions say what of the time before is read.
type HistoryOptions struct {
	Logs     Logs
	Until    time.Time     // what was logged later is left out; zero: now
	Length   time.Duration // 0: 48 h
	Parallel int           // files read at once; 0: one less than there are CPUs, at least one
	// FS and Master, if they are given: what its workers hold is noted, which the new ones are measured by.
	FS     procfs.FS
	Master nginx.Process
	// Progress, if not nil, is called now and then while it reads, by one goroutine at a time.
	Progress func(Progress)
}

// Progress is how far the reading of the time before has come.
type Progress struct {
	Read int64         `json:"read"`    // bytes, of compressed files as they lie there
	Size int64         `json:"size"`    // bytes to read in all
	Left time.Duration `json:"left_ns"` // how much longer it takes, at the speed so far
}

// usualLength of the time before: two days, so that each time of the day was there twice.
const usualLength = 48 * time.Hour

// History is what an instance did in the days before it was touched: block by block, for the whole
// and for parts of the traffic. Its size does not depend on how many requests there were.
type History struct {
	From  time.Time `json:"from"` // of the oldest block that has a request; zero: there is none
	Until time.Time `json:"until"`
	// Requests of each access log, by path.
	Requests map[string]analysis.Requests `json:"requests"`
	Scopes   *scopes                      `json:"scopes"`
	Series   []*series                    `json:"series"` // by scope
	Errors   *errorHistory                `json:"errors"`
	Usage    []Usage                      `json:"usage,omitempty"` // of its workers
	// Pressure is the share of the minute before in which tasks waited for a processor, 0 to 1.
	Pressure float64 `json:"pressure"`
	// Notes tell what was not found or could not be read.
	Notes []string `json:"notes,omitempty"`
	// Took is how long the reading took, and Bytes how much was read.
	Took  time.Duration `json:"took_ns"`
	Bytes int64         `json:"bytes"`
}

// ReadHistory reads the access and error logs of the time before, the rotated ones too. A log that cannot
// be read is noted. The error is ctx's, or the file system's.
func ReadHistory(ctx context.Context, o HistoryOptions) (*History, error) {
	begun := time.Now()
	if o.Until.IsZero() {
		o.Until = begun
	}
	o.Length = cmp.Or(o.Length, usualLength)
	o.Parallel = cmp.Or(o.Parallel, max(1, runtime.GOMAXPROCS(0)-1))
	r := &historyReader{o: o, from: o.Until.Add(-o.Length), begun: begun, h: &History{
		Until: o.Until, Requests: make(map[string]analysis.Requests), Errors: newErrorHistory(),
		Notes: append([]string(nil), o.Logs.Unobserved...),
	}}
	if o.Master.PID != 0 {
		if p, err := o.FS.CPUPressure(); err == nil { // else it is not told
			r.h.Pressure = p
		}
	}
	if err := r.read(ctx); err != nil {
		return nil, fmt.Errorf("read the days before: %w", err)
	}
	if o.Master.PID != 0 {
		if u, ok := TakeUsage(o.FS, o.Master); ok {
			r.h.Usage = append(r.h.Usage, u)
		}
	}
	r.h.Took = time.Since(begun)
	return r.h, nil
}

// historyReader reads one history.
type historyReader struct {
	o     HistoryOptions
	from  time.Time
	begun time.Time
	sets  map[string]logSet
	size  int64 // of all files
	done  int64 // of the logs that have been read

	mu sync.Mutex // guards h.Series
	h  *History
}

func (r *historyReader) read(ctx context.Context) error {
	if err := r.find(); err != nil {
		return err
	}
	if err := r.survey(ctx); err != nil {
		return err
	}
	for _, log := range r.o.Logs.Access {
		if err := r.access(ctx, log); err != nil {
			return err
		}
		r.done += r.sets[log.Path].size
		r.tell(0)
	}
	for _, path := range r.o.Logs.Error {
		if err := r.h.Errors.read(ctx, r.sets[path].files, r.from, r.o.Until); err != nil {
			return err
		}
		r.done += r.sets[path].size
		r.tell(0)
	}
	if first, _, ok := r.h.Series[0].span(); ok {
		r.h.From = time.Unix(first*blockSeconds, 0)
	}
	r.h.Bytes = r.done
	return nil
}

// find lists the files.
func (r *historyReader) find() error {
	r.sets = make(map[string]logSet)
	var paths []string
	for _, log := range r.o.Logs.Access {
		paths = append(paths, log.Path)
	}
	paths = append(paths, r.o.Logs.Error...)
	for _, path := range paths {
		set, notes, err := findSet(path, paths, r.from)
		if err != nil {
			return err
		}
		r.sets[path] = set
		r.size += set.size
		r.h.Notes = append(r.h.Notes, notes...)
	}
	return nil
}

// survey chooses the parts of the traffic.
func (r *historyReader) survey(ctx context.Context) error {
	s := newSurvey()
	for _, log := range r.o.Logs.Access {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.take(log, r.sets[log.Path], r.from, r.o.Until); err != nil {
			r.h.Notes = append(r.h.Notes, err.Error())
		}
	}
	r.h.Scopes = s.scopes()
	for range r.h.Scopes.List {
		r.h.Series = append(r.h.Series, new(series))
	}
	return nil
}

// access reads the files of one access log.
func (r *historyReader) access(ctx context.Context, log AccessLog) error {
	set := r.sets[log.Path]
	if len(set.files) == 0 {
		return nil
	}
	if !log.Formats.Tells(accesslog.FieldTime) {
		r.h.Notes = append(r.h.Notes, log.Path+": its log_format tells no time: it cannot be compared with the days before")
		return nil
	}
	var sinks []*historySink
	stats, err := accesslog.ReadFiles(ctx, accesslog.ReadOptions{
		Files: set.files, Formats: log.Formats, From: r.from, To: r.o.Until, Parallel: r.o.Parallel,
		Progress: func(done, total int64) { r.tell(set.size * done / max(total, 1)) },
	}, func() accesslog.Sink {
		s := &historySink{r: r, log: r.h.Scopes.Logs[log.Path], slow: r.h.Scopes.PerLog[log.Path]}
		sinks = append(sinks, s)
		return s
	})
	var all analysis.Requests
	for _, s := range sinks {
		s.flush()
		all.Total += s.requests.Total
		all.Errors5xx += s.requests.Errors5xx
	}
	r.h.Requests[log.Path] = all
	r.h.Notes = append(r.h.Notes, stats.Notes...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.h.Notes = append(r.h.Notes, err.Error())
	}
	return nil
}

func (r *historyReader) tell(more int64) {
	if r.o.Progress == nil {
		return
	}
	p := Progress{Read: min(r.done+more, r.size), Size: r.size}
	if p.Read > 0 {
		p.Left = time.Duration(float64(time.Since(r.begun)) * float64(p.Size-p.Read) / float64(p.Read)).Round(time.Second)
	}
	r.o.Progress(p)
}

// historySink counts the requests that one goroutine reads of one log. Lines come nearly in order: it
// collects a few blocks and adds them to the history when others come.
type historySink struct {
	r        *historyReader
	log      int
	slow     limits
	requests analysis.Requests
	open     [4]openBlock
}

type openBlock struct {
	block int64
	cells []cell // by scope
}

// Add counts a request.
func (s *historySink) Add(rec *accesslog.Record) {
	block := rec.Time / blockSeconds
	if block <= 0 {
		return
	}
	o := &s.open[block%int64(len(s.open))]
	if o.block != block {
		s.close(o)
		o.block = block
		if o.cells == nil {
			o.cells = make([]cell, len(s.r.h.Scopes.List))
		}
	}
	s.requests.Total++
	if rec.Is5xx() {
		s.requests.Errors5xx++
	}
	o.cells[0].add(rec, s.slow)
	s.r.h.Scopes.of(s.log, rec, func(i int) { o.cells[i].add(rec, s.r.h.Scopes.List[i].limits) })
}

func (s *historySink) close(o *openBlock) {
	if o.block == 0 {
		return
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	for i := range o.cells {
		if o.cells[i].Requests > 0 {
			s.r.h.Series[i].add(o.block, &o.cells[i])
		}
	}
	clear(o.cells)
	o.block = 0
}

func (s *historySink) flush() {
	for i := range s.open {
		s.close(&s.open[i])
	}
}

// shortOfCPU is the pressure from which on a host is so busy that how long requests take is not nginx's alone.
const shortOfCPU = 0.25

// busy tells whether the host was short of CPU before the swap already. The days before, when it was not, are then
// no measure of how long requests take.
func (h *History) busy() bool { return h.Pressure >= shortOfCPU }

// Save keeps the history in a file, for a graft that goes on with the migration.
func (h *History) Save(path string) error {
	data, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("keep the days before: %w", err)
	}
	return durable.Replace("history", path, strings.NewReader(string(data)+"\n"), durable.Private(0o600))
}

// LoadHistory reads what Save wrote. The error is fs.ErrNotExist if there is none.
func LoadHistory(path string) (*History, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read what is kept of the days before: %w", err)
	}
	h := new(History)
	if err := json.Unmarshal(data, h); err != nil {
		return nil, fmt.Errorf("read what is kept of the days before: %s: %w", path, err)
	}
	if h.Scopes == nil || h.Errors == nil || len(h.Series) != len(h.Scopes.List) || len(h.Series) == 0 || slices.Contains(h.Series, nil) {
		return nil, fmt.Errorf("read what is kept of the days before: %s: %w", path, errors.New("its parts do not belong together"))
	}
	return h, nil
}

// String says it in a line.
func (p Progress) String() string {
	if p.Size == 0 {
		return "reading the days before"
	}
	return fmt.Sprintf("reading the days before: %d %% of %d MB, about %s left", 100*p.Read/p.Size, p.Size>>20, p.Left.Round(time.Second))
}
