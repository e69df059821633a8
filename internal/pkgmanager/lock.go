package pkgmanager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lock keeps apt and dpkg from beginning, and waits as long as patience for one that is at work: it has
// read the diversions already. dpkg-divert itself takes no lock.
func (h Host) lock(ctx context.Context, patience time.Duration) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	frontend, err := h.acquire(ctx, "lock-frontend")
	if err != nil {
		return nil, err
	}
	// Before 1.19.1 dpkg knows this one alone.
	database, err := h.acquire(ctx, "lock")
	if err != nil {
		return nil, errors.Join(err, frontend.Close())
	}
	if err := database.Close(); err != nil {
		return nil, errors.Join(err, frontend.Close())
	}
	return func() { frontend.Close() }, nil
}

// acquire locks the file as dpkg does; closing it unlocks it.
func (h Host) acquire(ctx context.Context, name string) (*os.File, error) {
	path := h.below(adminDir + "/" + name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("lock dpkg's database: %w", err)
	}
	for {
		whole := unix.Flock_t{Type: unix.F_WRLCK}
		err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &whole)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			return nil, errors.Join(&fs.PathError{Op: "lock", Path: path, Err: err}, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock dpkg's database: %s", holder(f)), f.Close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// AwaitDpkg gives a dpkg that is at work a moment to end, without taking its lock: it writes down what it has
// installed after it has put the files in place. Its scripts may take minutes: then what is known by the end
// of patience has to do.
func (h Host) AwaitDpkg(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	f, err := os.Open(h.below(adminDir + "/lock"))
	if err != nil {
		return // no dpkg
	}
	defer f.Close()
	for {
		if _, locked := lockedBy(f); !locked {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// holder says who has the lock.
func holder(f *os.File) string {
	pid, known := lockedBy(f)
	if !known {
		return f.Name() + " is locked: a package manager is at work; try again when it has ended"
	}
	return fmt.Sprintf("%s is locked by process %d: a package manager is at work; try again when it has ended", f.Name(), pid)
}

// lockedBy asks who has a lock on the file, and takes none.
func lockedBy(f *os.File) (pid int32, locked bool) {
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &whole)
	return whole.Pid, err == nil && whole.Type != unix.F_UNLCK
}
