package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lock waits until no other process downloads to the same place. The kernel gives the lock back when
// the process ends; the file stays, for removing it would let two processes lock different files.
func lock(ctx context.Context, path string, log *slog.Logger) (*os.File, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	for waited := false; ; waited = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if !waited {
			log.Info("another graft downloads this file, waiting for it", "lock", path)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("wait for the graft that holds %s: %w", path, err), f.Close())
		}
	}
}

// openRegular opens or makes a file of graft's own. It follows no link and waits for no pipe's reader:
// the directory may be one where others write.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		if errors.Is(err, unix.ELOOP) {
			return nil, fmt.Errorf("%w: a symbolic link lies there; remove it", err)
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file; remove it", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
