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
