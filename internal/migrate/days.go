package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"graft/internal/gate"
	"graft/internal/journal"
)

// daysFile keeps what the days before were like.
const daysFile = "days.json"

// progressEvery is the time between two lines of the journal that tell how far the reading has come.
const progressEvery = 5 * time.Second

// Learned is what the journal tells of the days before.
type Learned struct {
	From     time.Time `json:"from,omitzero"`
	Requests int64     `json:"requests"`
	Notes    []string  `json:"notes,omitempty"`
}

func (l Learned) String() string {
	text := "no request of the days before is on record: the gates compare with nothing"
	if l.Requests > 0 {
		text = fmt.Sprintf("the days before: %d requests since %s", l.Requests, l.From.Local().Format(time.DateTime))
	}
	for _, n := range l.Notes {
		text += "; " + n
	}
	return text
}

// learn reads what the days before were like, once, while nothing is changed yet. Orders and interrupts end
// it: then nothing was begun.
func (e *Engine) learn(ctx context.Context, seen Seen) (*Outcome, error) {
	length := time.Duration(e.opts.Policy.Baseline)
	if known, err := e.days(); length == 0 || err != nil || known != nil {
		return nil, err
	}
	if _, err := e.addresses(seen.Old); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	progress := make(chan gate.Progress, 1)
	var history *gate.History
	ended := make(chan error, 1)
	go func() {
		var err error
		history, err = gate.ReadHistory(ctx, gate.HistoryOptions{FS: e.fs, Master: seen.Old.Process, Logs: e.logs, Until: time.Now(), Length: length, Progress: func(p gate.Progress) {
			select {
			case progress <- p:
			default: // the last one was not looked at yet
			}
		}})
		ended <- err
	}()
	told := time.Now()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil && e.intent.Goal != RolledBack {
				return &Outcome{Phase: e.phase, Interrupted: true}, nil
			}
			if e.intent.Goal == RolledBack {
				return nil, nil
			}
			return nil, e.keep(history, err)
		case p := <-progress:
			if time.Since(told) >= progressEvery {
				told = time.Now()
				if err := e.note("", stepDays, journal.Observed, p); err != nil {
					cancel()
					return nil, errors.Join(err, <-ended)
				}
			}
		case <-time.After(pollPeriod):
			if err := e.obey(); err != nil {
				cancel()
				return nil, errors.Join(err, <-ended)
			}
			if e.intent.Goal == RolledBack {
				cancel()
			}
		}
	}
}

// keep saves what was read. Logs that cannot be read are no reason not to migrate: the gates then say that
// they compare with nothing.
func (e *Engine) keep(history *gate.History, err error) error {
	if err != nil {
		return e.note("", stepDays, journal.Failed, problem{err.Error()})
	}
	if err := history.Save(filepath.Join(e.rec.Dir, daysFile)); err != nil {
		return err
	}
	l := Learned{From: history.From, Notes: history.Notes}
	for _, r := range history.Requests {
		l.Requests += r.Total
	}
	return e.note("", stepDays, journal.Done, l)
}

// days are the days before, if they were read.
func (e *Engine) days() (*gate.History, error) {
	h, err := gate.LoadHistory(filepath.Join(e.rec.Dir, daysFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("migration %s: %w", e.rec.ID, err)
	}
	return h, nil
}
