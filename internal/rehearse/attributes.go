package rehearse

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"graft/internal/procfs"
)

// Attributes are what a process inherits and a restart would give it again.
type Attributes struct {
	UID      uint32   `json:"uid"`
	GID      uint32   `json:"gid"`
	Groups   []uint32 `json:"groups"`
	Umask    int      `json:"umask"`
	Bounding uint64   `json:"bounding"` // the capabilities it may ever have
	// Ambient are those that a service without root is given (AmbientCapabilities=).
	Ambient uint64  `json:"ambient"`
	NoNew   bool    `json:"no_new_privs"`
	Limits  []Limit `json:"limits"`
}

// Limit is one resource limit (getrlimit(2)).
type Limit struct {
	Resource int    `json:"resource"`
	Soft     uint64 `json:"soft"`
	Hard     uint64 `json:"hard"`
}

// limitNames are what /proc/PID/limits calls them, by their numbers (asm-generic/resource.h).
var limitNames = [...]string{
	"Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set", "Max processes",
	"Max open files", "Max locked memory", "Max address space", "Max file locks", "Max pending signals", "Max msgqueue size",
	"Max nice priority", "Max realtime priority", "Max realtime timeout",
}

// attributesOf reads those of a running process.
func attributesOf(pfs procfs.FS, pid int) (Attributes, error) {
	var a Attributes
	text, err := os.ReadFile(pfs.Path(pid, "status"))
	if err != nil {
		return a, fmt.Errorf("read the master's attributes: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if err := a.set(name, strings.Fields(value)); err != nil {
			return a, fmt.Errorf("read the master's attributes: %s: %w", strings.TrimSpace(line), err)
		}
	}
	if a.Limits, err = limitsOf(pfs, pid); err != nil {
		return a, fmt.Errorf("read the master's limits: %w", err)
	}
	return a, nil
}

// limitsOf reads /proc/PID/limits, which everybody may: prlimit(2) wants the process's own user, or
// CAP_SYS_RESOURCE, which root in a container lacks.
func limitsOf(pfs procfs.FS, pid int) ([]Limit, error) {
	text, err := os.ReadFile(pfs.Path(pid, "limits"))
	if err != nil {
		return nil, err
	}
	var all []Limit
	for line := range strings.Lines(string(text)) {
		for resource, name := range limitNames {
			values, ok := strings.CutPrefix(line, name)
			if !ok {
				continue
			}
			l := Limit{Resource: resource}
			fields := strings.Fields(values)
			if len(fields) < 2 {
				return nil, fmt.Errorf("%q: no values", strings.TrimSpace(line))
			}
			soft, err1 := parseLimit(fields[0])
			hard, err2 := parseLimit(fields[1])
			if err := errors.Join(err1, err2); err != nil {
				return nil, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
			}
			l.Soft, l.Hard = soft, hard
			all = append(all, l)
		}
	}
	if len(all) != len(limitNames) {
		return nil, fmt.Errorf("%d of %d limits are told", len(all), len(limitNames))
	}
	return all, nil
}

func parseLimit(s string) (uint64, error) {
	if s == "unlimited" {
		return math.MaxUint64, nil // RLIM_INFINITY
	}
	return strconv.ParseUint(s, 10, 64)
}

// set takes one line of /proc/PID/status (proc_pid_status(5)).
func (a *Attributes) set(name string, values []string) error {
	number := func(i, base int) uint64 {
		if i >= len(values) {
			return 0
		}
		n, _ := strconv.ParseUint(values[i], base, 64)
		return n
	}
	switch name {
	case "Uid":
		a.UID = uint32(number(1, 10)) // the effective one
	case "Gid":
		a.GID = uint32(number(1, 10))
	case "Groups":
		for i := range values {
			a.Groups = append(a.Groups, uint32(number(i, 10)))
		}
	case "Umask":
		a.Umask = int(number(0, 8))
	case "CapBnd":
		a.Bounding = number(0, 16)
	case "CapAmb":
		a.Ambient = number(0, 16)
	case "NoNewPrivs":
		a.NoNew = number(0, 10) == 1
	default:
		return nil
	}
	if len(values) == 0 && name != "Groups" {
		return errors.New("no value")
	}
	return nil
}

// assume makes this thread what the attributes say; the program that it executes next inherits them.
// Without root there is only the caller's own user, and what may not be set stays as it is.
func (a Attributes) assume() error {
	runtime.LockOSThread()
	unix.Umask(a.Umask)
	for _, l := range a.Limits {
		if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: l.Soft, Max: l.Hard}); err != nil && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("set limit %d: %w", l.Resource, err)
		}
	}
	if os.Geteuid() == 0 {
		if err := a.dropRights(); err != nil {
			return err
		}
	}
	if a.NoNew {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	return nil
}

func (a Attributes) dropRights() error {
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		if a.Bounding&(1<<capability) != 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("drop capability %d: %w", capability, err)
		}
	}
	groups := make([]int, len(a.Groups))
	for i, g := range a.Groups {
		groups[i] = int(g)
	}
	// Without it the permitted capabilities would go with root.
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	err := errors.Join(syscall.Setgroups(groups), syscall.Setgid(int(a.GID)), syscall.Setuid(int(a.UID)))
	if err != nil {
		return fmt.Errorf("become user %d: %w", a.UID, err)
	}
	if a.Ambient == 0 {
		return nil
	}
	return a.raiseAmbient()
}

// raiseAmbient gives this thread the capabilities that it passes on without a file's leave: those must
// be permitted and inheritable first.
func (a Attributes) raiseAmbient() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		set := uint32(a.Ambient >> (32 * i))
		data[i] = unix.CapUserData{Effective: set, Permitted: set, Inheritable: set}
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("keep capabilities %x: %w", a.Ambient, err)
	}
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		if a.Ambient&(1<<capability) == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, capability, 0, 0); err != nil {
			return fmt.Errorf("keep capability %d: %w", capability, err)
		}
	}
	return nil
}
