package nginxtest

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is a live process; a zombie has no exe any more.
type process struct {
	pid, parent int
	start       uint64 // clock ticks since boot
	title       string
	exe         string // path of the file it runs; where that was, if it was replaced
	cwd         string
}

func isMaster(p process) bool { return strings.HasPrefix(p.title, "nginx: master process") }
func isWorker(p process) bool { return strings.HasPrefix(p.title, "nginx: worker process") }

// owns tells whether p is of this instance: an nginx whose binary or working
// directory lies below the prefix. The binary alone does not tell: a swap may
// move the running one elsewhere, and USR2 executes whatever argv[0] names.
func (i *Instance) owns(p process) bool {
	return strings.HasPrefix(p.exe, i.Prefix+"/") ||
		strings.HasPrefix(p.cwd, i.Prefix) && strings.HasPrefix(p.title, "nginx: ")
}

// processes lists the pids of the instance's processes that want chooses,
// oldest first. Those that end while it looks are left out.
func (i *Instance) processes(want func(process) bool) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := readProcess(pid)
		if err != nil || !i.owns(p) {
			continue // gone, or another program
		}
		if want(p) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b process) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.pid, b.pid))
	})
	var pids []int
	for _, p := range found {
		pids = append(pids, p.pid)
	}
	return pids, nil
}

// readProcess reads /proc/PID: stat (proc_pid_stat(5)), title, exe and cwd.
func readProcess(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name in parentheses may hold anything; state is the field after it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return process{}, fmt.Errorf("odd stat of process %d: %q", pid, stat)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return process{}, err
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return process{}, err
	}
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return process{}, err
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return process{}, err
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return process{pid, parent, start, string(title), strings.TrimSuffix(exe, " (deleted)"), cwd}, err
}

// signal sends sig to pid, once it is sure that this is a process of the
// instance: the pidfd pins the process before it is looked at.
func (i *Instance) signal(pid int, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	p, err := readProcess(pid)
	if err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	if !i.owns(p) {
		return fmt.Errorf("signal process %d: it runs %s, not this instance: %w", pid, p.exe, fs.ErrNotExist)
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}
