package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"graft/internal/accesslog"
)

const (
	maxPastClasses = 1000
	maxPastExits   = 1000
	// maxPastErrors bounds what is read of one error log, its newest part: a log gone wild says the same
	// over and over.
	maxPastErrors = 128 << 20
)

// errorHistory is what error logs told in the days before.
type errorHistory struct {
	From    time.Time             `json:"from,omitzero"` // of the oldest entry
	Classes map[string]*pastClass `json:"classes"`       // by ID
	Exits   []time.Time           `json:"exits,omitempty"`
}

// pastClass is one class of entries.
type pastClass struct {
	accesslog.Class
	Level accesslog.Level `json:"level"` // the worst
	Lines int64           `json:"lines"`
	// Blocks tell how many came when, by Unix time / 10 s.
	Blocks map[int64]int64 `json:"blocks,omitempty"`
}

func newErrorHistory() *errorHistory { return &errorHistory{Classes: make(map[string]*pastClass)} }

// read takes in the files of one error log, oldest first.
func (h *errorHistory) read(ctx context.Context, files []string, from, until time.Time) error {
	in := accesslog.NewErrorReader(func(l accesslog.ErrorLine) {
		if !l.Time.Before(from) && l.Time.Before(until) {
			h.add(l)
		}
	})
	for _, file := range files {
		if err := eachLine(ctx, file, func(line []byte) { in.Add(line, until) }); err != nil {
			return err
		}
		in.Flush()
	}
	return nil
}

func (h *errorHistory) add(l accesslog.ErrorLine) {
	if h.From.IsZero() || l.Time.Before(h.From) {
		h.From = l.Time
	}
	if _, crash := crashOf(l); crash {
		if len(h.Exits) < maxPastExits {
			h.Exits = append(h.Exits, l.Time)
		}
		return
	}
	if rank(l.Level) > rank(accesslog.Warn) {
		return
	}
	class := accesslog.ClassOf(l)
	c := h.Classes[class.ID]
	if c == nil {
		if len(h.Classes) >= maxPastClasses {
			return
		}
		c = &pastClass{Class: class, Level: l.Level, Blocks: make(map[int64]int64)}
		h.Classes[class.ID] = c
	}
	if rank(l.Level) < rank(c.Level) {
		c.Level = l.Level
	}
	c.Lines++
	c.Blocks[l.Time.Unix()/blockSeconds]++
}

// eachLine calls fn with the lines of a plain or compressed file, of a plain one with the newest part. It
// stops where a file is damaged.
func eachLine(ctx context.Context, path string, fn func(line []byte)) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // rotated meanwhile
	}
	if err != nil {
		return fmt.Errorf("read an error log: %w", err)
	}
	defer file.Close()
	var in io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(file); err != nil {
			return nil
		}
	} else if st, err := file.Stat(); err == nil && st.Size() > maxPastErrors {
		if _, err := file.Seek(st.Size()-maxPastErrors, io.SeekStart); err != nil {
			return fmt.Errorf("read an error log: %w", err)
		}
	}
	const longest = 64 << 10
	lines := bufio.NewReaderSize(io.LimitReader(in, maxPastErrors), longest)
	for n := 0; ; n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue // no line of nginx's is so long
		}
		if err != nil {
			return nil
		}
		fn(line[:len(line)-1])
	}
}
