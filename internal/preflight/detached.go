package preflight

import (
	"fmt"
	"os"
)

// attached tells whether the master itself, whatever the files say by now, shows that it was started with
// daemon off: ngx_daemon forks and leads the standard output to /dev/null, and a master born by USR2 inherits
// that. What cannot be read shows nothing.
func (e *examination) attached() (why string, shown bool) {
	pid := e.Instance.Master.PID
	if pid == 1 {
		return "it is process 1 of its namespace, and daemonizing forks", true
	}
	link := e.FS.Path(pid, "fd", "1")
	output, err := os.Readlink(link)
	if err != nil || output == "/dev/null" {
		return "", false
	}
	return fmt.Sprintf("its standard output is %s (%s), where ngx_daemon would have put /dev/null", output, link), true
}

// winchIgnored follows nginx's own condition (os/unix/ngx_process.c, ngx_signal_handler): WINCH counts only
// if the master daemonized itself or was born by USR2.
func winchIgnored(e *examination) Check {
	const stay = "WINCH would be ignored: the old workers would stay and take connections beside the new ones"
	i := e.Instance
	remedy := fmt.Sprintf("restart it so that it daemonizes: %s (without `daemon off;`)", e.restart())
	switch why, shown := e.attached(); {
	case !i.MasterProcess:
		return blocker("set master_process on; and restart", "master_process off (%s): there are no workers to end", e.where("master_process"))
	case i.OldMaster != 0:
		return ok("%s was born by USR2, and such a master obeys WINCH", e.master())
	case !i.Daemonized:
		return blocker(remedy, "daemon off (%s): %s", e.where("daemon"), stay)
	case shown:
		return blocker(remedy, "%s runs with daemon off, although the files do not say so any more: %s: %s", e.master(), why, stay)
	}
	return ok("%s daemonized itself: its standard output is /dev/null, and no daemon off is in effect", e.master())
}
