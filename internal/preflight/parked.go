package preflight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/procfs"
	"graft/internal/sandbox"
)

// What follows is asked again while a migration is parked: package guard watches for it.

// Takes tells whether the binary that runs as pid takes the configuration on disk: `-t` in isolation,
// with the instance's arguments and the environment that an old master would hand on. said are nginx's
// words where it does not.
func Takes(ctx context.Context, pfs procfs.FS, i nginx.Instance, pid int) (took bool, said string, err error) {
	s := Subject{FS: pfs, Instance: i, Sandboxed: sandbox.Command}
	var names []string
	for _, h := range i.Config.Hostnames() {
		names = append(names, h.Name)
	}
	b := bench{Subject: s, path: i.Exe.Path}
	out := b.test(ctx, program{file: pfs.Path(pid, "exe")}, (&examination{Subject: s}).environment(), names, "-t")
	switch {
	case out.err != nil:
		return false, "", out.err
	case out.passed():
		return true, "", nil
	}
	return false, classify(out.output).message, nil
}

// Loses tells, in words, which of the held sockets a master would let go of if it loaded this
// configuration: with reuseport it keeps one for each of its workers, and without a listen none.
func Loses(pfs procfs.FS, config *conf.Config, held []procfs.Listener, pid int) []string {
	var lost []string
	value := cmp.Or(config.Value("worker_processes"), "1")
	if counts, err := workerCounts(pfs, value, pid); err == nil {
		sockets := make(map[string]int)
		for _, l := range held {
			if l.Reuseport {
				sockets[l.Network+" "+l.Addr]++
			}
		}
		workers := slices.Max(counts)
		for address, n := range sockets {
			if workers < n {
				lost = append(lost, fmt.Sprintf("%d of the %d reuseport sockets on %s (worker_processes %s)", n-workers, n, address, value))
			}
		}
		slices.Sort(lost)
	}
	_, surplus := compareListens(config.Listens(), held)
	for _, l := range surplus {
		told := unasked(l)
		if strings.HasPrefix(l.Addr, "unix:") {
			told += ", and nginx removes its path at once, for the old master, too" // the trap unix-socket-unlinked
		}
		lost = append(lost, told)
	}
	return lost
}

// ReloadCommand is how a systemd unit reloads its service, and where that is written; empty if it says
// nothing.
func ReloadCommand(unit string) (command, where string, err error) {
	settings, err := readUnit(unit)
	if err != nil {
		return "", "", err
	}
	if s, found := last(settings, "Service", "ExecReload"); found {
		return s.value, s.where(), nil
	}
	return "", "", nil
}
