package migrate

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/pkgmanager"
	"graft/internal/procfs"
)

// observer looks at the host on behalf of one migration.
type observer struct {
	fs   procfs.FS
	plan Plan
	dir  string // the migration's own: backup, placement
	sums map[version]string
	held map[nginx.Process]held
	// gaveBack is the hash of the package's file that came to the path when the guard was lifted.
	gaveBack string
}

// held are a master's sockets at one moment, and those of them that it listens on.
type held struct {
	sockets   map[int]uint64
	listeners []procfs.Listener
}

// version names one content of one file: a file that is written to in place changes size or time.
type version struct {
	procfs.FileID
	size, mtime int64
}

func newObserver(fs procfs.FS, plan Plan, dir string) *observer {
	return &observer{fs: fs, plan: plan, dir: dir, sums: make(map[version]string), held: make(map[nginx.Process]held)}
}

// content tells which binary the file at path holds; /proc/PID/exe will do.
func (o *observer) content(path string) (Content, procfs.FileID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", procfs.FileID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	v := version{procfs.FileID{Dev: st.Dev, Inode: st.Ino}, st.Size, st.Mtim.Nano()}
	sum, known := o.sums[v]
	if !known {
		var err error
		if sum, err = procfs.SHA256(path); err != nil {
			return "", procfs.FileID{}, err
		}
		o.sums[v] = sum
	}
	switch sum {
	case o.plan.Target.SHA256:
		return NewContent, v.FileID, nil
	case o.plan.Old.Exe.SHA256:
		return OldContent, v.FileID, nil
	case o.gaveBack:
		return PackageContent, v.FileID, nil
	}
	return "", v.FileID, nil
}

// look takes in everything that a decision needs.
func (o *observer) look() (Seen, error) {
	var seen Seen
	var err error
	var disk procfs.FileID
	guard, err := o.guard()
	if err != nil {
		return Seen{}, err
	}
	seen.Disk, disk, err = o.content(o.plan.Old.Binary)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Seen{}, fmt.Errorf("look at the binary: %w", err)
	}
	seen.Begun, seen.Staged = o.staged()
	if o.plan.Returns != "" {
		seen.Guarded = guard.Up()
	} else {
		seen.Begun = seen.Begun || guard.Up()
		seen.Guarded = guard.Up() && guard.Needrestart
	}
	tree, err := o.oldTree()
	if err != nil {
		return Seen{}, err
	}
	if tree != nil {
		seen.Old = o.master(*tree)
		seen.Forking = len(tree.Forking) > 0 || o.starting(tree.Others)
		for _, child := range tree.Masters {
			if err := o.addChild(&seen, child); err != nil {
				return Seen{}, err
			}
		}
		holds, err := nginx.ReadPidFile(nginx.OldBin(o.plan.Old.PidFile))
		seen.OldBin = err == nil && holds == tree.Master.PID
		if seen.Disk != NewContent || !seen.Staged || seen.New.Alive() {
			return seen, nil
		}
		seen.Orphans, err = o.orphans(disk, seen.Old)
		return seen, err
	}
	// The old master is gone: the new one is no child of it any more, if it ever was (a restart, a
	// reboot). The pid file tells it from other instances that run the same binary.
	holds, err := nginx.ReadPidFile(o.plan.Old.PidFile)
	if err != nil {
		return seen, nil //nolint:nilerr // no pid file, no master: that is what was seen
	}
	alone, err := nginx.ReadTree(o.fs, holds)
	if err != nil {
		return seen, nil //nolint:nilerr // the pid file names no master
	}
	switch what, _, err := o.content(o.fs.Path(holds, "exe")); {
	case err != nil:
		return seen, nil //nolint:nilerr // it ended while we looked
	case what == NewContent:
		seen.New = o.master(alone)
		seen.Orphans, err = o.orphans(o.plan.Old.Exe.FileID, seen.New)
		return seen, err
	case what == OldContent:
		seen.Old, seen.Restarted = o.master(alone), true
	}
	return seen, nil
}

// starting tells whether one of the children runs the new binary, which has no title yet.
func (o *observer) starting(children []int) bool {
	for _, child := range children {
		if what, _, err := o.content(o.fs.Path(child, "exe")); err == nil && what != "" {
			return true
		}
	}
	return false
}

// listeners are the sockets that a master listens on. To print them the kernel walks its whole table of
// connections, some milliseconds each time however few there are: a look every 200 ms would cost a tenth
// of a core. They are read again when the master holds other sockets than before.
func (o *observer) listeners(p nginx.Process) ([]procfs.Listener, error) {
	sockets, err := o.fs.Sockets(p.PID)
	if err != nil {
		return nil, err
	}
	if known, ok := o.held[p]; ok && maps.Equal(known.sockets, sockets) {
		return known.listeners, nil
	}
	found, err := o.fs.Listeners(p.PID)
	if err != nil {
		return nil, err
	}
	o.held[p] = held{sockets, found}
	return found, nil
}

// quitting: a master that was told QUIT closes its stream sockets at once.
func (o *observer) quitting(listeners []procfs.Listener) bool {
	return o.plan.Old.Streams && !slices.ContainsFunc(listeners, func(l procfs.Listener) bool { return l.Network != "udp" })
}

