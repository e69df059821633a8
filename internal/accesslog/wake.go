package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// PollInterval is the time between two Polls without a hint. A Poll of an idle log costs some
// microseconds, and whoever decides by windows of 10 s misses nothing by a quarter of a second; nor does
// the Follower, for it finds what was rotated in between.
const PollInterval = 250 * time.Millisecond

// wakeRest is the least time between two wake-ups.
const wakeRest = 50 * time.Millisecond

// Waker tells that there may be something new in logs, sooner than the next Poll would see it. It is a
// hint and nothing is lost without it: polling is the truth. The kernel drops events when its queue is
// full, tells nothing on network file systems, and a watch of a file dies when that is renamed; so
// directories are watched, and an event only means: look.
//
// A busy log gets an event with each write, and reading them all costs more than reading the log. So the
// kernel is only listened to while the logs are quiet: after an event the watch is taken off, and the
// files are looked at 20 times a second until nothing has come for that long.
type Waker struct {
	paths   []string
	dirs    []string
	watcher *fsnotify.Watcher
	c       chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// NewWaker watches logs, which need not exist yet.
func NewWaker(paths []string) (*Waker, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the logs' directories: %w", err)
	}
	w := &Waker{paths: paths, watcher: watcher, c: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	seen := map[string]bool{}
	for _, path := range paths {
		if dir := filepath.Dir(path); !seen[dir] {
			seen[dir] = true
			w.dirs = append(w.dirs, dir)
		}
	}
	go w.run(w.look())
	return w, nil
}

// C gets a value when there may be something new, at most 20 times a second.
func (w *Waker) C() <-chan struct{} { return w.c }

// Close ends the watch. C gets nothing any more.
func (w *Waker) Close() error {
	close(w.stop)
	<-w.done
	return w.watcher.Close()
}

func (w *Waker) run(last uint64) {
	defer close(w.done)
	for {
		// Quiet: listen. What came before the watch was on is seen by a look.
		watched := w.listen()
		if w.look() == last && !w.event(watched) {
			return
		}
		w.deafen()
		// Busy: look. A sight is taken before it is told, for whoever is told may change it.
		for now := w.look(); now != last; now = w.look() {
			last = now
			select {
			case w.c <- struct{}{}:
			default: // the last hint was not taken yet
			}
			if !w.pause() {
				return
			}
		}
	}
}

// listen watches the directories and tells whether all of them could be.
func (w *Waker) listen() bool {
	all := true
	for _, dir := range w.dirs {
		all = w.watcher.Add(dir) == nil && all // one that is missing may come
	}
	return all
}

func (w *Waker) deafen() {
	for _, dir := range w.dirs {
		_ = w.watcher.Remove(dir) // it may not have been watched
	}
}

// event waits for one that concerns a log, or, if not all directories are watched, for a second. It
// is false when the watch was ended.
func (w *Waker) event(watched bool) bool {
	var retry <-chan time.Time
	if !watched {
		retry = time.After(time.Second)
	}
	for {
		select {
		case e := <-w.watcher.Events:
			if w.concerns(e.Name) {
				return true
			}
		case _, more := <-w.watcher.Errors: // the queue was full, or worse: look
			if !more {
				return false
			}
			return true
		case <-retry:
			return true
		case <-w.stop:
			return false
		}
	}
}

// concerns leaves out events of other files in the directory.
func (w *Waker) concerns(name string) bool {
	for _, path := range w.paths {
		if name == path || name == filepath.Dir(path) {
			return true
		}
	}
	return false
}

// pause rests. It is false when the watch was ended.
func (w *Waker) pause() bool {
	select {
	case <-time.After(wakeRest):
		return true
	case <-w.stop:
		return false
	}
}

// look sums up what can be seen of the logs from outside.
func (w *Waker) look() (sight uint64) {
	for _, path := range w.paths {
		st, err := os.Stat(path)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				sight++
			}
			sight *= 31
			continue
		}
		sight = sight*31 + uint64(st.Size())
		sight = sight*31 + uint64(st.ModTime().UnixNano())
	}
	return sight
}
