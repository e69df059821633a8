package build

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workRoom is what a build needs for its tree, objects and what is installed from them: OpenResty's take
// some 250 MB with -g.
const workRoom = 400 << 20

// checkRoom tells before anything is unpacked that a build would end with a full disk.
func checkRoom(dir string, need uint64) error {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == "/" || dir == "." {
			break
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look how much room there is in %s: %w", dir, err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < need {
		return fmt.Errorf("a build needs some %d MB in %s, where %d MB are free: make room, or let XDG_CACHE_HOME name a directory with more", need>>20, dir, free>>20)
	}
	return nil
}
