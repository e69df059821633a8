package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Attributes are what a plain copy loses: owner, mode, modification time and extended attributes,
// among them file capabilities, ACLs and the SELinux label.
type Attributes struct {
	Mode    fs.FileMode       `json:"mode"` // permission, setuid, setgid and sticky bits
	UID     int               `json:"uid"`
	GID     int               `json:"gid"`
	ModTime time.Time         `json:"mod_time"`
	Xattrs  map[string][]byte `json:"xattrs,omitempty"`
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// ReadAttributes reads those of the file at path, links followed: /proc/PID/exe gives the running file's.
func ReadAttributes(path string) (Attributes, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Attributes{}, err
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Attributes{}, fmt.Errorf("stat %s: no owner in the answer", path)
	}
	a := Attributes{Mode: info.Mode() & modeBits, UID: int(sys.Uid), GID: int(sys.Gid), ModTime: info.ModTime()}
	names, err := xattrNames(path)
	if err != nil {
		return Attributes{}, fmt.Errorf("list extended attributes of %s: %w", path, err)
	}
	for _, name := range names {
		value, err := xattr(path, name)
		if err != nil {
			return Attributes{}, fmt.Errorf("read extended attribute %s of %s: %w", name, path, err)
		}
		if a.Xattrs == nil {
			a.Xattrs = make(map[string][]byte)
		}
		a.Xattrs[name] = value
	}
	return a, nil
}

// apply sets the attributes in the one order that keeps them: chown clears setuid and capabilities.
func (a Attributes) apply(f *os.File) error {
	if err := f.Chown(a.UID, a.GID); err != nil {
		return err
	}
	if err := f.Chmod(a.Mode); err != nil {
		return err
	}
	for name, value := range a.Xattrs {
		if err := unix.Fsetxattr(int(f.Fd()), name, value, 0); err != nil {
			return fmt.Errorf("set extended attribute %s: %w", name, err)
		}
	}
	return os.Chtimes(f.Name(), time.Time{}, a.ModTime)
}

// Differ lists in words what is not the same in b; nothing means equal.
func (a Attributes) Differ(b Attributes) []string {
	var diff []string
	if a.Mode != b.Mode {
		diff = append(diff, fmt.Sprintf("mode %v, not %v", b.Mode, a.Mode))
	}
	if a.UID != b.UID || a.GID != b.GID {
		diff = append(diff, fmt.Sprintf("owner %d:%d, not %d:%d", b.UID, b.GID, a.UID, a.GID))
	}
	for name, value := range a.Xattrs {
		if !bytes.Equal(value, b.Xattrs[name]) {
			diff = append(diff, "extended attribute "+name+" lost or changed")
		}
	}
	slices.Sort(diff)
	return diff
}

func xattrNames(path string) ([]string, error) {
	for {
		size, err := unix.Listxattr(path, nil)
		if errors.Is(err, unix.ENOTSUP) || size == 0 && err == nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		buf := make([]byte, size)
		size, err = unix.Listxattr(path, buf)
		if errors.Is(err, unix.ERANGE) {
			continue // one was added in between
		}
		if err != nil {
			return nil, err
		}
		if size == 0 { // overlayfs counts its own and does not list them
			return nil, nil
		}
		return strings.Split(strings.TrimSuffix(string(buf[:size]), "\x00"), "\x00"), nil
	}
}

func xattr(path, name string) ([]byte, error) {
	for {
		size, err := unix.Getxattr(path, name, nil)
		if err != nil {
			return nil, err
		}
		buf := make([]byte, size)
		size, err = unix.Getxattr(path, name, buf)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:size], nil
	}
}

// Private are the attributes of a file of graft's own: this user's, modified now.
func Private(mode fs.FileMode) Attributes {
	return Attributes{Mode: mode, UID: os.Geteuid(), GID: os.Getegid(), ModTime: time.Now()}
}
