package sandbox

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is one line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	point  string // where, seen from this process's root
	flags  uintptr
	fstype string
}

// mounts lists what is mounted below this process's root, parents first.
// Where several file systems are mounted on one another, the visible one is
// listed.
func mounts() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return parseMountinfo(string(text))
}

func parseMountinfo(text string) ([]mount, error) {
	var list []mount
	at := map[string]int{}
	for line := range strings.Lines(text) {
		// id parent maj:min root POINT OPTIONS optional… - TYPE source super
		fields := strings.Fields(line)
		dash := 0
		for i := 6; i < len(fields) && dash == 0; i++ {
			if fields[i] == "-" {
				dash = i
			}
		}
		if dash == 0 || dash+1 >= len(fields) {
			return nil, fmt.Errorf("list mounts: odd line %q", strings.TrimSpace(line))
		}
		m := mount{point: unescape(fields[4]), flags: mountFlags(fields[5]), fstype: fields[dash+1]}
		if i, ok := at[m.point]; ok {
			list[i] = m
			continue
		}
		at[m.point] = len(list)
		list = append(list, m)
	}
	return list, nil
}

// mountFlags are the options that a bind mount of the same file system must
// keep: in a user namespace the kernel refuses to drop them.
func mountFlags(options string) uintptr {
	var flags uintptr
	for o := range strings.SplitSeq(options, ",") {
		switch o {
		case "ro":
			flags |= unix.MS_RDONLY
		case "nosuid":
			flags |= unix.MS_NOSUID
		case "nodev":
			flags |= unix.MS_NODEV
		case "noexec":
			flags |= unix.MS_NOEXEC
		}
	}
	return flags
}

// unescape undoes the kernel's octal escapes: space, tab, newline, backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// below tells whether path is dir or lies under it.
func below(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}
