package procfs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// FileID names a file on this host for as long as it exists, whatever happens to its path.
type FileID struct {
	Dev   uint64 `json:"dev"`
	Inode uint64 `json:"inode"`
}

// Exe is the file a process runs.
type Exe struct {
	FileID
	Path    string // where it was when it was started or renamed to; see Deleted
	Deleted bool   // no path leads to it any more: replaced by a rename, or removed
}

// deletedMark is what the kernel appends to the link of an unlinked file.
const deletedMark = " (deleted)"

// Exe reads /proc/PID/exe. The link is only for people: the identity is device and inode.
func (f FS) Exe(pid int) (Exe, error) {
	link := f.Path(pid, "exe")
	id, err := Identify(link)
	if err != nil {
		return Exe{}, err
	}
	path, err := os.Readlink(link)
	if err != nil {
		return Exe{}, err
	}
	path, deleted := strings.CutSuffix(path, deletedMark)
	return Exe{FileID: id, Path: path, Deleted: deleted}, nil
}

// Running lists the processes that run the file, zombies left out.
func (f FS) Running(id FileID) ([]int, error) {
	all, err := f.PIDs()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, pid := range all {
		if exe, err := Identify(f.Path(pid, "exe")); err == nil && exe == id {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Identify returns the identity of the file at path, links followed.
func Identify(path string) (FileID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return FileID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return FileID{Dev: st.Dev, Inode: st.Ino}, nil
}

// SHA256 returns the hex digest of the file at path.
func SHA256(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
