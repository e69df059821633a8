package rehearse

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"graft/internal/procfs"
)

// niceness leaves the clone a tenth of a core that the host's own work wants as well: enough to come to
// an end on a busy host.
const niceness = 10

// standBack lets the host's own work go before that of a session, whose leader is pid: by niceness, and,
// where the kernel shares the cores out among sessions first (sched(7), autogroups), by the session's own.
// Whatever of it fails, the rehearsal is the same.
func standBack(pfs procfs.FS, pid int) {
	_ = unix.Setpriority(unix.PRIO_PGRP, pid, niceness)
	_ = os.WriteFile(pfs.Path(pid, "autogroup"), []byte(strconv.Itoa(niceness)), 0)
}

// spareOthers makes this process, and what it starts, the first to go when memory runs out.
func spareOthers() {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
}
