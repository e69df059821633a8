package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// copyTree copies regular files, directories and symbolic links from one directory to another that
// must not exist, with their permission bits, and fsyncs each file. Anything else is refused.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch info.Mode().Type() {
		case fs.ModeDir:
			if err := os.Mkdir(target, 0o755); err != nil {
				return err
			}
			return os.Chmod(target, 0o755) // whatever the umask
		case fs.ModeSymlink:
			link, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case 0:
			if err := checkMode(rel, info.Mode()); err != nil {
				return err
			}
			return copyFile(ctx, p, target, info.Mode().Perm())
		}
		return refuseType(rel, info.Mode())
	})
}

// copyFile copies one file's content to a new file and fsyncs it.
func copyFile(ctx context.Context, from, to string, mode fs.FileMode) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := dst.Close(); err == nil {
			err = closeErr
		}
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	if err := dst.Chmod(mode); err != nil {
		return err
	}
	return dst.Sync()
}

// scanTree lists and hashes everything below tree, sorted by path.
func scanTree(tree string) ([]File, error) {
	files := []File{}
	err := filepath.WalkDir(tree, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(tree, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := File{Path: filepath.ToSlash(rel), Mode: info.Mode().Perm()}
		switch info.Mode().Type() {
		case fs.ModeDir:
			entries, err := os.ReadDir(p)
			if err != nil {
				return err
			}
			if len(entries) > 0 || p == tree {
				return nil
			}
		case fs.ModeSymlink:
			if f.Link, err = os.Readlink(p); err != nil {
				return err
			}
		case 0:
			if err := checkMode(rel, info.Mode()); err != nil {
				return err
			}
			if f.SHA256, f.Size, err = hashFile(p); err != nil {
				return err
			}
		default:
			return refuseType(rel, info.Mode())
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// WalkDir goes directory by directory: "a/b" comes before "a.c", by path it is the other way.
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

func hashFile(p string) (sum string, size int64, err error) {
	f, err := os.Open(p)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fmt.Errorf("hash %s: %w", p, err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// checkMode refuses bits that give rights to whoever runs the file: nothing of an nginx needs them.
func checkMode(rel string, mode fs.FileMode) error {
	if mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
		return fmt.Errorf("%s has mode %v: set-user-ID, set-group-ID and sticky files are refused", rel, mode)
	}
	return nil
}

func refuseType(rel string, mode fs.FileMode) error {
	return fmt.Errorf("%s is of type %v: only files, directories and symbolic links are kept", rel, mode.Type())
}

// checkLinks demands that every symbolic link leads to something in the tree, an absolute one as if
// the tree were the root (OpenResty's bin/openresty names the binary by its full path).
func checkLinks(files []File) error {
	known := map[string]bool{}
	for _, f := range files {
		for p := f.Path; p != "."; p = path.Dir(p) {
			known[p] = true
		}
	}
	for _, f := range files {
		if f.Link == "" {
			continue
		}
		target := f.Link
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(f.Path), target)
		}
		if target = strings.TrimPrefix(path.Clean(target), "/"); !known[target] {
			return fmt.Errorf("link %s leads to %s, which is not in the tree", f.Path, f.Link)
		}
	}
	return nil
}
