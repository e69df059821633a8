package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// copyTree copies regular files, directories and symbolic links from one directory to another that
// must not exist, and fsyncs each file. Anything else is refused, and more than an artifact may hold.
func copyTree(ctx context.Context, from, to string) error {
	if err := checkExtent(ctx, from); err != nil {
		return err
	}
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
			return makeDir(target)
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

// checkExtent fails before anything is copied that would be refused afterwards: somebody's whole disk.
func checkExtent(ctx context.Context, tree string) error {
	files, bytes := 0, int64(0)
	return filepath.WalkDir(tree, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			bytes += info.Size()
		}
		files++
		if files > 2*maxFiles || info.Mode().IsRegular() && info.Size() > maxFile || bytes > maxTree {
			return refuse(p, RuleSize, "more than %d bytes in a file, or %d in all, or %d files and directories", maxFile, maxTree, 2*maxFiles)
		}
		return nil
	})
}

// makeDir makes a directory of an artifact, whatever the umask.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, dirMode); err != nil {
		return err
	}
	return os.Chmod(dir, dirMode)
}

// writable are the bits that let others than the owner write. A build leaves them where the umask was
// lax; whoever may write a file of an artifact decides what root runs.
const writable fs.FileMode = 0o022

// copyFile copies one file's content to a new file, without the writable bits, and fsyncs it.
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
	if n, err := io.Copy(dst, io.LimitReader(reader{ctx, src}, maxFile+1)); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	} else if n > maxFile {
		return refuse(from, RuleSize, "it has more than %d bytes", maxFile)
	}
	if err := dst.Chmod(mode &^ writable); err != nil {
		return err
	}
	return dst.Sync()
}

// notHashed stands for the hash of a file whose content noHash did not read.
const notHashed = "not hashed"

// noHash looks at a file without reading it.
func noHash(path string) (sum string, size int64, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", 0, err
	}
	return notHashed, info.Size(), nil
}

// scanTree lists everything below tree, sorted by path. hash, which is hashFile or noHash, tells a
// file's hash and size.
func scanTree(tree string, hash func(path string) (string, int64, error)) ([]File, error) {
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
			if f.SHA256, f.Size, err = hash(p); err != nil {
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

// Modes that leave no choice: what lstat tells of every link, and what a directory gets here and on
// the host, so that workers find what lies in it.
const (
	linkMode fs.FileMode = 0o777
	dirMode  fs.FileMode = 0o755
)

// checkMode refuses bits that give rights to whoever runs the file: nothing of an nginx needs them.
func checkMode(entry string, mode fs.FileMode) error {
	if mode&^fs.ModePerm != 0 {
		return refuse(entry, RuleMode, "%v (%#o): set-user-ID, set-group-ID, sticky and unknown bits", mode, uint32(mode))
	}
	return nil
}

func checkFileMode(entry string, mode fs.FileMode) error {
	if mode&writable != 0 {
		return refuse(entry, RuleMode, "%v: others than the owner may write it", mode)
	}
	if mode&0o400 == 0 {
		return refuse(entry, RuleMode, "%v: its owner may not read it", mode)
	}
	return nil
}

func refuseType(entry string, mode fs.FileMode) error {
	return refuse(entry, RuleType, "%v: only files, directories and symbolic links are kept", mode.Type())
}

// reader notices between two reads that ctx is done. (The context of one copy, not kept longer.)
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
