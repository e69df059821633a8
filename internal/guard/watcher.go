package guard

import (
	"context"
	"errors"

	"graft/internal/nginx"
	"graft/internal/procfs"
)

// Watcher looks, and remembers what makes the next look cheap. It changes nothing on the host.
type Watcher struct {
	host   Host
	logs   logWatch
	config configWatch
}

// NewWatcher returns a watcher that has not looked yet.
func NewWatcher(h Host) *Watcher { return &Watcher{host: h} }

// Look takes in what the guards go by. ctx bounds the trials that a look begins.
func (w *Watcher) Look(ctx context.Context, v View) Sight {
	_, settled, logErr := w.rotated(v)
	return w.sight(ctx, v, settled, logErr)
}

// LookOnce is for a caller who will not look again: it does not wait for a second look to tell a
// rotation that is done from one in its middle, and it waits for the trials.
func (w *Watcher) LookOnce(ctx context.Context, v View) Sight {
	now, _, logErr := w.rotated(v)
	w.sight(ctx, v, now, logErr)
	w.config.settle(ctx)
	return w.sight(ctx, v, now, logErr)
}

func (w *Watcher) sight(ctx context.Context, v View, stale []Stale, logErr error) Sight {
	s := Sight{View: v, Host: w.host, Stale: stale}
	s.note(LogRotation, logErr)
	var err error
	s.Drift, err = w.config.look(ctx, w.host, v)
	s.note(ConfigDrift, err)
	if v.Replaced && !v.Back {
		s.Foreign = lookForeign(ctx, w.host)
	}
	return s
}

// Stale lists what is stale right now, settled or not: how an act is confirmed.
func (w *Watcher) Stale(v View) ([]Stale, error) {
	now, _, err := w.rotated(v)
	return now, err
}

func (w *Watcher) rotated(v View) (now, settled []Stale, err error) {
	now, settled, err = w.logs.look(w.host, v.Old, v.New)
	for _, list := range [][]Stale{now, settled} {
		for i := range list {
			list[i].New = list[i].Master == v.New.Master.PID
		}
	}
	return now, settled, err
}

// note keeps what kept a guard from looking. That a process ends meanwhile is no hindrance.
func (s *Sight) note(id string, err error) {
	if err != nil && !procfs.Gone(err) && !errors.Is(err, nginx.ErrGone) && !errors.Is(err, context.Canceled) {
		s.Blind = append(s.Blind, Blind{id, err})
	}
}

// Close waits for trials that are under way, whose context has ended.
func (w *Watcher) Close() {
	if w.config.trials != nil {
		<-w.config.trials
		w.config.trials = nil
	}
}
