package artifact

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/durable"
)

const (
	draftPrefix = ".put-"
	gonePrefix  = ".gone-"
)

// draft is an artifact that is being written. Its directory is locked (flock) as long as its writer
// lives, however that ends: what nobody locks is left over.
type draft struct {
	dir  string // empty once it is placed
	lock *os.File
}

// draft begins one. Between the making of the directory and its lock the store itself is locked, so
// that no draft ever seems left over.
func (s *Store) draft(ctx context.Context) (*draft, error) {
	if err := durable.MkdirAll(s.artifacts, 0o755); err != nil {
		return nil, err
	}
	store, err := lockDir(ctx, s.artifacts)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	dir, err := os.MkdirTemp(s.artifacts, draftPrefix+"*")
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	d := &draft{dir: dir, lock: lock}
	// MkdirTemp gives 0700; a non-root owner of the nginx must be able to run the binary.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(err, d.discard())
	}
	return d, nil
}

func (d *draft) tree() string { return filepath.Join(d.dir, treeName) }

// discard removes what was not placed.
func (d *draft) discard() error {
	return errors.Join(os.RemoveAll(d.dir), d.lock.Close())
}

// lockPoll is how often a taken lock is asked for. Both locks of the store are held for
// milliseconds, but by a stopped process for as long as it is stopped.
const lockPoll = 10 * time.Millisecond

// lockDir waits for the lock on the directory until ctx is done. Closing the file gives it back.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	for {
		f, err := tryLockDir(dir)
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock on %s: %w", dir, ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// tryLockDir returns no file if another process, or another part of this one, holds the lock.
func tryLockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}
