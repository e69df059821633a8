package elffile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Tree is a directory of this machine that is to lie elsewhere on the target host, such as an artifact's
// runtime.
type Tree struct {
	Dir string // on this machine
	At  string // on the target host, absolute
}

// host is the target host's file system: paths are its own, links are followed as it would.
type host struct {
	root  string
	trees []Tree
}

const maxLinks = 40 // MAXSYMLINKS of the kernel

// find returns where this machine has the host's file. Its error is fs.ErrNotExist if there is none.
func (h host) find(name string) (string, error) {
	for range maxLinks {
		here, next, err := h.step(name)
		if err != nil || next == "" {
			return here, err
		}
		name = next
	}
	return "", fmt.Errorf("%s: %w", name, syscall.ELOOP)
}

// step goes along the path up to its first link. With none, here is the file on this machine; else next
// is the path with the link's target put in.
func (h host) step(name string) (here, next string, err error) {
	at := "/"
	here = h.here(at)
	for rest := name; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if part == "" || part == "." {
			continue
		}
		dir := at
		// No link is left in what was passed, so ".." is the directory above by its name, too.
		at = path.Join(at, part)
		here = h.here(at)
		st, err := os.Lstat(here)
		switch {
		case errors.Is(err, fs.ErrNotExist) && h.leadsToTree(at):
		case errors.Is(err, syscall.ENOTDIR):
			return "", "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		case err != nil:
			return "", "", err
		case st.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(here)
			if err != nil {
				return "", "", err
			}
			if !path.IsAbs(target) {
				target = dir + "/" + target
			}
			return "", target + "/" + rest, nil
		}
	}
	return here, "", nil
}

// here is where this machine has a path of the host, links in it apart. What a tree has is put over what
// the host has.
func (h host) here(name string) string {
	for _, t := range h.trees {
		rel, ok := strings.CutPrefix(name, strings.TrimSuffix(path.Clean(t.At), "/"))
		if !ok || rel != "" && rel[0] != '/' {
			continue
		}
		in := filepath.Join(t.Dir, rel)
		if _, err := os.Lstat(in); err == nil {
			return in
		}
	}
	return filepath.Join(h.root, name)
}

// leadsToTree: a directory that only staging will make.
func (h host) leadsToTree(name string) bool {
	for _, t := range h.trees {
		if strings.HasPrefix(path.Clean(t.At), name+"/") {
			return true
		}
	}
	return false
}

// open opens a regular file of the host.
func (h host) open(name string) (*os.File, error) {
	here, err := h.find(name)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(here, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file", here))
	}
	return f, nil
}

// text reads a configuration file of at most limit bytes.
func (h host) text(name string, limit int64) ([]byte, error) {
	f, err := h.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return data, err
}

// isDir tells whether the host has a directory there.
func (h host) isDir(name string) bool {
	here, err := h.find(name)
	if err != nil {
		return false
	}
	st, err := os.Stat(here)
	return err == nil && st.IsDir()
}
