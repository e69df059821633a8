package nginx

import (
	"path"
	"strings"

	"graft/internal/procfs"
)

// Supervisor is what would start the instance again.
type Supervisor struct {
	Kind string `json:"kind"`           // "systemd", "container", "supervisord", "runit", "s6", "init" or "none"
	Unit string `json:"unit,omitempty"` // systemd: the unit's name; others: the supervising process's
}

// supervisors are known by the name of the master's parent.
var supervisors = map[string]string{
	"supervisord": "supervisord", "runsv": "runit", "s6-supervise": "s6",
	"tini": "init", "dumb-init": "init", "docker-init": "init",
}

// containerMarks are parts of a cgroup path that container runtimes choose.
var containerMarks = []string{"docker", "kubepods", "containerd", "libpod", "crio", "lxc", "machine.slice"}

// FindSupervisor looks at the cgroup and the parent of pid.
func FindSupervisor(fs procfs.FS, pid int) (Supervisor, error) {
	stat, err := fs.Stat(pid)
	if err != nil {
		return Supervisor{}, err
	}
	if stat.PPID > 1 {
		parent, err := fs.Stat(stat.PPID)
		if err == nil && supervisors[parent.Comm] != "" {
			return Supervisor{Kind: supervisors[parent.Comm], Unit: parent.Comm}, nil
		}
	}
	cgroups, err := fs.Cgroups(pid)
	if err != nil {
		return Supervisor{}, err
	}
	otherFiles := another(fs, pid, "mnt")
	if otherFiles && another(fs, pid, "pid") {
		return Supervisor{Kind: "container"}, nil
	}
	for _, group := range cgroups {
		if ofContainer(group) {
			return Supervisor{Kind: "container", Unit: path.Base(group)}, nil
		}
	}
	for _, group := range cgroups {
		if unit := systemdUnit(group); unit != "" {
			return Supervisor{Kind: "systemd", Unit: unit}, nil
		}
	}
	if otherFiles {
		return Supervisor{Kind: "container"}, nil
	}
	return Supervisor{Kind: "none"}, nil
}

// another tells whether pid is known to be in another namespace than graft. A service with PrivateTmp= or
// the like has files of its own, but no processes.
func another(fs procfs.FS, pid int, namespace string) bool {
	same, err := fs.SameNamespace(pid, namespace)
	return err == nil && !same
}

// ofContainer: a service's name does not count, whatever it speaks of.
func ofContainer(cgroup string) bool {
	for part := range strings.SplitSeq(cgroup, "/") {
		for _, mark := range containerMarks {
			if strings.Contains(part, mark) && !strings.HasSuffix(part, ".service") {
				return true
			}
		}
	}
	return false
}

// systemdUnit finds the service in a cgroup path: its last component that is one. A login session's
// scope is no supervisor.
func systemdUnit(cgroup string) string {
	unit := ""
	for part := range strings.SplitSeq(cgroup, "/") {
		if strings.HasSuffix(part, ".service") {
			unit = part
		}
	}
	if strings.HasPrefix(unit, "user@") {
		return ""
	}
	return unit
}
