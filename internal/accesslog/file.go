package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"graft/internal/procfs"
)

// openLog opens a regular file for reading. A log may be a pipe, a terminal or /dev/null, which
// must not be read, nor even be waited for.
func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) {
		return nil, fmt.Errorf("%s is no regular file: %w", path, ErrUnobservable)
	}
	if err != nil {
		return nil, err
	}
	st, err := file.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file: %w", path, ErrUnobservable)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// fileID identifies an open file.
func fileID(file *os.File) (procfs.FileID, error) {
	st, err := file.Stat()
	if err != nil {
		return procfs.FileID{}, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return procfs.FileID{}, fmt.Errorf("%s: no inode", file.Name())
	}
	return procfs.FileID{Dev: sys.Dev, Inode: sys.Ino}, nil
}

// findFile opens the file of that identity under a name that begins with path, as rotation gives
// (access.log.1, access.log-20261103); nil if there is none.
func findFile(path string, id procfs.FileID) *os.File {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), filepath.Base(path)) {
			continue
		}
		file, err := openLog(filepath.Join(filepath.Dir(path), e.Name()))
		if err != nil {
			continue
		}
		if found, err := fileID(file); err == nil && found == id {
			return file
		}
		file.Close()
	}
	return nil
}

// lastLineEnd is the offset behind the last whole line.
func lastLineEnd(file *os.File) (int64, error) {
	st, err := file.Stat()
	if err != nil {
		return 0, err
	}
	from := max(st.Size()-maxLine, 0)
	buf := make([]byte, st.Size()-from)
	n, err := file.ReadAt(buf, from)
	if err != nil && n < len(buf) {
		return 0, err
	}
	if end := bytes.LastIndexByte(buf, '\n'); end >= 0 || from == 0 {
		return from + int64(end) + 1, nil
	}
	return st.Size(), nil // in the midst of a very long line
}
