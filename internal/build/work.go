package build

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workLock is held by the build that a work directory belongs to, as long as it lives.
const workLock = "lock"

// makeWork makes a directory for one build, and removes those of builds that were killed: each takes some
// 250 MB. done removes it.
func makeWork(dir string) (work string, done func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	if err := sweepWork(dir); err != nil {
		return "", nil, err
	}
	if work, err = os.MkdirTemp(dir, "build-*"); err != nil {
		return "", nil, err
	}
	f, err := os.OpenFile(filepath.Join(work, workLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(work))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return "", nil, errors.Join(err, f.Close(), os.RemoveAll(work))
	}
	return work, func() error { return errors.Join(os.RemoveAll(work), f.Close()) }, nil
}

// sweepWork leaves alone what has no lock file yet: another build is about to make one.
func sweepWork(dir string) error {
	locks, err := filepath.Glob(filepath.Join(dir, "build-*", workLock))
	if err != nil {
		return err
	}
	for _, path := range locks {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue // gone since, or another user's
		}
		if err != nil {
			return err
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = os.RemoveAll(filepath.Dir(path))
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