// orphans are the workers of this instance that run the file exe and have no master: they hold a
// listening socket of the master that is left. Other instances may run the same file.
func (o *observer) orphans(exe procfs.FileID, left Master) (Master, error) {
	pids, err := o.fs.Running(exe)
	if err != nil {
		return Master{}, fmt.Errorf("look for workers without a master: %w", err)
	}
	listeners, err := o.fs.Listeners(left.PID)
	if err != nil && !procfs.Gone(err) {
		return Master{}, fmt.Errorf("look for workers without a master: %w", err)
	}
	var m Master
	for _, pid := range pids {
		title, err := o.fs.Title(pid)
		if err != nil {
			continue
		}
		stat, err := o.fs.Stat(pid)
		t, ok := nginx.ParseTitle(title)
		if err != nil || !ok || t.Role == nginx.RoleMaster || !o.orphan(pid, stat.PPID, listeners) {
			continue
		}
		p := nginx.Process{PID: pid, StartTime: stat.StartTime}
		if t.ShuttingDown {
			m.Leaving = append(m.Leaving, p)
		} else {
			m.Workers = append(m.Workers, p)
		}
	}
	return m, nil
}

func (o *observer) orphan(pid, parent int, listeners []procfs.Listener) bool {
	if title, err := o.fs.Title(parent); err == nil {
		if t, ok := nginx.ParseTitle(title); ok && t.Role == nginx.RoleMaster {
			return false
		}
	}
	sockets, err := o.fs.Sockets(pid)
	if err != nil {
		return false
	}
	for _, inode := range sockets {
		if slices.ContainsFunc(listeners, func(l procfs.Listener) bool { return l.Inode == inode }) {
			return true
		}
	}
	return false
}

func (o *observer) addChild(seen *Seen, child int) error {
	what, _, err := o.content(o.fs.Path(child, "exe"))
	if err != nil {
		if procfs.Gone(err) {
			return nil
		}
		return fmt.Errorf("look at master %d: %w", child, err)
	}
	tree, err := nginx.ReadTree(o.fs, child)
	switch {
	case err != nil && (procfs.Gone(err) || errors.Is(err, nginx.ErrGone)):
	case errors.Is(err, nginx.ErrNoTitle):
		seen.Forking = true
	case err != nil:
		return fmt.Errorf("look at master %d: %w", child, err)
	case what == NewContent:
		seen.New = o.master(tree)
	default:
		seen.Stranger = child
	}
	return nil
}

// oldTree is the old master's, or nil if it is gone.
func (o *observer) oldTree() (*nginx.Tree, error) {
	old := o.plan.Old
	boot, err := o.fs.BootID()
	if err != nil {
		return nil, err
	}
	if boot != old.BootID {
		return nil, nil
	}
	stat, err := o.fs.Stat(old.Master.PID)
	if err != nil && procfs.Gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the old master: %w", err)
	}
	if stat.StartTime != old.Master.StartTime || stat.State == 'Z' {
		return nil, nil
	}
	tree, err := nginx.ReadTree(o.fs, old.Master.PID)
	if err != nil && (procfs.Gone(err) || errors.Is(err, nginx.ErrGone)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the old master: %w", err)
	}
	return &tree, nil
}

func (o *observer) master(t nginx.Tree) Master {
	m := Master{Process: t.Master, Workers: t.Accepting(), Leaving: t.Leaving()}
	if listeners, err := o.listeners(t.Master); err == nil {
		m.Quitting = o.quitting(listeners)
	}
	return m
}

// guard is the package guard that ends with this migration: its own, or that of the one it takes back.
func (o *observer) guard() (pkgmanager.Record, error) {
	guard, err := pkgmanager.ReadRecord(guardDir(o.dir, o.plan))
	o.gaveBack = guard.GaveBack
	return guard, err
}

// guardDir is the directory of the migration whose guard ends with this one.
func guardDir(dir string, plan Plan) string {
	if plan.Returns != "" {
		return filepath.Join(filepath.Dir(dir), plan.Returns)
	}
	return dir
}

// staged tells whether staging has begun, and whether it is complete: the backup is there, and all of
// the runtime.
func (o *observer) staged() (begun, complete bool) {
	placed, err := artifact.ReadPlacement(o.dir)
	if err != nil {
		return false, false
	}
	for _, f := range placed.Files {
		if _, err := os.Lstat(filepath.Join("/", f.Path)); err != nil {
			return true, false
		}
	}
	_, err = os.Stat(filepath.Join(o.dir, backupDir))
	return true, err == nil
}

// unserved lists the addresses of sockets that none of the workers accepts on, but for those that
// nobody accepted on before anything was done.
func (o *observer) unserved(listeners []procfs.Listener, workers []nginx.Process) ([]string, error) {
	waited, err := served(o.fs, workers)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, l := range listeners {
		if !waited[l.Inode] && !slices.Contains(o.plan.Old.Unserved, l.Inode) {
			missing = append(missing, l.Addr)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing), nil
}

// served are the inodes of the sockets that the workers wait on.
func served(pfs procfs.FS, workers []nginx.Process) (map[uint64]bool, error) {
	waited := make(map[uint64]bool)
	for _, w := range workers {
		inodes, err := pfs.Accepting(w.PID)
		if err != nil && !procfs.Gone(err) {
			return nil, fmt.Errorf("look at what worker %d accepts on: %w", w.PID, err)
		}
		maps.Copy(waited, inodes)
	}
	return waited, nil
}
