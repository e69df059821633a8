package guard

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"graft/internal/pkgmanager"
)

// Foreign is a file at the binary's path that is neither the old nor the new binary.
type Foreign struct {
	Missing bool
	At      time.Time         // when it was put there
	Owner   *pkgmanager.Owner // whose the path is, as the package manager has it; nil if no package owns it
	Unknown error             // why that cannot be told
	Log     []string          // what the package manager's log says of that package since the plan was made
}

const (
	// maxLogLines is how much of a package manager's log is quoted: its last lines tell the most.
	maxLogLines = 4
	// dpkgPatience and askPatience bound what a look waits for: both masters are left alone meanwhile.
	dpkgPatience = 5 * time.Second
	askPatience  = 10 * time.Second
)

func lookForeign(ctx context.Context, h Host) *Foreign {
	packages := pkgmanager.Host{Root: "/"}
	packages.AwaitDpkg(ctx, dpkgPatience)
	f := &Foreign{At: changedAt(h.Binary)}
	if _, err := os.Stat(h.Binary); errors.Is(err, fs.ErrNotExist) {
		f.Missing = true
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	f.Owner, f.Unknown = packages.OwnerOf(ctx, h.Binary)
	if f.Owner == nil {
		return f
	}
	switch f.Owner.Manager {
	case pkgmanager.Dpkg:
		name, _, _ := strings.Cut(f.Owner.Package, ":") // NAME:ARCH
		f.Log = logLines("/var/log/dpkg.log", h.Made, " install "+name+":", " upgrade "+name+":", " remove "+name+":")
	case pkgmanager.RPM:
		f.Log = logLines("/var/log/dnf.rpm.log", h.Made, ": "+f.Owner.Package+"-")
	}
	return f
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
