package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Holder says who holds the host's lock.
type Holder struct {
	PID       int       `json:"pid"`
	Command   string    `json:"command"`
	Migration string    `json:"migration,omitempty"`
	Since     time.Time `json:"since"`
}

// HeldError says that another graft holds the lock.
type HeldError struct {
	Path   string
	Holder Holder // zero if it could not be read
}

func (e *HeldError) Error() string {
	if e.Holder.PID == 0 {
		return "another graft holds " + e.Path
	}
	return fmt.Sprintf("another graft holds the lock: pid %d, `%s`, since %s (%s)",
		e.Holder.PID, e.Holder.Command, e.Holder.Since.Local().Format(time.DateTime), e.Path)
}

// Lock is held until Release or the end of the process, however it ends: it is a flock, and the
// file stays.
type Lock struct{ file *os.File }

// Acquire takes the lock or fails at once with a *HeldError.
func Acquire(path string, holder Holder) (*Lock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("take the lock: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		held := &HeldError{Path: path}
		// The holder may be writing this very moment: then it stays unknown.
		_ = json.NewDecoder(file).Decode(&held.Holder)
		return nil, errors.Join(held, file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take the lock %s: %w", path, err), file.Close())
	}
	lock := &Lock{file: file}
	if err := lock.Describe(holder); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return lock, nil
}

// Describe changes what others are told about the holder.
func (l *Lock) Describe(holder Holder) error {
	data, err := json.Marshal(holder)
	if err != nil {
		return fmt.Errorf("describe the lock's holder: %w", err)
	}
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("describe the lock's holder: %w", err)
	}
	if _, err := l.file.WriteAt(append(data, '\n'), 0); err != nil {
		return fmt.Errorf("describe the lock's holder: %w", err)
	}
	return nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.file.Close() }
