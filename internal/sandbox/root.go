package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// staging is where the tmpfs with the overlays' upper layers and the new root
// is mounted. It must exist on every host, and hide nothing that is still
// needed: the old /proc is of no use in a new pid namespace.
const staging = "/proc"

// builder assembles the new root under staging.
type builder struct {
	plan
	mounts   []mount
	overlays int
}

// root is a path of the host in the new root.
func (b *builder) root(path string) string { return filepath.Join(staging, "root", path) }

// buildRoot replaces this process's root with a copy-on-write view of it.
func buildRoot(p plan) error {
	list, err := mounts()
	if err != nil {
		return err
	}
	if err := detach(); err != nil {
		return err
	}
	b := &builder{plan: p, mounts: list}
	if err := mountAt("tmpfs", staging, "tmpfs", 0, b.sized("mode=0755")); err != nil {
		return err
	}
	if err := os.Mkdir(b.root("/"), 0o755); err != nil {
		return fmt.Errorf("new root: %w", err)
	}
	if p.UserNS {
		// A mount of its own, so that it can be moved to the top.
		if err := mountAt(b.root("/"), b.root("/"), "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	if err := b.clone("/"); err != nil {
		return err
	}
	for _, m := range b.mounts {
		if m.point == "/" || b.special(m) {
			continue
		}
		if err := b.cloneMount(m); err != nil {
			return err
		}
	}
	if !p.KeepRun {
		if err := b.tmpfs("/run", "mode=0755"); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/dev", "/sys"} {
		if err := b.bindReadOnly(dir); err != nil {
			return err
		}
	}
	if err := b.tmpfs("/dev/shm", "mode=1777"); err != nil {
		return err
	}
	if p.UserNS && len(p.Hosts) > 0 {
		// The host's is not ours to write to, not even copy-on-write.
		if err := b.copyFile("/etc/hosts"); err != nil {
			return err
		}
	}
	// Last of the visible tree: a bind may lie anywhere in it.
	for _, path := range p.Binds {
		if err := b.bind(path); err != nil {
			return err
		}
	}
	if err := mountAt("proc", b.root("/proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	return b.enter()
}

// enter makes the new root this process's. It is moved over the old one: the
// kernel allows no further user namespace where the root is not the topmost
// mount's. (It stays so where this process was in a chroot before.)
func (b *builder) enter() error {
	if err := os.Chdir(b.root("/")); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	if err := mountAt(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot into the new root: %w", err)
	}
	return os.Chdir("/")
}

// detach makes every mount of this namespace private, so that nothing mounted
// from here on shows on the host.
//
// In a chroot the mount that holds the root lies outside of it and has no path.
// It is the one that matters most, so the chroot is left the classic way (a
// working directory outside the root climbs freely) and entered again.
func detach() error {
	root, err := os.Open("/")
	if err != nil {
		return fmt.Errorf("detach from the host's mounts: %w", err)
	}
	defer root.Close()
	step := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("detach from the host's mounts: %s: %w", what, err)
		}
		return nil
	}
	if err := step("chroot", unix.Chroot(staging)); err != nil {
		return err
	}
	if err := step("leave the chroot", root.Chdir()); err != nil {
		return err
	}
	// As deep as a path can be; at the top ".." stays where it is.
	if err := step("climb", unix.Chdir(strings.Repeat("../", unix.PathMax/3-1))); err != nil {
		return err
	}
	if err := step("chroot to the top", unix.Chroot(".")); err != nil {
		return err
	}
	if err := step("make all mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
		return err
	}
	if err := step("return", root.Chdir()); err != nil {
		return err
	}
	return step("chroot back", unix.Chroot("."))
}

// virtual file systems hold the kernel's state, not files to be cloned.
var virtual = []string{
	"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
	"fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs",
	"sysfs", "tracefs",
}

// special tells whether a mount is not cloned: the new root has its own in that
// place, or the host's.
func (b *builder) special(m mount) bool {
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		if below(m.point, dir) {
			return true
		}
	}
	if !b.KeepRun && below(m.point, "/run") {
		return true
	}
	for _, dir := range b.Binds {
		if below(m.point, dir) {
			return true
		}
	}
	return slices.Contains(virtual, m.fstype)
}

