package preflight

import (
	"fmt"
	"strings"
)

// rollbackOrder tells what makes the order of a rollback matter here. graft keeps it: HUP to the old master,
// its workers run and answer, QUIT to the new one, no process runs its binary any more.
func rollbackOrder(e *examination) Check {
	const never = "let graft roll back (graft rollback); by hand never KILL or TERM the new master"
	const order = "graft sends HUP to the old master, waits until its workers run and answer, and only then QUIT to the new one"
	i := e.Instance
	switch {
	case i.OldMaster != 0:
		return warning(fmt.Sprintf("to take it back by hand: kill -HUP %d; wait for its workers; kill -QUIT %d", i.OldMaster, i.Master.PID),
			"master %d was born by USR2 of master %d, which still lives: ended before that one has workers again, nobody serves", i.Master.PID, i.OldMaster)
	case i.NewMaster != 0:
		return warning(fmt.Sprintf("to take it back by hand: kill -HUP %d; wait for its workers; kill -QUIT %d", i.Master.PID, i.NewMaster),
			"master %d already started master %d: ended before the old one has workers again, nobody serves", i.Master.PID, i.NewMaster)
	case coreOlder(e.build, "1.19.1") && unixListeners(i.Listen):
		return note(never, "the target is older than 1.19.1, and there are unix sockets: TERM to the new master would delete them under the old one. %s", order)
	}
	return ok("%s lives alone. For a rollback %s", e.master(), order)
}

// quitTooEarly tells what would deceive somebody who waits for the new master by hand. graft waits for what
// serves: the pid file holds a live child of the old master that runs the new binary, all its workers run,
// and every address is answered by one of them.
func quitTooEarly(e *examination) Check {
	const waits = "graft sends QUIT to the old master only after the pid file holds its live child running the new binary, all workers run and each address is answered by them"
	i := e.Instance
	if strings.Contains(i.PidFile.Error, "is empty") {
		return note(fmt.Sprintf("echo %d > %s", i.Master.PID, i.PidFile.Path),
			"%s is empty: `nginx -t` makes it so where there is none. That the file exists proves nothing; %s", i.PidFile.Path, waits)
	}
	if work := e.initWork(); len(work) > 0 {
		return note("", "the new master serves only after %s has run: nothing tells beforehand how long that takes. %s", strings.Join(work, ", "), waits)
	}
	return ok("%s", waits)
}

// initWork lists what a master runs before it has workers and a pid file.
func (e *examination) initWork() []string {
	var work []string
	for _, d := range e.Instance.Config.Find("init_by_lua", "init_by_lua_block", "init_by_lua_file") {
		work = append(work, fmt.Sprintf("%s (%s)", d.Name, d.Pos()))
	}
	return work
}
