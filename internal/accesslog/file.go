package accesslog

import (
	"errors"
	"fmt"
	"io"
	"os"
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

// lastLineEnd is the offset behind the last whole line.
func lastLineEnd(file *os.File) (int64, error) {
	st, err := file.Stat()
	if err != nil {
		return 0, err
	}
	buf := make([]byte, readSize)
	for end := st.Size(); end > 0; {
		from := max(end-readSize, 0)
		n, err := file.ReadAt(buf[:end-from], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if whole := wholeLines(buf[:n]); whole > 0 {
			return from + int64(whole), nil
		}
		end = from
	}
	return 0, nil
}