// clone shows the host's directory dir copy-on-write.
//
// The mounts below it are not part of an overlay. Where they are locked (they
// are in a user namespace that did not make them) the kernel refuses an overlay
// that would uncover what they hide, so the directory is taken apart down to
// parts that have none.
func (b *builder) clone(dir string) error {
	covered := slices.ContainsFunc(b.mounts, func(m mount) bool { return m.point != dir && below(m.point, dir) })
	if !b.UserNS || !covered {
		return b.overlay(dir)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil // what this user may not see, the program could not, either
	}
	if err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	for _, e := range entries {
		err := b.cloneEntry(filepath.Join(dir, e.Name()), e.Type())
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // removed since it was listed
			return fmt.Errorf("clone: %w", err)
		}
	}
	return nil
}

func (b *builder) cloneEntry(path string, mode fs.FileMode) error {
	switch {
	case mode.IsDir():
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		// The mode by itself: mkdir would apply the umask, and drop the sticky bit.
		if err := errors.Join(os.Mkdir(b.root(path), 0o755), os.Chmod(b.root(path), st.Mode())); err != nil {
			return err
		}
		if slices.ContainsFunc(b.mounts, func(m mount) bool { return m.point == path }) {
			return nil // cloneMount's, or special
		}
		return b.clone(path)
	case mode == fs.ModeSymlink:
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(to, b.root(path))
	case mode.IsRegular():
		if slices.ContainsFunc(b.mounts, func(m mount) bool { return m.point == path }) {
			return os.WriteFile(b.root(path), nil, 0o644) // for cloneMount's copy
		}
		return b.bindReadOnly(path) // a single file cannot have an overlay
	}
	return nil // a socket, pipe or device beside a mount point: not of this view
}

// overlay mounts a writable layer over the host's directory dir.
func (b *builder) overlay(dir string) error {
	b.overlays++
	layer := filepath.Join(staging, fmt.Sprintf("layer%d", b.overlays))
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return fmt.Errorf("overlay of %s: %w", dir, err)
	}
	// The merged directory has the upper one's mode and owner. Owners that a
	// user namespace does not map cannot be given, and do not matter in it.
	if owner, ok := st.Sys().(*syscall.Stat_t); ok && !b.UserNS {
		if err := os.Chown(upper, int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("overlay of %s: %w", dir, err)
		}
	}
	if err := os.Chmod(upper, st.Mode()); err != nil {
		return fmt.Errorf("overlay of %s: %w", dir, err)
	}
	options := "lowerdir=" + overlayEscape(dir) + ",upperdir=" + upper + ",workdir=" + work
	if b.UserNS {
		options += ",userxattr"
	}
	return mountAt("overlay", b.root(dir), "overlay", 0, options)
}

// overlayEscape protects the characters that separate overlay's options.
func overlayEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(path)
}

// cloneMount shows a file system that is mounted below the root: by an overlay
// of its own or, where the file system cannot be the lower layer of one,
// read-only.
func (b *builder) cloneMount(m mount) error {
	st, err := os.Stat(m.point)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOTCONN):
		// Covered by another mount, or a FUSE mount that root may not enter or
		// whose server is gone: what we cannot see, the program could not, either.
		return nil
	case err != nil:
		return fmt.Errorf("clone mount: %w", err)
	case st.Mode().IsRegular():
		return b.copyFile(m.point)
	case !st.IsDir():
		return nil // a socket or device mounted on its own: the host's, not to be reached
	}
	overlayErr := b.clone(m.point)
	if overlayErr == nil {
		return nil
	}
	if err := b.bindReadOnly(m.point); err != nil {
		return errors.Join(overlayErr, err)
	}
	return nil
}

