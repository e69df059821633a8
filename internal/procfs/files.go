package procfs

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// File is a regular file or FIFO that a process holds open.
type File struct {
	FileID
	FD      int
	Path    string // where it is now, after renames; where it was if Deleted
	Deleted bool
	Writing bool // it was opened for writing
}

// Files lists the regular files and FIFOs that pid holds open, by descriptor.
func (f FS) Files(pid int) ([]File, error) {
	entries, err := os.ReadDir(f.Path(pid, "fd"))
	if err != nil {
		return nil, err
	}
	var files []File
	for _, entry := range entries {
		link := f.Path(pid, "fd", entry.Name())
		var st unix.Stat_t
		if err := unix.Stat(link, &st); err != nil {
			continue // closed in the meantime
		}
		if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFIFO {
			continue
		}
		path, err := os.Readlink(link)
		if err != nil {
			continue
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		file := File{FileID: FileID{Dev: st.Dev, Inode: st.Ino}, FD: fd}
		file.Path, file.Deleted = strings.CutSuffix(path, deletedMark)
		file.Writing = f.writing(pid, entry.Name())
		files = append(files, file)
	}
	return files, nil
}

// writing reads the access mode from /proc/PID/fdinfo: "flags:	02102001", octal.
func (f FS) writing(pid int, fd string) bool {
	info, err := os.ReadFile(f.Path(pid, "fdinfo", fd))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(info)) {
		if value, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(value), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}

// Unlinked lists the files that pid has mapped and that were removed or replaced since, each once.
func (f FS) Unlinked(pid int) ([]string, error) {
	text, err := os.ReadFile(f.Path(pid, "maps"))
	if err != nil {
		return nil, err
	}
	var files []string
	for line := range strings.Lines(string(text)) {
		// Address, permissions, offset, device, inode, path: only the path may hold spaces.
		at := strings.IndexByte(line, '/')
		if at < 0 {
			continue
		}
		path, gone := strings.CutSuffix(strings.TrimRight(line[at:], "\n"), deletedMark)
		if gone && !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	return files, nil
}

// userHz is what times in /proc are counted in, whatever the kernel's own tick is (time(7)).
const userHz = 100

// Age tells how long ago pid was started, rounded up: nothing that it did is older. Both times that it
// is made of are cut to a hundredth of a second.
func (f FS) Age(pid int) (time.Duration, error) {
	stat, err := f.Stat(pid)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(f.root + "/uptime")
	if err != nil {
		return 0, fmt.Errorf("read uptime: %w", err)
	}
	first, _, _ := bytes.Cut(text, []byte(" "))
	up, err := strconv.ParseFloat(string(first), 64)
	if err != nil {
		return 0, fmt.Errorf("read uptime: %w", err)
	}
	started := time.Duration(stat.StartTime) * (time.Second / userHz)
	const cut = 2 * time.Second / userHz
	return max(0, time.Duration(up*float64(time.Second))-started) + cut, nil
}
