package nginx

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"graft/internal/procfs"
)

// Signal is one of the five that graft sends. There are no others: TERM and KILL lose requests.
type Signal string

// What each does to a master.
const (
	USR1  Signal = "USR1"  // reopen the logs
	USR2  Signal = "USR2"  // start the binary at argv[0] as a new master
	WINCH Signal = "WINCH" // end the workers gracefully, keep the sockets
	HUP   Signal = "HUP"   // reload; with a newer master alive: start workers again
	QUIT  Signal = "QUIT"  // end gracefully
)

// Process names one process for good: a pid comes back, a pid with this start time and boot does not.
type Process struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // clock ticks since boot
}

// Handle is a process held by a pidfd, proven to be the intended one when it was opened. Signals
// through it reach that process or none.
type Handle struct {
	Process
	fd int
}

// ErrGone says that the process has ended, or that its pid belongs to another one now.
var ErrGone = errors.New("the process is gone")

// Open takes hold of p and proves it: the start time is p's and it runs the file exe. The proof
// comes after the pidfd, so a pid reused in between is caught.
func Open(fs procfs.FS, p Process, exe procfs.FileID) (*Handle, error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, fmt.Errorf("pid %d: %w", p.PID, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open pidfd of %d: %w", p.PID, err)
	}
	if err := prove(fs, p, exe); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Handle{Process: p, fd: fd}, nil
}

func prove(fs procfs.FS, p Process, exe procfs.FileID) error {
	stat, err := fs.Stat(p.PID)
	if err != nil && procfs.Gone(err) {
		return fmt.Errorf("pid %d: %w", p.PID, ErrGone)
	}
	if err != nil {
		return fmt.Errorf("prove pid %d: %w", p.PID, err)
	}
	if stat.StartTime != p.StartTime || stat.State == 'Z' {
		return fmt.Errorf("pid %d started at %d, meant was the one of %d: %w", p.PID, stat.StartTime, p.StartTime, ErrGone)
	}
	running, err := fs.Exe(p.PID)
	if err != nil {
		return fmt.Errorf("prove pid %d: %w", p.PID, err)
	}
	if running.FileID != exe {
		return fmt.Errorf("pid %d runs %s (device %d, inode %d), not the file of device %d, inode %d: no signal is sent",
			p.PID, running.Path, running.Dev, running.Inode, exe.Dev, exe.Inode)
	}
	return nil
}

// Signal sends s.
func (h *Handle) Signal(s Signal) error {
	var number unix.Signal
	switch s {
	case USR1:
		number = unix.SIGUSR1
	case USR2:
		number = unix.SIGUSR2
	case WINCH:
		number = unix.SIGWINCH
	case HUP:
		number = unix.SIGHUP
	case QUIT:
		number = unix.SIGQUIT
	default:
		return fmt.Errorf("signal %q to %d: graft does not send it", s, h.PID)
	}
	err := unix.PidfdSendSignal(h.fd, number, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to %d: %w", s, h.PID, ErrGone)
	}
	if err != nil {
		return fmt.Errorf("send %s to %d: %w", s, h.PID, err)
	}
	return nil
}

// Close lets go of the process.
func (h *Handle) Close() error { return unix.Close(h.fd) }
