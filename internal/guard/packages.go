package guard

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Foreign is a file at the binary's path that is neither the old nor the new binary.
type Foreign struct {
	Missing bool
	At      time.Time // when it was put there
	Owner   string    // package and version, as the package manager has it; empty if none owns the path
	Log     []string  // what the package manager's log says of that package since the plan was made
}

// maxLogLines is how much of a package manager's log is quoted: its last lines tell the most.
const maxLogLines = 4

func lookForeign(ctx context.Context, h Host) *Foreign {
	awaitDpkg(ctx)
	f := &Foreign{At: changedAt(h.Binary)}
	if _, err := os.Stat(h.Binary); errors.Is(err, fs.ErrNotExist) {
		f.Missing = true
	}
	if name := dpkgOwner(h.Binary); name != "" {
		f.Owner = name + " " + dpkgVersion(name)
		f.Log = logLines("/var/log/dpkg.log", h.Made, " install "+name+":", " upgrade "+name+":", " remove "+name+":")
	} else if name, version := rpmOwner(ctx, h.Binary); name != "" {
		f.Owner = name + " " + version
		f.Log = logLines("/var/log/dnf.rpm.log", h.Made, ": "+name+"-")
	}
	return f
}

// awaitDpkg gives dpkg a moment to end: it writes down what it has installed after it has put the files
// in place. Its scripts may take minutes: then what is known by now has to do.
func awaitDpkg(ctx context.Context) {
	const patience, pause = 5 * time.Second, 50 * time.Millisecond
	for begin := time.Now(); dpkgAtWork() && time.Since(begin) < patience; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// dpkgAtWork asks who holds dpkg's lock, without taking it.
func dpkgAtWork() bool {
	file, err := os.Open("/var/lib/dpkg/lock")
	if err != nil {
		return false
	}
	defer file.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}

// dpkgOwner reads dpkg's lists itself, which costs less than a process and needs no dpkg-query.
func dpkgOwner(path string) string {
	lists, err := filepath.Glob("/var/lib/dpkg/info/*.list")
	if err != nil {
		return ""
	}
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		if strings.Contains("\n"+string(data), "\n"+path+"\n") {
			name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(list), ".list"), ":") // NAME:ARCH
			return name
		}
	}
	return ""
}

func dpkgVersion(name string) string {
	file, err := os.Open("/var/lib/dpkg/status")
	if err != nil {
		return ""
	}
	defer file.Close()
	lines, ours := bufio.NewScanner(file), false
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ": "); ok && key == "Package" {
			ours = value == name
		} else if ok && ours && key == "Version" {
			return value
		}
	}
	return ""
}

func rpmOwner(ctx context.Context, path string) (name, version string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// Without rpm, or for a file of no package, there is nothing to quote.
	out, err := exec.CommandContext(ctx, "rpm", "-qf", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}\n", path).Output()
	if err != nil {
		return "", ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	name, version, _ = strings.Cut(line, " ")
	return name, version
}

// logLines are the last lines since then that hold one of the texts. Both logs begin a line with the
// local time; in one a "T" stands between day and hour.
func logLines(path string, since time.Time, texts ...string) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var found []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		about := slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) })
		if !about || len(line) < len(time.DateTime) {
			continue
		}
		at, err := time.ParseInLocation(time.DateTime, strings.Replace(line[:len(time.DateTime)], "T", " ", 1), time.Local)
		if err == nil && !at.Before(since.Truncate(time.Second)) {
			found = append(found, line)
		}
	}
	return found[max(0, len(found)-maxLogLines):]
}
