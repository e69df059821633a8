package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"graft/internal/procfs"
)

// owner is whom a process runs as: its effective ids.
type owner struct {
	uid    int
	groups []int // the primary one first
}

func (o owner) String() string {
	if o.uid == 0 {
		return "root"
	}
	return fmt.Sprintf("uid %d", o.uid)
}

// ownerOf reads /proc/PID/status (proc_pid_status(5)).
func ownerOf(f procfs.FS, pid int) (owner, error) {
	text, err := os.ReadFile(f.Path(pid, "status"))
	if err != nil {
		return owner{}, err
	}
	o := owner{uid: -1}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		var ids []int
		for _, field := range strings.Fields(value) {
			id, err := strconv.Atoi(field)
			if err != nil {
				break // a field that holds no ids
			}
			ids = append(ids, id)
		}
		switch {
		case key == "Uid" && len(ids) == 4: // real, effective, saved, file system
			o.uid = ids[1]
		case key == "Gid" && len(ids) == 4:
			o.groups = append([]int{ids[1]}, o.groups...)
		case key == "Groups":
			o.groups = append(o.groups, ids...)
		}
	}
	if o.uid < 0 {
		return owner{}, fmt.Errorf("no Uid in %s", f.Path(pid, "status"))
	}
	return o, nil
}

// canCreate tells why o could not create or rename files in dir. access(2) would not do: for root it
// says yes to read-only mounts.
func canCreate(dir string, o owner) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return &fs.PathError{Op: "create in", Path: dir, Err: unix.ENOTDIR}
	}
	room, err := roomAt(dir)
	switch {
	case err != nil:
		return err
	case room.readOnly:
		return fmt.Errorf("%s is on a read-only file system", dir)
	case !room.holds(4096, 1):
		return fmt.Errorf("the file system of %s is full (%s)", dir, room)
	}
	if flags := fileFlags(dir); flags&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0 {
		return fmt.Errorf("%s is immutable or append-only (lsattr -d %s)", dir, dir)
	}
	if o.uid != 0 && !o.mayWrite(st) {
		return fmt.Errorf("%s may not write to %s (mode %o, owner %d:%d; ACLs not looked at)", o, dir, st.Mode&0o7777, st.Uid, st.Gid)
	}
	if o.uid != os.Geteuid() {
		return nil // a trial as graft's own user would tell nothing
	}
	return tryCreate(dir, func(int) error { return nil })
}

// mayWrite reads the permission bits as the kernel does: the first class that fits decides.
func (o owner) mayWrite(st unix.Stat_t) bool {
	const writeAndSearch = 0o3
	bits := st.Mode
	if uint32(o.uid) == st.Uid {
		return bits>>6&writeAndSearch == writeAndSearch
	}
	for _, gid := range o.groups {
		if uint32(gid) == st.Gid {
			return bits>>3&writeAndSearch == writeAndSearch
		}
	}
	return bits&writeAndSearch == writeAndSearch
}

// tryCreate makes a file without a name in dir, which leaves no trace, and hands it to use. File
// systems that have no such files cannot be tried; that is no error.
func tryCreate(dir string, use func(fd int) error) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "create a file in", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return use(fd)
}

// canRename tells why not even root could rename the file.
func canRename(path string) error {
	if fileFlags(path)&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0 {
		return fmt.Errorf("%s is immutable or append-only (lsattr %s)", path, path)
	}
	return nil
}

// fileFlags are the STATX_ATTR_ flags of the file; none where the file system has none.
func fileFlags(path string) uint64 {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, 0, &st); err != nil {
		return 0
	}
	return st.Attributes & st.Attributes_mask
}

// room is what a file system has left.
type room struct {
	dev           uint64
	bytes, inodes uint64
	anyInodes     bool // it makes inodes as they are needed
	readOnly      bool
}

func roomAt(path string) (room, error) {
	var vfs unix.Statfs_t
	if err := unix.Statfs(path, &vfs); err != nil {
		return room{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	id, err := procfs.Identify(path)
	if err != nil {
		return room{}, err
	}
	return room{
		dev: id.Dev, bytes: vfs.Bavail * uint64(vfs.Bsize), inodes: vfs.Ffree, anyInodes: vfs.Files == 0,
		readOnly: vfs.Flags&unix.ST_RDONLY != 0,
	}, nil
}

func (r room) holds(bytes, inodes uint64) bool {
	return r.bytes >= bytes && (r.anyInodes || r.inodes >= inodes)
}

func (r room) String() string {
	if r.anyInodes {
		return size(r.bytes) + " free"
	}
	return fmt.Sprintf("%s and %d inodes free", size(r.bytes), r.inodes)
}

// size writes bytes for people, in binary units.
func size(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}
