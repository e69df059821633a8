package guard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/preflight"
	"graft/internal/procfs"
)

// Drift is how the configuration on disk differs from the one that the plan was made on.
type Drift struct {
	Changes []Change
	Broken  string // why it cannot be read; empty if it can
	Loaded  bool   // the new master's workers have all started after the last change
	// Loses are the sockets that the new master's next reload would let go of while the parked old one
	// holds them.
	Loses    []string
	Old, New Trial // what each binary says of it
}

// Change is one file of the configuration.
type Change struct {
	Path string
	How  string    // "edited", "new", "gone"
	At   time.Time // zero if it cannot be known
}

// Trial is -t of a running binary on the configuration on disk, in isolation. The zero Trial has not ended yet.
type Trial struct {
	Done bool
	Took bool
	Said string // nginx's own words where it does not take it, or why it could not be tried
}

// rereadEvery bounds how long a file that a pattern newly matches stays unseen: the stamps of the files
// that are known do not tell.
const rereadEvery = time.Minute

// configWatch looks for changed configuration. Between two readings the files' stamps are compared,
// which costs microseconds.
type configWatch struct {
	stamps map[string]stamp
	read   time.Time
	drift  Drift
	config *conf.Config

	tried    string // the changes that the trials below are about
	old, new Trial
	trials   chan [2]Trial
}

// stamp changes when a file or a directory does.
type stamp struct {
	procfs.FileID
	size, changed int64
}

func stampOf(path string) stamp {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return stamp{}
	}
	return stamp{procfs.FileID{Dev: st.Dev, Inode: st.Ino}, st.Size, st.Ctim.Nano()}
}

func (w *configWatch) look(ctx context.Context, h Host, v View) (Drift, error) {
	if time.Since(w.read) > rereadEvery || w.stale() {
		if err := w.reread(h, v); err != nil {
			return Drift{}, err
		}
	}
	d := w.drift
	if len(d.Changes) == 0 {
		return d, nil
	}
	var err error
	if d.Loaded, err = loaded(h, v, d); err != nil {
		return Drift{}, err
	}
	w.try(ctx, h, v)
	d.Old, d.New = w.old, w.new
	return d, nil
}

func (w *configWatch) stale() bool {
	for path, s := range w.stamps {
		if stampOf(path) != s {
			return true
		}
	}
	return false
}

// reread reads the whole configuration as nginx would.
func (w *configWatch) reread(h Host, v View) error {
	options, err := nginx.ParseOptions(h.Argv)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	// Stamps come first: what changes while it is read is read again.
	stamps := make(map[string]stamp)
	for path := range h.Planned {
		stamps[path], stamps[filepath.Dir(path)] = stampOf(path), stampOf(filepath.Dir(path))
	}
	now := make(map[string]string)
	w.drift, w.config, w.read = Drift{}, &conf.Config{}, time.Now()
	config, err := conf.Load(conf.Options{Root: "/", File: h.Conf, Global: options.Global})
	if err != nil {
		w.drift.Broken = err.Error()
		for path := range h.Planned {
			if sum, err := procfs.SHA256(path); err == nil {
				now[path] = sum
			} else if !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("read the configuration: %w", err)
			}
		}
	} else {
		w.config = config
		for _, file := range config.Files {
			now[file.Path] = file.SHA256
			if _, known := stamps[file.Path]; !known {
				stamps[file.Path] = stampOf(file.Path)
			}
		}
	}
	w.stamps, w.drift.Changes = stamps, changes(h.Planned, now)
	if len(w.drift.Changes) == 0 || err != nil || v.Quitting {
		return nil
	}
	held, err := h.FS.Listeners(v.Old.Master.PID)
	if err != nil {
		return fmt.Errorf("look at the old master's sockets: %w", err)
	}
	w.drift.Loses = preflight.Loses(h.FS, config, held, v.New.Master.PID)
	return nil
}

func changes(planned, now map[string]string) []Change {
	var list []Change
	for _, path := range slices.Sorted(maps.Keys(planned)) {
		switch sum, found := now[path]; {
		case found && sum != planned[path]:
			list = append(list, Change{path, "edited", changedAt(path)})
		case !found && stampOf(path) == stamp{}:
			list = append(list, Change{path, "gone", time.Time{}})
		case !found:
			list = append(list, Change{path, "no longer included", time.Time{}})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if _, known := planned[path]; !known {
			list = append(list, Change{path, "new", changedAt(path)})
		}
	}
	return list
}

func changedAt(path string) time.Time {
	if s := stampOf(path); s.changed != 0 {
		return time.Unix(0, s.changed)
	}
	return time.Time{}
}

// loaded tells whether every worker of the new master started after the last change: it was reloaded,
// and has read it.
func loaded(h Host, v View, d Drift) (bool, error) {
	var last time.Time
	for _, c := range d.Changes {
		if c.At.After(last) {
			last = c.At
		}
	}
	for _, worker := range v.New.Workers {
		age, err := h.FS.Age(worker.PID)
		if err != nil {
			return false, err
		}
		if !time.Now().Add(-age).After(last) {
			return false, nil
		}
	}
	return len(v.New.Workers) > 0 && !last.IsZero(), nil
}

// try asks both binaries, once for each state of the files, aside: a trial takes as long as nginx's
// start and must not hold up the other guards.
func (w *configWatch) try(ctx context.Context, h Host, v View) {
	select {
	case got := <-w.trials:
		w.old, w.new, w.trials = got[0], got[1], nil
	default:
	}
	about := fmt.Sprint(w.drift.Changes)
	if about == w.tried || w.trials != nil {
		return
	}
	w.tried, w.old, w.new = about, Trial{}, Trial{}
	trials := make(chan [2]Trial, 1)
	w.trials = trials
	i := nginx.Instance{
		Master: v.Old.Master, Argv: h.Argv, Cwd: h.Cwd, Config: w.config, MountNamespace: true,
		Exe: nginx.Exe{Path: h.Binary},
	}
	go func() {
		var got [2]Trial
		for n, pid := range []int{v.Old.Master.PID, v.New.Master.PID} {
			took, said, err := preflight.Takes(ctx, h.FS, i, pid)
			if err != nil {
				said = "it could not be tried: " + err.Error()
			}
			got[n] = Trial{Done: err == nil, Took: took, Said: said}
		}
		trials <- got
	}()
}

// settle waits for trials that are under way, for a caller who looks only once.
func (w *configWatch) settle(ctx context.Context) {
	if w.trials == nil {
		return
	}
	select {
	case got := <-w.trials:
		w.old, w.new, w.trials = got[0], got[1], nil
	case <-ctx.Done():
	}
}
