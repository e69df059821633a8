package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"graft/internal/analysis"
	"graft/internal/durable"
)

// HistoryOptions say what of the time before is read.
type HistoryOptions struct {
	Logs     Logs
	Until    time.Time     // what was logged later is left out
	Length   time.Duration // 0: 48 h
	Parallel int           // files read at once; 0: one less than there are CPUs, at least one
	// Progress, if not nil, is called now and then while it reads, by one goroutine at a time.
	Progress func(Progress)
}

// Progress is how far the reading of the time before has come.
type Progress struct {
	Read     int64         `json:"read"`     // bytes, of compressed files as they lie there
	Size     int64         `json:"size"`     // bytes to read in all
	Requests int64         `json:"requests"` // counted so far
	Left     time.Duration `json:"left_ns"`  // how much longer it takes, at the speed so far
}

// History is what an instance did in the days before it was touched.
type History struct {
	From  time.Time `json:"from"` // of the oldest request that was found
	Until time.Time `json:"until"`
	// Requests of each access log, by path.
	Requests map[string]analysis.Requests `json:"requests"`
	// Notes tell what was not found or could not be read.
	Notes []string `json:"notes,omitempty"`
}

// ReadHistory reads the access and error logs of the time before, the rotated ones too. It ends early
// with ctx.
func ReadHistory(ctx context.Context, o HistoryOptions) (*History, error) {
	requests, err := o.Logs.Before(4 << 20)
	if err != nil {
		return nil, fmt.Errorf("read the days before: %w", err)
	}
	return &History{Until: o.Until, Requests: requests}, ctx.Err()
}

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
		return nil, fmt.Errorf("read the days before: %w", err)
	}
	h := new(History)
	if err := json.Unmarshal(data, h); err != nil {
		return nil, errors.Join(fmt.Errorf("read the days before: %s", path), err)
	}
	return h, nil
}

// String says it in a line.
func (p Progress) String() string {
	if p.Size == 0 {
		return "reading the days before"
	}
	return fmt.Sprintf("reading the days before: %d %% of %d MB, %d requests, about %s left", 100*p.Read/p.Size, p.Size>>20, p.Requests, p.Left.Round(time.Second))
}
