package guard

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/procfs"
)

// Stale is a log that processes of one master go on writing where it no longer is.
type Stale struct {
	Master  int           `json:"master"`
	New     bool          `json:"new,omitempty"` // it is the new master
	PIDs    []int         `json:"pids"`          // the processes, the master itself or its workers
	Path    string        `json:"path"`
	At      string        `json:"at"` // where the file that they write is now
	Deleted bool          `json:"deleted,omitempty"`
	From    procfs.FileID `json:"from"`
	To      procfs.FileID `json:"to"` // zero: no path leads to a new one
	// Told: USR1 was sent for this very pair of files before.
	Told bool `json:"-"`
}

// Key names the pair of files and who is concerned: for one key USR1 is sent once.
func (s Stale) Key() string { return fmt.Sprint(s.Master, s.Path, s.From, s.To) }

// logWatch looks for rotated logs. What was clean stays clean until a path leads to another file or
// there are other processes: only then are descriptors read, of which a busy worker has thousands.
type logWatch struct {
	clean string
	last  map[string]bool // keys of the look before
}

// look finds the logs that are stale now; settled are those that were so at the look before, too.
func (w *logWatch) look(h Host, sides ...Side) (now, settled []Stale, err error) {
	ids := make(map[string]procfs.FileID, len(h.Logs))
	for _, path := range h.Logs {
		id, err := procfs.Identify(path)
		if err != nil && !os.IsNotExist(err) {
			return nil, nil, fmt.Errorf("look at log: %w", err)
		}
		ids[path] = id
	}
	signature := fmt.Sprint(ids)
	for _, s := range sides {
		signature += fmt.Sprint(s.pids())
	}
	if signature == w.clean {
		return nil, nil, nil
	}
	for _, s := range sides {
		for _, pid := range s.pids() {
			files, err := h.FS.Files(pid)
			if err != nil && procfs.Gone(err) {
				continue
			}
			if err != nil {
				return nil, nil, fmt.Errorf("look at the logs that process %d writes: %w", pid, err)
			}
			now = addStale(now, s.Master.PID, pid, ids, files)
		}
	}
	seen := make(map[string]bool, len(now))
	for _, s := range now {
		seen[s.Key()] = true
		if w.last[s.Key()] {
			settled = append(settled, s)
		}
	}
	w.last, w.clean = seen, ""
	if len(now) == 0 {
		w.clean = signature
	}
	return now, settled, nil
}

// addStale adds what one process writes to files that are logs no longer: it has not the file that the
// log's path leads to, but one whose name comes from the log's. A log of a configuration that it has
// not loaded is neither.
func addStale(all []Stale, master, pid int, ids map[string]procfs.FileID, files []procfs.File) []Stale {
	paths := make([]string, 0, len(ids))
	current := make(map[procfs.FileID]bool)
	for path, id := range ids {
		paths = append(paths, path)
		current[id] = id != procfs.FileID{}
	}
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) // error.log.json before error.log
	})
	explained := make(map[procfs.FileID]bool)
	for _, beside := range []bool{true, false} { // first what lies in the log's directory, then what was moved elsewhere
		for _, path := range paths {
			if slices.ContainsFunc(files, func(f procfs.File) bool { return f.FileID == ids[path] }) {
				continue
			}
			for _, f := range files {
				if !f.Writing || current[f.FileID] || explained[f.FileID] || !rotatedFrom(path, f.Path, beside) {
					continue
				}
				explained[f.FileID] = true
				all = add(all, Stale{Master: master, PIDs: []int{pid}, Path: path, At: f.Path, Deleted: f.Deleted, From: f.FileID, To: ids[path]})
			}
		}
	}
	return all
}

// add adds a process to those of the same master that write to the same file.
func add(all []Stale, s Stale) []Stale {
	n := slices.IndexFunc(all, func(o Stale) bool { return o.Key() == s.Key() })
	if n < 0 {
		return append(all, s)
	}
	all[n].PIDs = append(all[n].PIDs, s.PIDs...)
	return all
}

// rotatedFrom tells whether name is one that rotation gives to the log: access.log.1,
// access.log-20260101, or, where the extension is kept, access-20260101.log. Beside the log it may also
// be the log's own, of a file that was deleted; elsewhere that is a log of another configuration.
func rotatedFrom(log, name string, beside bool) bool {
	if beside != (filepath.Dir(log) == filepath.Dir(name)) {
		return false
	}
	log, name = filepath.Base(log), filepath.Base(name)
	if log == name {
		return beside
	}
	ext := filepath.Ext(log)
	return strings.HasPrefix(name, log) || ext != "" && strings.HasPrefix(name, strings.TrimSuffix(log, ext)) && strings.HasSuffix(name, ext)
}
