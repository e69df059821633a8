package procfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// OpenFile is a file behind a descriptor, whatever became of its path.
type OpenFile struct {
	FileID
	Path    string // where it is now: the kernel follows a rename
	Deleted bool
}

// Appending lists the regular files that pid has open for appending and nothing else, as logs are.
func (f FS) Appending(pid int) ([]OpenFile, error) {
	dir, err := os.Open(f.Path(pid, "fd"))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list descriptors of %d: %w", pid, err)
	}
	var files []OpenFile
	for _, name := range names {
		link := f.Path(pid, "fd", name)
		path, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(path, "/") || !f.appends(pid, name) {
			continue // closed in the meantime, or a socket, pipe or device of the kernel
		}
		var st unix.Stat_t
		if unix.Stat(link, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		path, deleted := strings.CutSuffix(path, deletedMark)
		files = append(files, OpenFile{FileID{Dev: st.Dev, Inode: st.Ino}, path, deleted})
	}
	return files, nil
}

// appends reads the flags of open(2) that fdinfo prints in octal.
func (f FS) appends(pid int, fd string) bool {
	info, err := os.ReadFile(f.Path(pid, "fdinfo", fd))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(info)) {
		if text, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(text), 8, 32)
			return err == nil && flags&unix.O_APPEND != 0 && flags&unix.O_ACCMODE == unix.O_WRONLY
		}
	}
	return false
}

// tick is the unit of start times, USER_HZ: 100 a second on every Linux.
const tick = 10 * time.Millisecond

// Started is the time of day of a start time, as exact as a tick.
func Started(start uint64) (time.Time, error) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, fmt.Errorf("ask how long the host is up: %w", err)
	}
	return time.Now().Add(time.Duration(start)*tick - time.Duration(up.Nano())), nil
}
