package artifact

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Get returns the artifact whose ID is, or alone begins with, id. Its manifest is read and checked, its
// ID against it too; the tree is checked by Verify.
func (s *Store) Get(id string) (Artifact, error) {
	if len(id) < minIDPrefix || !idPrefix.MatchString(id) {
		return Artifact{}, fmt.Errorf("artifact %q: %w: an artifact is named by the first %d or more hexadecimal digits of its ID", id, ErrNotFound, minIDPrefix)
	}
	ids, err := s.ids()
	if err != nil {
		return Artifact{}, err
	}
	ids = slices.DeleteFunc(ids, func(full string) bool { return !strings.HasPrefix(full, id) })
	switch len(ids) {
	case 0:
		return Artifact{}, fmt.Errorf("artifact %s: %w (%s)", id, ErrNotFound, s.artifacts)
	case 1:
		return s.read(ids[0])
	}
	return Artifact{}, fmt.Errorf("artifact %s: %w: %s; type more digits", id, ErrAmbiguous, strings.Join(ids, ", "))
}

// Broken is an artifact that cannot be read.
type Broken struct {
	ID  string
	Dir string // absolute
	Err error
}

// List returns the artifacts, the newest first, and apart from them those that cannot be read.
func (s *Store) List() ([]Artifact, []Broken, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, nil, err
	}
	list, broken := make([]Artifact, 0, len(ids)), []Broken{}
	for _, id := range ids {
		a, err := s.read(id)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !exists(filepath.Join(s.artifacts, id)):
			// Removed since the directory was read.
		case err != nil:
			broken = append(broken, Broken{ID: id, Dir: filepath.Join(s.artifacts, id), Err: err})
		default:
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b Artifact) int {
		return cmp.Or(strings.Compare(b.Manifest.Built, a.Manifest.Built), strings.Compare(a.Manifest.ID, b.Manifest.ID))
	})
	return list, broken, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// ids lists the directories that are artifacts, sorted. Names with a dot are unfinished ones.
func (s *Store) ids() ([]string, error) {
	entries, err := os.ReadDir(s.artifacts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list artifacts: %w", err)
	}
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.IsDir() && IsID(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// IsID tells whether the text is a whole ID.
func IsID(text string) bool {
	return len(text) == hex.EncodedLen(sha256.Size) && idPrefix.MatchString(text)
}

func (s *Store) read(id string) (Artifact, error) {
	dir := filepath.Join(s.artifacts, id)
	text, err := readManifest(filepath.Join(dir, manifestName))
	if err != nil {
		return Artifact{}, fmt.Errorf("read artifact %s: %w", id, err)
	}
	m, err := decodeManifest(text)
	if err != nil {
		return Artifact{}, fmt.Errorf("read artifact %s: it is %w: %w", dir, ErrDamaged, err)
	}
	if m.ID != id {
		return Artifact{}, fmt.Errorf("read artifact %s: it is %w: its manifest is that of %s", dir, ErrDamaged, m.ID)
	}
	return Artifact{Dir: dir, Manifest: m}, nil
}

// readManifest reads no more than a manifest may have.
func readManifest(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxManifest+1))
}
