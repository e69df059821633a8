package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"graft/internal/durable"
)

// Exported is an artifact in a file.
type Exported struct {
	Artifact Artifact
	File     string
	Bytes    int64
	SHA256   string // of the file
}

// ExportFile exports the artifact to a new file, which appears whole and fsynced; with force it takes the
// place of one that is there. An empty path is FileName in the working directory.
func (s *Store) ExportFile(ctx context.Context, id, path string, force bool) (Exported, error) {
	a, err := s.Get(id)
	if err != nil {
		return Exported{}, err
	}
	if path == "" {
		path = a.Manifest.FileName()
	}
	if err := checkFree(path, force); err != nil {
		return Exported{}, fmt.Errorf("export artifact %s: %w", a.Manifest.ID, err)
	}
	e, err := a.exportFile(ctx, path, force)
	if err != nil {
		return Exported{}, fmt.Errorf("export artifact %s: %w", a.Manifest.ID, err)
	}
	return e, nil
}

func (a Artifact) exportFile(ctx context.Context, path string, force bool) (e Exported, err error) {
	beside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".graft-*")
	if err != nil {
		return e, err
	}
	defer func() {
		if err == nil {
			return
		}
		if rmErr := os.Remove(beside.Name()); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	e = Exported{Artifact: a, File: path}
	sum, size := sha256.New(), &counted{}
	if err := a.export(ctx, io.MultiWriter(beside, sum, size)); err != nil {
		return e, errors.Join(err, beside.Close())
	}
	e.Bytes, e.SHA256 = size.n, hex.EncodeToString(sum.Sum(nil))
	if err := errors.Join(beside.Chmod(0o644), beside.Sync(), beside.Close()); err != nil {
		return e, err
	}
	if err := rename(beside.Name(), path, force); err != nil {
		return e, err
	}
	return e, durable.SyncDir(filepath.Dir(path))
}

// checkFree fails early, before all is compressed. Nothing but a file is ever replaced: a rename over
// /dev/null would take it from the whole host.
func checkFree(path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is there and not a regular file: name a file, or - for standard output", path)
	case !force:
		return fmt.Errorf("%s is there already: %w (--force replaces it, --out names another)", path, fs.ErrExist)
	}
	return nil
}

func rename(from, to string, force bool) error {
	if force {
		return os.Rename(from, to)
	}
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a file system that cannot, such as NFS
		if err := checkFree(to, force); err != nil {
			return err
		}
		return os.Rename(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// counted counts bytes.
type counted struct{ n int64 }

func (c *counted) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
