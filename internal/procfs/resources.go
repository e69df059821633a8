package procfs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Anonymous is how many bytes of the process's own memory are resident: heap, stacks and what was mapped
// without a file, shared memory left out. Kernels before 4.5 do not tell it.
func (f FS) Anonymous(pid int) (int64, error) {
	path := f.Path(pid, "status")
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		rest, ok := strings.CutPrefix(line, "RssAnon:")
		if !ok {
			continue
		}
		number, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
		kib, err := strconv.ParseInt(number, 10, 64)
		if err != nil || kib < 0 || unit != "kB" {
			return 0, fmt.Errorf("read %s: RssAnon is %q", path, strings.TrimSpace(rest))
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("read %s: no RssAnon: %w", path, errors.ErrUnsupported)
}

// Descriptors is how many descriptors the process has open.
func (f FS) Descriptors(pid int) (int, error) {
	path := f.Path(pid, "fd")
	// From Linux 6.2 on the directory's size is their number; before it was 0, in other file systems it
	// is anything.
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if n := st.Size(); n > 0 && f.root == "/proc" {
		return int(n), nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("count descriptors of %d: %w", pid, err)
	}
	return len(names), nil
}

// Refused is what the kernel did not let through to listening sockets of a network namespace, since
// that began: nobody accepted in time.
type Refused struct {
	Overflows int64 // ListenOverflows: the queue of accepted connections was full
	Drops     int64 // ListenDrops: these, and those dropped for other reasons
}

// Refused reads the counters of pid's network namespace.
func (f FS) Refused(pid int) (Refused, error) {
	path := f.Path(pid, "net", "netstat")
	data, err := os.ReadFile(path)
	if err != nil {
		return Refused{}, err
	}
	// Each group has two lines, one of names and one of values.
	var names []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "TcpExt:":
			continue
		case names == nil:
			names = fields
			continue
		}
		return refused(path, names, fields)
	}
	return Refused{}, fmt.Errorf("read %s: no TcpExt in it", path)
}

func refused(path string, names, values []string) (Refused, error) {
	var r Refused
	found := 0
	for i, name := range names[:min(len(names), len(values))] {
		var into *int64
		switch name {
		case "ListenOverflows":
			into = &r.Overflows
		case "ListenDrops":
			into = &r.Drops
		default:
			continue
		}
		n, err := strconv.ParseInt(values[i], 10, 64)
		if err != nil {
			return Refused{}, fmt.Errorf("read %s: %s: %w", path, name, err)
		}
		*into = n
		found++
	}
	if found != 2 {
		return Refused{}, fmt.Errorf("read %s: ListenOverflows or ListenDrops is missing", path)
	}
	return r, nil
}
