package artifact

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// unpack writes the manifest's files below dir/tree. The archive has to hold them in the manifest's
// order. Nothing is written for an entry before it was compared with the manifest, nothing ever through
// a link (links come last), and dir is not left even if both failed: os.Root.
func (o *opened) unpack(ctx context.Context, m Manifest, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return &localError{err}
	}
	defer root.Close()
	u := unpacker{root: root, made: map[string]bool{}}
	if err := u.mkdirAll(treeName); err != nil {
		return err
	}
	known := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		known[f.Path] = true
	}
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return &localError{err}
		}
		if err := o.next(f, known); err != nil {
			return err
		}
		if err := u.write(f, o.tar); err != nil {
			return err
		}
	}
	for _, f := range m.Files {
		if f.Link == "" {
			continue
		}
		if err := root.Symlink(f.Link, path.Join(treeName, f.Path)); err != nil {
			return &localError{err}
		}
	}
	return nil
}

// next goes to the next entry, which has to be that of f.
func (o *opened) next(f File, known map[string]bool) error {
	h, err := o.tar.Next()
	if errors.Is(err, io.EOF) && !o.frame.cut {
		return refuse(f.Path, RuleListed, "it is missing: the archive ends before it")
	}
	if err != nil {
		return err
	}
	if err := checkHeader(h); err != nil {
		return err
	}
	name, err := treePath(h)
	if err != nil {
		return err
	}
	want := f.header()
	switch {
	case !known[name]:
		return refuse(h.Name, RuleListed, "it is not in the manifest")
	case name < f.Path:
		return refuse(h.Name, RuleListed, "it was there before, or is not in the manifest's order")
	case name > f.Path:
		return refuse(want.Name, RuleListed, "it is missing, or not in the manifest's order: %s is in its place", printable(name))
	case h.Typeflag != want.Typeflag || h.Name != want.Name:
		return refuse(h.Name, RuleType, "the manifest lists it as %s", f.kind())
	case h.Linkname != f.Link:
		return refuse(h.Name, RuleLink, "it leads to %s; the manifest says %s", printable(h.Linkname), f.Link)
	case h.Mode != want.Mode:
		return refuse(h.Name, RuleMode, "%#o; the manifest says %#o", h.Mode, want.Mode)
	case h.Size != f.Size:
		return refuse(h.Name, RuleSize, "it has %d bytes; the manifest says %d", h.Size, f.Size)
	}
	return nil
}

// unpacker writes below a directory that it does not leave.
type unpacker struct {
	root *os.Root
	made map[string]bool
}

// write writes the file or directory; a link only when all files are there.
func (u *unpacker) write(f File, content *tar.Reader) error {
	name := path.Join(treeName, f.Path)
	if f.isDir() {
		return u.mkdirAll(name)
	}
	if err := u.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	if f.Link != "" {
		return nil
	}
	file, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return &localError{err}
	}
	if err := fillFile(file, f, content); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return &localError{err}
	}
	return nil
}

// fillFile writes the content, which has to be what the manifest says, and makes it durable.
func fillFile(file *os.File, f File, content *tar.Reader) error {
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(localWriter{file}, sum), content, f.Size); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return refuse(f.Path, RuleContent, "its SHA-256 is %s; the manifest says %s", got, f.SHA256)
	}
	if err := file.Chmod(f.Mode); err != nil {
		return &localError{err}
	}
	if err := file.Sync(); err != nil {
		return &localError{err}
	}
	return nil
}

func (u *unpacker) mkdirAll(dir string) error {
	if dir == "." || u.made[dir] {
		return nil
	}
	if err := u.mkdirAll(path.Dir(dir)); err != nil {
		return err
	}
	if err := u.root.Mkdir(dir, dirMode); err != nil {
		return &localError{err}
	}
	// Whatever the umask.
	if err := u.root.Chmod(dir, dirMode); err != nil {
		return &localError{err}
	}
	u.made[dir] = true
	return nil
}

// localWriter marks the errors of writing here.
type localWriter struct{ w io.Writer }

func (l localWriter) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if err != nil {
		err = &localError{fmt.Errorf("unpack: %w", err)}
	}
	return n, err
}
