package migrate

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unsetLogin is the kernel's word for a process that nobody logged in for.
const unsetLogin = 1<<32 - 1

// caller says who is at the other end of a unix socket: as the kernel knows it, and what that end says of
// itself, which root alone may.
func caller(conn net.Conn, says string) string {
	raw, ok := conn.(*net.UnixConn)
	if !ok {
		return "somebody"
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return "somebody"
	}
	var cred *unix.Ucred
	if controlErr := control.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); controlErr != nil || err != nil {
		return "somebody"
	}
	return who(int(cred.Uid), int(cred.Pid), says)
}

// Self says who runs this process.
func Self() string { return who(os.Getuid(), os.Getpid(), os.Getenv("SUDO_USER")) }

// who names the user behind a process: who logged in, or who used sudo, and as whom it runs.
func who(uid, pid int, says string) string {
	runs := named(uid)
	for _, other := range []string{login(pid), says} {
		if other != "" && other != runs && uid == 0 {
			return fmt.Sprintf("%s (as %s)", other, runs)
		}
	}
	return runs
}

// login is the user that the process's session began with; empty if it is not known.
func login(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", pid))
	if err != nil {
		return ""
	}
	uid, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || uid == unsetLogin {
		return ""
	}
	return named(int(uid))
}

func named(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return fmt.Sprintf("uid %d", uid)
	}
	return u.Username
}
