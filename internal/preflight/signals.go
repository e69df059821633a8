package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"graft/internal/nginx"
	"graft/internal/procfs"
)

// usr2Ignored follows nginx's own condition (os/unix/ngx_process.c, ngx_signal_handler): USR2 counts
// only if the master's parent is no longer the one that started it (since 1.13.8; before, if it is
// init) and no new binary runs already.
func usr2Ignored(e *examination) Check {
	i := e.Instance
	stat, err := e.FS.Stat(i.Master.PID)
	if err != nil {
		return blocker("run graft plan again", "the master's parent cannot be read: %v", err)
	}
	switch {
	case !i.MasterProcess:
		return blocker("set master_process on; and restart", "master_process off (%s): there is no master to obey USR2", e.where("master_process"))
	case i.OldMaster != 0:
		return blocker(fmt.Sprintf("end the earlier upgrade first: kill -QUIT %d", i.OldMaster),
			"master %d was started by USR2 to master %d, which still lives: nginx ignores USR2 until that one is gone", i.Master.PID, i.OldMaster)
	case i.NewMaster != 0:
		return blocker(fmt.Sprintf("end the earlier upgrade first: kill -QUIT %d", i.Master.PID),
			"master %d already started master %d: nginx ignores a second USR2", i.Master.PID, i.NewMaster)
	case !i.Daemonized:
		return blocker("remove `daemon off;` and let nginx daemonize (systemd: Type=forking with PIDFile=), then restart; under Docker start a new container instead",
			"daemon off (%s): nginx ignores USR2 as long as the process that started it, %s, is its parent", e.where("daemon"), e.process(stat.PPID))
	}
	if why, shown := e.attached(); shown {
		return blocker("restart nginx with what the files say now, so that it daemonizes: "+e.restart(),
			"%s runs with daemon off, although the files do not say so any more: %s", e.master(), why)
	}
	return parentOf(e, stat)
}

func parentOf(e *examination, stat procfs.Stat) Check {
	i, parent := e.Instance, e.process(stat.PPID)
	daemonize := fmt.Sprintf("restart it so that it daemonizes: %s", e.restart())
	switch i.Supervisor.Kind {
	case "supervisord", "runit", "s6":
		return blocker(daemonize, "the parent of %s is %s, which keeps what it starts in the foreground: nginx ignores USR2", e.master(), parent)
	}
	if stat.PPID <= 1 {
		return ok("%s was daemonized: its parent is %s", e.master(), parent)
	}
	if coreOlder(i.Build, "1.13.8") {
		return blocker(daemonize, "nginx %s obeys USR2 only as a child of init, and the parent of %s is %s", i.Build.Version, e.master(), parent)
	}
	if strings.HasPrefix(e.comm(stat.PPID), "systemd") {
		return ok("%s was daemonized: its parent is %s", e.master(), parent)
	}
	return warning(daemonize, "the parent of %s is %s: USR2 works if that one adopted a daemonized nginx (prctl, PR_SET_CHILD_SUBREAPER), and is ignored if it started nginx itself", e.master(), parent)
}

// coreOlder compares the version of the nginx that a binary is made of, as far as its own tells.
func coreOlder(b nginx.Build, than string) bool {
	version := b.Version
	switch b.Flavor {
	case nginx.FlavorAngie:
		return false // its first release came from nginx 1.23
	case nginx.FlavorTengine:
		// Tengine 2.3.0 came from nginx 1.15.9, 3.0.0 from 1.22; the ones before from 1.8 and less.
		if !older(version, "2.3.0") {
			return older("1.15.9", than)
		}
		version = "1.8.1"
	}
	return older(version, than)
}

