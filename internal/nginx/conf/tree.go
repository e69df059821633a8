package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// maxFile bounds one configuration file. Real ones of hundreds of megabytes (geo tables) exist.
const maxFile = 1 << 30

// tree reads files by absolute path under a root directory, as a process with that root would:
// symbolic links, absolute ones too, are resolved inside it. root "/" is the host's own tree.
type tree struct {
	root *os.Root // nil for the host's own
}

// openTree opens dir as a root. A process's own view is /proc/PID/root.
func openTree(dir string) (*tree, error) {
	if dir == "" || dir == "/" {
		return &tree{}, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	return &tree{root}, nil
}

func (t *tree) close() error {
	if t.root == nil {
		return nil
	}
	return t.root.Close()
}

// read returns a file's content. What is neither file nor directory reads as empty: nginx goes by
// its size, which is 0.
func (t *tree) read(name string) ([]byte, error) {
	// O_NONBLOCK: opening a FIFO would wait for a writer.
	f, err := t.open(name, os.O_RDONLY|syscall.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return nil, &fs.PathError{Op: "pread", Path: name, Err: syscall.EISDIR}
	case !info.Mode().IsRegular():
		return nil, nil
	case info.Size() > maxFile:
		return nil, &fs.PathError{Op: "read", Path: name, Err: syscall.EFBIG}
	}
	data := make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data[:n], nil
}

func (t *tree) open(name string, flag int) (*os.File, error) {
	if t.root == nil {
		return os.OpenFile(name, flag, 0)
	}
	real, err := t.resolve(name)
	if err != nil {
		return nil, err
	}
	return t.root.OpenFile(relative(real), flag, 0)
}

// names lists a directory, sorted by byte, without "." and "..".
func (t *tree) names(dir string) ([]string, error) {
	f, err := t.open(dir, os.O_RDONLY|syscall.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	sort.Strings(names)
	return names, err
}

// exists tells whether there is something of that name, a dangling symbolic link included.
func (t *tree) exists(name string) bool {
	if t.root == nil {
		_, err := os.Lstat(name)
		return err == nil
	}
	dir, err := t.resolve(path.Dir(name))
	if err != nil {
		return false
	}
	_, err = t.root.Lstat(relative(path.Join(dir, path.Base(name))))
	return err == nil
}

// maxLinks is the kernel's own limit on symbolic links in one path.
const maxLinks = 40

// resolve returns name without symbolic links. os.Root by itself refuses absolute links, which mean
// the root here; it still guards against one that appears after this look.
func (t *tree) resolve(name string) (string, error) {
	done, links := "/", 0
	rest := strings.Split(name, "/")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		info, err := t.root.Lstat(relative(next))
		if err != nil {
			return "", &fs.PathError{Op: "open", Path: name, Err: errors.Unwrap(err)}
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
		}
		target, err := t.root.Readlink(relative(next))
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}

// relative turns an absolute path into os.Root's kind.
func relative(name string) string {
	if name = strings.TrimLeft(name, "/"); name == "" {
		return "."
	}
	return name
}
