package nginx

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"graft/internal/procfs"
)

// Worker is one child of a master.
type Worker struct {
	Process
	Role         Role `json:"role"`
	ShuttingDown bool `json:"shutting_down"`
}

// Tree is a master and its children.
type Tree struct {
	Master  Process
	PPID    int
	Command string // argv joined by spaces, as the title has it
	Workers []Worker
	// Masters are children that are masters themselves: a binary that USR2 started.
	Masters []int
	// Forking are children that still run the master's binary under its title: just forked, about to
	// become a worker or to exec.
	Forking []int
	// Others are children without a title of nginx's: a binary that has not set its own yet, or
	// anything that a module or a script started.
	Others []int
}

// Accepting lists the workers that take new connections.
func (t Tree) Accepting() []Process { return t.workers(false) }

// Leaving lists the workers that are shutting down.
func (t Tree) Leaving() []Process { return t.workers(true) }

func (t Tree) workers(leaving bool) []Process {
	var list []Process
	for _, w := range t.Workers {
		if w.Role == RoleWorker && w.ShuttingDown == leaving {
			list = append(list, w.Process)
		}
	}
	return list
}

// FindMasters lists the pids of all masters of the family.
func FindMasters(fs procfs.FS) ([]int, error) {
	pids, err := fs.PIDs()
	if err != nil {
		return nil, err
	}
	var masters []int
	for _, pid := range pids {
		title, err := fs.Title(pid)
		if err != nil {
			continue // gone, or not ours to read
		}
		if t, ok := ParseTitle(title); !ok || t.Role != RoleMaster {
			continue
		}
		// A child between fork and its own title still has its master's.
		stat, err := fs.Stat(pid)
		if err != nil || stat.State == 'Z' || forkOf(fs, pid, stat.PPID, title) {
			continue
		}
		masters = append(masters, pid)
	}
	return masters, nil
}

// forkOf tells whether pid is its parent's fork, not yet anything of its own. A new master of the very
// binary that the old one runs looks the same, until it has workers.
func forkOf(fs procfs.FS, pid, parent int, title string) bool {
	above, err := fs.Title(parent)
	if err != nil || above != title {
		return false
	}
	child, err := procfs.Identify(fs.Path(pid, "exe"))
	if err != nil {
		return false
	}
	master, err := procfs.Identify(fs.Path(parent, "exe"))
	if err != nil || child != master {
		return false
	}
	children, err := fs.Children(pid)
	return err == nil && len(children) == 0
}

// ErrNoTitle says that a process is in the middle of its exec, or of its end.
var ErrNoTitle = errors.New("the process has no title at the moment")

// ReadTree looks at the master pid and its children.
func ReadTree(fs procfs.FS, pid int) (Tree, error) {
	stat, err := fs.Stat(pid)
	if err != nil {
		return Tree{}, err
	}
	if stat.State == 'Z' {
		return Tree{}, fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	title, err := fs.Title(pid)
	if err != nil {
		return Tree{}, err
	}
	if title == "" {
		return Tree{}, fmt.Errorf("pid %d: %w", pid, ErrNoTitle)
	}
	own, ok := ParseTitle(title)
	if !ok || own.Role != RoleMaster {
		return Tree{}, fmt.Errorf("pid %d is no master of the nginx family: its title is %q", pid, title)
	}
	tree := Tree{Master: Process{PID: pid, StartTime: stat.StartTime}, PPID: stat.PPID, Command: own.Command}
	children, err := fs.Children(pid)
	if err != nil {
		return Tree{}, err
	}
	for _, child := range children {
		if err := tree.add(fs, child, title); err != nil && !procfs.Gone(err) {
			return Tree{}, err
		}
	}
	return tree, nil
}

func (t *Tree) add(fs procfs.FS, child int, masterTitle string) error {
	stat, err := fs.Stat(child)
	if err != nil || stat.State == 'Z' {
		return err
	}
	title, err := fs.Title(child)
	if err != nil {
		return err
	}
	parsed, ok := ParseTitle(title)
	switch {
	case ok && parsed.Role != RoleMaster:
		t.Workers = append(t.Workers, Worker{
			Process: Process{PID: child, StartTime: stat.StartTime},
			Role:    parsed.Role, ShuttingDown: parsed.ShuttingDown,
		})
	case forkOf(fs, child, t.Master.PID, masterTitle):
		t.Forking = append(t.Forking, child)
	case ok:
		t.Masters = append(t.Masters, child)
	default:
		t.Others = append(t.Others, child)
	}
	return nil
}

// ReadPidFile returns the pid that the file holds. nginx -t leaves an empty file: that is an error
// of its own words, as is anything that is not one number.
func ReadPidFile(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return 0, fmt.Errorf("%s is empty (`nginx -t` leaves it so)", path)
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%s holds %q, which is no pid", path, text)
	}
	return pid, nil
}