// older compares dotted numbers.
func older(a, b string) bool {
	numbers := func(s string) (n [3]int) {
		// What follows the third number (OpenResty's release, "-rc1") does not matter here.
		_, _ = fmt.Sscanf(s, "%d.%d.%d", &n[0], &n[1], &n[2])
		return n
	}
	x, y := numbers(a), numbers(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

// usr2Poison looks at what USR2 does before it executes anything: rename the pid file. If that fails
// nginx remembers a new binary that is none, and every HUP after adds workers.
func usr2Poison(e *examination) Check {
	i, path := e.Instance, e.Instance.PidFile.Path
	rewrite := fmt.Sprintf("echo %d > %s", i.Master.PID, path)
	switch {
	case i.PidFile.Error != "":
		return blocker(rewrite, "the pid file cannot be read: %s", i.PidFile.Error)
	case !i.PidFileOK():
		return blocker(fmt.Sprintf("find out why; if %s is nothing of yours: %s", e.process(i.PidFile.Holds), rewrite),
			"%s holds %d (%s), not master %d", path, i.PidFile.Holds, e.process(i.PidFile.Holds), i.Master.PID)
	}
	owner, err := ownerOf(e.FS, i.Master.PID)
	if err != nil {
		return blocker("run graft as root", "whom %s runs as cannot be read: %v", e.master(), err)
	}
	dir := filepath.Dir(path)
	if err := canCreate(dir, owner); err != nil {
		return blocker(fmt.Sprintf("let %s write to %s (mount -o remount,rw …, chattr -i …, chmod …), then plan again", owner, dir),
			"%s could not rename its pid file: %v", e.master(), err)
	}
	if err := canRename(path); err != nil {
		return blocker(fmt.Sprintf("chattr -i -a %s", path), "%s could not rename its pid file: %v", e.master(), err)
	}
	old := nginx.OldBin(path)
	if info, err := os.Lstat(old); err == nil && info.IsDir() {
		return blocker("rmdir "+old, "%s is a directory: the pid file cannot be renamed to it", old)
	}
	return ok("%s holds %d, and %s can write to %s", path, i.Master.PID, owner, dir)
}

func upgradeUnderWay(e *examination) Check {
	i := e.Instance
	if i.OldMaster != 0 {
		return blocker(fmt.Sprintf("finish it: kill -QUIT %d; or take it back: kill -HUP %d, wait for its workers, kill -QUIT %d", i.OldMaster, i.OldMaster, i.Master.PID),
			"master %d is the new one of an upgrade that master %d has not finished", i.Master.PID, i.OldMaster)
	}
	if i.NewMaster != 0 {
		return blocker(fmt.Sprintf("finish it: kill -QUIT %d; or take it back: kill -HUP %d, wait for its workers, kill -QUIT %d", i.Master.PID, i.Master.PID, i.NewMaster),
			"master %d is the old one of an upgrade: it started master %d", i.Master.PID, i.NewMaster)
	}
	path := nginx.OldBin(i.PidFile.Path)
	holds, err := nginx.ReadPidFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ok("there is no %s, and %s has neither an older nor a newer master", path, e.master())
	case err != nil:
		return warning("rm "+path, "an earlier upgrade left %s: %v", path, err)
	}
	if title, err := e.FS.Title(holds); err == nil {
		if t, known := nginx.ParseTitle(title); known && t.Role == nginx.RoleMaster && holds != i.Master.PID {
			return blocker(fmt.Sprintf("finish that upgrade: kill -QUIT %d", holds), "%s holds %d, a live master", path, holds)
		}
	}
	return warning("rm "+path, "%s holds %d, which is no other master: an earlier upgrade left it; USR2 overwrites it silently", path, holds)
}

// where tells the file and line of a directive of the main context.
func (e *examination) where(directive string) string {
	for _, d := range e.Instance.Config.Find(directive) {
		if d.Parent == nil {
			if d.Line == 0 {
				return "-g on the command line"
			}
			return d.Pos().String()
		}
	}
	return "nginx's default"
}

// process names a process for people.
func (e *examination) process(pid int) string {
	if comm := e.comm(pid); comm != "" {
		return fmt.Sprintf("process %d (%s)", pid, comm)
	}
	return fmt.Sprintf("process %d", pid)
}

func (e *examination) comm(pid int) string {
	stat, err := e.FS.Stat(pid)
	if err != nil {
		return ""
	}
	return stat.Comm
}
