package preflight

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"graft/internal/durable"
)

func stagingConflict(e *examination) Check {
	prefix := e.Target.Manifest.Prefix
	if prefix == "" {
		return ok("the target is its binary alone: nothing else is put on the host")
	}
	conflicts, err := e.Target.Conflicts("/")
	if err != nil {
		return blocker("let graft read "+prefix, "what lies under %s cannot be read: %v", prefix, err)
	}
	if len(conflicts) > 0 {
		return blocker("build the target with another prefix for its runtime, or remove these files if nothing uses them",
			"%d files of the target's runtime exist with another content: %s", len(conflicts), firstFew(conflicts))
	}
	return ok("nothing of another content lies where the target's runtime goes (%s)", prefix)
}

func firstFew(list []string) string {
	const few = 5
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
}

// journalRoom is kept for the journal and the plan, in bytes: they grow by kilobytes.
const journalRoom = 16 << 20

// demand is what is written to one file system.
type demand struct {
	room
	bytes, inodes uint64
	what          []string
}

func diskSpace(e *examination) Check {
	old, err := os.Stat(e.FS.Path(e.Instance.Master.PID, "exe"))
	if err != nil {
		return blocker("run graft plan again", "the running binary cannot be read: %v", err)
	}
	var binary, runtime, files uint64
	for _, f := range e.Target.Manifest.Files {
		if f.Path == e.Target.Manifest.Binary {
			binary = uint64(f.Size)
		} else {
			runtime += uint64(f.Size)
			files++
		}
	}
	demands := map[uint64]*demand{}
	add := func(what, dir string, bytes, inodes uint64) error {
		at := existing(dir)
		r, err := roomAt(at)
		if err != nil {
			return err
		}
		if r.readOnly {
			return fmt.Errorf("%s is on a read-only file system", at)
		}
		d := demands[r.dev]
		if d == nil {
			d = &demand{room: r}
			demands[r.dev] = d
		}
		d.bytes += bytes
		d.inodes += inodes
		d.what = append(d.what, fmt.Sprintf("%s in %s: %s", what, dir, size(bytes)))
		return nil
	}
	err = add("the binary beside the old one", filepath.Dir(e.binary), max(binary, uint64(old.Size())), 1)
	if err == nil && e.Target.Manifest.Prefix != "" {
		err = add("the runtime", e.Target.Manifest.Prefix, runtime, 2*files)
	}
	if err == nil && e.StateDir != "" {
		err = add("backup and journal", e.StateDir, uint64(old.Size())+journalRoom, 16)
	}
	if err != nil {
		return blocker("make that file system writable, or choose another place (--state-dir)", "%v", err)
	}
	var fits []string
	for _, dev := range slices.Sorted(maps.Keys(demands)) {
		d := demands[dev]
		if !d.holds(d.bytes, d.inodes) {
			return blocker("make room there", "%s; that file system has %s", strings.Join(d.what, "; "), d.room)
		}
		fits = append(fits, fmt.Sprintf("%s; there is %s", strings.Join(d.what, "; "), d.room))
	}
	return ok("%s", strings.Join(fits, ". "))
}

// existing is the nearest directory at or above dir that is there.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// fileAttributes tries the running binary's extended attributes on a file of the same directory that
// has no name.
func fileAttributes(e *examination) Check {
	exe := e.FS.Path(e.Instance.Master.PID, "exe")
	attrs, err := durable.ReadAttributes(exe)
	if err != nil {
		return blocker("run graft as root", "the running binary's attributes cannot be read: %v", err)
	}
	names := slices.Sorted(maps.Keys(attrs.Xattrs))
	if len(names) == 0 {
		return ok("the running binary has no extended attributes; owner %d:%d and mode %v are kept", attrs.UID, attrs.GID, attrs.Mode)
	}
	dir := filepath.Dir(e.binary)
	err = tryCreate(dir, func(fd int) error {
		for _, name := range names {
			if err := unix.Fsetxattr(fd, name, attrs.Xattrs[name], 0); err != nil {
				return fmt.Errorf("set %s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return blocker("run graft as root, or drop the attribute if it is of no use (getfattr -d -m - "+e.binary+")",
			"a new binary in %s cannot be given what the running one has (%s): %v", dir, strings.Join(names, ", "), err)
	}
	return note("", "the running binary has extended attributes, which the new one is given, too: %s", strings.Join(names, ", "))
}
