package rehearse

import (
	"errors"
	"fmt"
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

// resources is how many limits Linux has (asm-generic/resource.h: RLIM_NLIMITS).
const resources = 16

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
	for resource := range resources {
		var l unix.Rlimit
		if err := unix.Prlimit(pid, resource, nil, &l); err != nil {
			return a, fmt.Errorf("read the master's limits: %w", err)
		}
		a.Limits = append(a.Limits, Limit{resource, l.Cur, l.Max})
	}
	return a, nil
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
