package preflight

import (
	"fmt"
	"os"
	"strings"

	"graft/internal/procfs"
)

// unixSocketUnlinked looks for what would remove the path of a unix socket that is still served. A new
// master deletes the sockets that its configuration does not name (ngx_init_cycle), and before 1.19.1 one
// that is terminated deletes those that it shares with the old (ngx_close_listening_sockets).
func unixSocketUnlinked(e *examination) Check {
	i := e.Instance
	var held []string
	for _, l := range i.Listen {
		if path, isUnix := strings.CutPrefix(l.Addr, "unix:"); isUnix && !strings.HasPrefix(path, "@") {
			held = append(held, path)
		}
	}
	if len(held) == 0 {
		return ok("%s listens on no unix socket", e.master())
	}
	asked := make(map[string]string)
	for _, l := range i.Config.Listens() {
		if l.Network == "unix" {
			asked[l.Host] = l.Directive.Pos().String()
		}
	}
	for _, path := range held {
		if _, named := asked[path]; !named && i.ConfigError == nil {
			return blocker(fmt.Sprintf("reload nginx first, so that the socket goes in an orderly way, or write listen unix:%s; again", path),
				"%s listens on unix:%s, which %s does not name any more: the new master would delete it while the old one still serves it, and no rollback brings it back", e.master(), path, i.Paths.Conf)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
			return warning(fmt.Sprintf("find out who took it away, and restart nginx: only bind() makes the path again (%s)", e.restart()),
				"%s listens on unix:%s, but there is no socket: nobody can connect to it, before the migration or after", e.master(), path)
		}
	}
	return e.unixSocketsOfOldReleases(held)
}

func (e *examination) unixSocketsOfOldReleases(held []string) Check {
	const since = "1.19.1"
	list := strings.Join(held, ", ")
	if coreOlder(e.build, since) {
		return note("if you ever end the new master by hand, use QUIT, never TERM",
			"the target is older than %s: TERM to its master would delete %s, also while the old master serves it. graft sends QUIT alone", since, list)
	}
	if coreOlder(e.Instance.Build, since) {
		return note(fmt.Sprintf("after a stop by QUIT, before the next start: rm %s", strings.Join(held, " ")),
			"%s runs nginx before %s, which leaves the files of its unix sockets when it ends by QUIT, so that the next start fails (98: Address already in use). In the migration nothing is deleted: %s", e.master(), since, list)
	}
	return ok("every unix socket that %s holds is named by the configuration, and both releases leave it alone at QUIT: %s", e.master(), list)
}

// unixListeners tells whether any of the sockets has a path.
func unixListeners(held []procfs.Listener) bool {
	for _, l := range held {
		if strings.HasPrefix(l.Addr, "unix:") && !strings.HasPrefix(l.Addr, "unix:@") {
			return true
		}
	}
	return false
}
