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
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Export writes the artifact whose ID is or begins with id to w as one .tar.zst, and returns it. Each
// file is compared with the manifest as it is read: an error that is ErrDamaged says what differs, and
// what w got until then is cut short, so that no import takes it. Equal IDs give equal bytes.
func (s *Store) Export(ctx context.Context, id string, w io.Writer) (Artifact, error) {
	a, err := s.Get(id)
	if err != nil {
		return Artifact{}, err
	}
	if err := a.export(ctx, w); err != nil {
		return Artifact{}, fmt.Errorf("export artifact %s: %w", a.Manifest.ID, err)
	}
	return a, nil
}

func (a Artifact) export(ctx context.Context, w io.Writer) error {
	if err := a.checkShape(); err != nil {
		return err
	}
	encoder, err := newEncoder(w)
	if err != nil {
		return err
	}
	if err := a.writeTar(ctx, encoder); err != nil {
		// Only a complete archive gets an end.
		encoder.Reset(io.Discard)
		return errors.Join(err, encoder.Close())
	}
	return encoder.Close()
}

// writeTar writes the archive inside the compression.
func (a Artifact) writeTar(ctx context.Context, w io.Writer) error {
	m := a.Manifest
	m.Built = "" // when this host got it is not part of the artifact
	text, err := m.encode()
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	if err := archive.WriteHeader(manifestHeader(int64(len(text)))); err != nil {
		return err
	}
	if _, err := archive.Write(text); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := archive.WriteHeader(f.header()); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if f.SHA256 == "" {
			continue
		}
		if err := a.writeFile(ctx, archive, f); err != nil {
			return err
		}
	}
	return archive.Close()
}

// writeFile writes one file's content and compares its hash.
func (a Artifact) writeFile(ctx context.Context, w io.Writer, f File) error {
	file, err := os.OpenFile(filepath.Join(a.Tree(), filepath.FromSlash(f.Path)), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(reader{ctx, file}, f.Size))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != f.Size || got != f.SHA256 {
		return fmt.Errorf("%w: %s has other content: %d bytes, sha256 %s; the manifest says %d bytes, %s", ErrDamaged, f.Path, n, got, f.Size, f.SHA256)
	}
	return nil
}

// checkShape compares the tree with the manifest in all but the files' content, which is read later.
func (a Artifact) checkShape() error {
	files, err := scanTree(a.Tree(), noHash)
	if err != nil {
		return err
	}
	want := slices.Clone(a.Manifest.Files)
	for i := range want {
		if want[i].SHA256 != "" {
			want[i].SHA256 = notHashed
		}
	}
	if what := firstDifference(want, files); what != "" {
		return fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	return nil
}

// FileName is what an exported artifact is called: "graft-openresty-1.27.1.1-0123456789ab.tar.zst".
func (m Manifest) FileName() string {
	plain := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '+':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return ' '
	}
	words := strings.Join(strings.Fields(strings.Map(plain, m.Name)), "-")
	if len(words) > 100 {
		words = words[:100]
	}
	if words == "" {
		words = "artifact"
	}
	return fmt.Sprintf("graft-%s-%.12s.tar.zst", words, m.ID)
}
