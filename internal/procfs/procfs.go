// Package procfs reads processes, their files and their sockets from /proc.
//
// The root is a parameter, so that a test can lay out a tree of its own. Every answer is a snapshot:
// a process may be gone the moment after, which callers see as fs.ErrNotExist or syscall.ESRCH.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// FS is a proc file system.
type FS struct{ root string }

// New returns the proc file system mounted at root, usually "/proc".
func New(root string) FS { return FS{root: root} }

// Path joins names below /proc/PID.
func (f FS) Path(pid int, names ...string) string {
	return filepath.Join(append([]string{f.root, strconv.Itoa(pid)}, names...)...)
}

// Gone tells whether err only says that the process has ended in the meantime.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// Stat is what /proc/PID/stat tells (proc_pid_stat(5)).
type Stat struct {
	PID       int
	Comm      string
	State     byte // 'R', 'S', 'Z', …
	PPID      int
	Session   int
	StartTime uint64 // clock ticks since boot; with the pid it names one process for good
	// TitleRoom is the size in bytes of the memory of arguments and environment, all that a title
	// set by the process can take; 0 if the reader may not know.
	TitleRoom uint64
}

// PIDs lists all processes, ascending.
func (f FS) PIDs() ([]int, error) {
	dir, err := os.Open(f.root)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// Stat reads /proc/PID/stat.
func (f FS) Stat(pid int) (Stat, error) {
	data, err := os.ReadFile(f.Path(pid, "stat"))
	if err != nil {
		return Stat{}, err
	}
	// The name may hold spaces and parentheses: it ends at the last ")".
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return Stat{}, fmt.Errorf("read %s: no process name in %q", f.Path(pid, "stat"), data)
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 20 {
		return Stat{}, fmt.Errorf("read %s: %d fields after the name, want 20 or more", f.Path(pid, "stat"), len(fields))
	}
	s := Stat{PID: pid, Comm: string(data[open+1 : end]), State: fields[0][0]}
	if s.PPID, err = strconv.Atoi(fields[1]); err != nil {
		return Stat{}, fmt.Errorf("read %s: parent pid: %w", f.Path(pid, "stat"), err)
	}
	if s.Session, err = strconv.Atoi(fields[3]); err != nil {
		return Stat{}, fmt.Errorf("read %s: session: %w", f.Path(pid, "stat"), err)
	}
	if s.StartTime, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return Stat{}, fmt.Errorf("read %s: start time: %w", f.Path(pid, "stat"), err)
	}
	if len(fields) > 48 {
		start, _ := strconv.ParseUint(fields[45], 10, 64)
		end, _ := strconv.ParseUint(fields[48], 10, 64)
		s.TitleRoom = end - start
	}
	return s, nil
}

// Title is the process's command line as one string: what setproctitle wrote, or its arguments
// joined by spaces. It is empty for a zombie.
func (f FS) Title(pid int) (string, error) {
	data, err := os.ReadFile(f.Path(pid, "cmdline"))
	if err != nil {
		return "", err
	}
	data = bytes.TrimRight(data, "\x00")
	return string(bytes.ReplaceAll(data, []byte{0}, []byte{' '})), nil
}

// Children lists the live children of pid. Kernels without CONFIG_PROC_CHILDREN cost a walk over all processes.
func (f FS) Children(pid int) ([]int, error) {
	data, err := os.ReadFile(f.Path(pid, "task", strconv.Itoa(pid), "children"))
	if err == nil {
		fields := strings.Fields(string(data))
		pids := make([]int, 0, len(fields))
		for _, field := range fields {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("read children of %d: %w", pid, err)
			}
			pids = append(pids, child)
		}
		return pids, nil
	}
	if !Gone(err) {
		return nil, err
	}
	if _, err := f.Stat(pid); err != nil {
		return nil, err
	}
	return f.childrenByWalk(pid)
}

func (f FS) childrenByWalk(parent int) ([]int, error) {
	all, err := f.PIDs()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, pid := range all {
		if s, err := f.Stat(pid); err == nil && s.PPID == parent {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Cwd is the process's working directory.
func (f FS) Cwd(pid int) (string, error) { return os.Readlink(f.Path(pid, "cwd")) }

// SameNamespace tells whether pid shares the named namespace ("mnt", "net", "pid") with the reader.
func (f FS) SameNamespace(pid int, name string) (bool, error) {
	theirs, err := os.Readlink(f.Path(pid, "ns", name))
	if err != nil {
		return false, err
	}
	ours, err := os.Readlink(filepath.Join(f.root, "self", "ns", name))
	if err != nil {
		return false, err
	}
	return theirs == ours, nil
}

// Cgroups returns the paths of /proc/PID/cgroup, one for each hierarchy.
func (f FS) Cgroups(pid int) ([]string, error) {
	data, err := os.ReadFile(f.Path(pid, "cgroup"))
	if err != nil {
		return nil, err
	}
	var paths []string
	for line := range strings.Lines(string(data)) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			paths = append(paths, parts[2])
		}
	}
	return paths, nil
}

// CPUs counts the processors that are online, as /proc/stat lists them.
func (f FS) CPUs() (int, error) {
	data, err := os.ReadFile(filepath.Join(f.root, "stat"))
	if err != nil {
		return 0, fmt.Errorf("count processors: %w", err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "cpu") && !strings.HasPrefix(line, "cpu ") {
			n++
		}
	}
	return n, nil
}

// Mapping lists the processes that have a file under the directory mapped: they run it, or a library of it.
func (f FS) Mapping(dir string) ([]int, error) {
	all, err := f.PIDs()
	if err != nil {
		return nil, err
	}
	under := []byte(" " + strings.TrimRight(dir, "/") + "/")
	var pids []int
	for _, pid := range all {
		if maps, err := os.ReadFile(f.Path(pid, "maps")); err == nil && bytes.Contains(maps, under) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// BootID names this boot of the kernel: pids and start times of another boot mean nothing.
func (f FS) BootID() (string, error) {
	data, err := os.ReadFile(filepath.Join(f.root, "sys", "kernel", "random", "boot_id"))
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
