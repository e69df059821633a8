// Package durable replaces files so that a crash or a power loss at any instant leaves the old file
// or the new one, whole: write beside, fsync, rename, fsync the directory.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"graft/internal/fault"
)

// Replace puts what r holds at path, with the attributes, in one rename. label names the rename for
// fault points: "before-rename-LABEL" and "after-rename-LABEL".
func Replace(label, path string, r io.Reader, attrs Attributes) (err error) {
	beside, err := os.CreateTemp(filepath.Dir(path), besidePrefix(path)+"*")
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("replace %s: %w", path, err)
			if rmErr := os.Remove(beside.Name()); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
				err = errors.Join(err, rmErr)
			}
		}
	}()
	if _, err := io.Copy(beside, r); err != nil {
		return errors.Join(err, beside.Close())
	}
	if err := attrs.apply(beside); err != nil {
		return errors.Join(err, beside.Close())
	}
	if err := beside.Sync(); err != nil {
		return errors.Join(err, beside.Close())
	}
	if err := beside.Close(); err != nil {
		return err
	}
	fault.Point("before-rename-" + label)
	if err := os.Rename(beside.Name(), path); err != nil {
		return err
	}
	fault.Point("after-rename-" + label)
	return SyncDir(filepath.Dir(path))
}

func besidePrefix(path string) string { return "." + filepath.Base(path) + ".graft-" }

// Leftovers lists the files that a crash inside Replace may have left beside path.
func Leftovers(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var left []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), besidePrefix(path)) {
			left = append(left, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return left, nil
}

// SyncDir makes the directory's own entries durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

// MkdirAll creates dir and its missing parents and makes each new entry durable.
func MkdirAll(dir string, mode fs.FileMode) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if err := MkdirAll(parent, mode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}