// copyFile replaces a file that is mounted on its own (a container's
// /etc/hosts) by a copy: such a mount can be neither overlaid nor replaced.
func (b *builder) copyFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("copy mounted file: %w", err)
	}
	b.overlays++
	file := filepath.Join(staging, fmt.Sprintf("file%d", b.overlays))
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return fmt.Errorf("copy mounted file: %w", err)
	}
	return mountAt(file, b.root(path), "", unix.MS_BIND, "")
}

// tmpfs mounts an empty one over a directory that the new root has.
func (b *builder) tmpfs(dir, options string) error {
	if _, err := os.Stat(b.root(dir)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return mountAt("tmpfs", b.root(dir), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, b.sized(options))
}

// sized adds the bound to the options of a tmpfs.
func (b *builder) sized(options string) string {
	if b.Room > 0 {
		options += fmt.Sprintf(",size=%d", b.Room)
	}
	return options
}

// bind shows the host's own file or directory, with all that is mounted below.
func (b *builder) bind(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	target := b.root(path)
	if _, err := os.Lstat(target); errors.Is(err, fs.ErrNotExist) { // in what began empty
		dir := target
		if !st.IsDir() {
			dir = filepath.Dir(target)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("bind %s: %w", path, err)
		}
		if !st.IsDir() {
			if err := os.WriteFile(target, nil, 0o644); err != nil {
				return fmt.Errorf("bind %s: %w", path, err)
			}
		}
	}
	return mountAt(path, target, "", unix.MS_BIND|unix.MS_REC, "")
}

// bindReadOnly shows the host's own file or directory and forbids changing it.
func (b *builder) bindReadOnly(path string) error {
	if err := b.bind(path); err != nil {
		return err
	}
	// A recursive bind takes MS_RDONLY for none of its mounts: each is told.
	points := []mount{{point: path}}
	for _, m := range b.mounts {
		switch {
		case below(path, m.point): // parents come first: the last one holds path
			points[0].flags = m.flags
		case below(m.point, path):
			points = append(points, m)
		}
	}
	for n, m := range points {
		err := mountAt("", b.root(m.point), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|m.flags, "")
		// A mount that is covered by another cannot be reached, and need not be: there is
		// nothing at its point then, or no mount.
		covered := errors.Is(err, fs.ErrNotExist) || n > 0 && errors.Is(err, unix.EINVAL)
		if err != nil && !covered {
			return err
		}
	}
	return nil
}

// protectKernel keeps the kernel's own switches, which no namespace makes
// private, from being turned by the program.
func protectKernel() error {
	for _, path := range []string{"/proc/sys", "/proc/sysrq-trigger"} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := mountAt(path, path, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
		if err := mountAt("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, ""); err != nil {
			return err
		}
	}
	return nil
}

// appendHosts adds lines to the sandbox's /etc/hosts.
func appendHosts(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	f, err := os.OpenFile("/etc/hosts", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("extend hosts: %w", err)
	}
	_, err = f.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	return errors.Join(err, f.Close())
}

// mountAt is mount(2) with an error that says what was mounted where.
func mountAt(source, target, fstype string, flags uintptr, options string) error {
	err := unix.Mount(source, target, fstype, flags, options)
	if err == nil {
		return nil
	}
	what := fstype
	switch {
	case flags&unix.MS_REMOUNT != 0:
		what = "read-only remount"
	case flags&unix.MS_MOVE != 0:
		what = "the new root"
	case flags&unix.MS_BIND != 0:
		what = "bind of " + source
	}
	// The target as the program would have seen it.
	at := strings.TrimPrefix(target, staging+"/root")
	if at == "" {
		at = "/"
	}
	hint := ""
	if fstype == "overlay" && errors.Is(err, unix.EINVAL) {
		hint = " (is this already an overlay on an overlay? the kernel stacks two; dmesg tells)"
	}
	return fmt.Errorf("mount %s on %s%s: %w", what, at, hint, err)
}
