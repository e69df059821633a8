package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"graft/internal/artifact"
)

func mountNamespace(e *examination) Check {
	link := e.FS.Path(e.Instance.Master.PID, "ns", "mnt")
	if e.Instance.MountNamespace {
		return ok("%s and graft see the same files (%s)", e.master(), link)
	}
	why := "it runs in a container"
	if s := e.Instance.Supervisor; s.Kind == "systemd" {
		why = s.Unit + " has files of its own (PrivateTmp=, ProtectSystem= and the like)"
	}
	return blocker(enterContainer(e), "%s sees other files than graft (%s differs from graft's own): %s, and no path means the same", e.master(), link, why)
}

func enterContainer(e *examination) string {
	return fmt.Sprintf("run graft among the master's files: nsenter --target %d --mount --pid --net graft plan …", e.Instance.Master.PID)
}

func permissions(e *examination) Check {
	o, err := ownerOf(e.FS, e.Instance.Master.PID)
	if err != nil {
		return blocker("run graft as root", "whom %s runs as cannot be read: %v", e.master(), err)
	}
	c := permitted(os.Geteuid(), o, e.master(), filepath.Dir(e.binary))
	if c.Severity != OK {
		return c
	}
	self, err := ownerOf(e.FS, os.Getpid())
	if err != nil {
		return blocker("run graft as root", "whom graft runs as cannot be read: %v", err)
	}
	if err := placeable(self, e.Target.Manifest); err != nil {
		help := "run graft as root, or build it for a directory of yours: graft build --openresty-prefix DIR"
		if self.uid == 0 {
			help = "make the directory writable, or build it for another one: graft build --openresty-prefix DIR"
		}
		return blocker(help, "the runtime cannot be placed at %s: %v", e.Target.Manifest.Prefix, err)
	}
	return c
}

// placeable tells why o could not create the files of the runtime that are not on the host yet.
func placeable(o owner, m artifact.Manifest) error {
	tried := map[string]bool{}
	for _, f := range m.Files {
		file := "/" + f.Path
		if m.Prefix == "" || !strings.HasPrefix(file, m.Prefix+"/") || existing(file) == file {
			continue
		}
		dir := existing(filepath.Dir(file))
		if tried[dir] {
			continue
		}
		tried[dir] = true
		if err := canCreate(dir, o); err != nil {
			return err
		}
	}
	return nil
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
