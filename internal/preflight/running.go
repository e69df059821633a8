package preflight

import (
	"fmt"
	"os"
	"path/filepath"
)

func mountNamespace(e *examination) Check {
	link := e.FS.Path(e.Instance.Master.PID, "ns", "mnt")
	if e.Instance.MountNamespace {
		return ok("%s and graft see the same files (%s)", e.master(), link)
	}
	return blocker(enterContainer(e), "%s sees other files than graft (%s differs from graft's own): it runs in a container, and no path means the same", e.master(), link)
}

func enterContainer(e *examination) string {
	return fmt.Sprintf("run graft among the master's files: nsenter --target %d --mount --pid --net graft plan …", e.Instance.Master.PID)
}

func permissions(e *examination) Check {
	o, err := ownerOf(e.FS, e.Instance.Master.PID)
	if err != nil {
		return blocker("run graft as root", "whom %s runs as cannot be read: %v", e.master(), err)
	}
	return permitted(os.Geteuid(), o, e.master(), filepath.Dir(e.binary))
}

// permitted tells whether graft, running as euid, may signal the master and replace the binary in dir.
func permitted(euid int, master owner, name, dir string) Check {
	if euid != 0 && euid != master.uid {
		return blocker(fmt.Sprintf("run graft as root or as %s", master), "graft runs as uid %d, %s as %s: it may not be signalled", euid, name, master)
	}
	if err := canCreate(dir, owner{uid: os.Geteuid()}); err != nil {
		return blocker("make the directory writable for graft, or run graft as root", "the binary cannot be replaced: %v", err)
	}
	return ok("graft runs as uid %d, %s as %s, and %s can be written to", euid, name, master, dir)
}

func sameBinary(e *examination) Check {
	sum, err := e.Target.BinarySHA256()
	if err != nil {
		return blocker("build the target again: graft build", "%v", err)
	}
	if sum == e.Instance.Exe.SHA256 {
		return warning("nothing is to be done; name another target with --to", "the target's binary and the one %s runs have the same SHA-256, %s", e.master(), sum)
	}
	return ok("the target's binary has SHA-256 %s, the running one %s", sum, e.Instance.Exe.SHA256)
}
