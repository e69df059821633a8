package artifact

import (
	"bytes"
	"fmt"
	"path/filepath"

	"graft/internal/durable"
)

const (
	manifestName = "manifest.json"
	treeName     = "tree"
)

// Artifact is one build in the store.
type Artifact struct {
	Dir      string // absolute
	Manifest Manifest
}

// Tree is the directory whose entries lie at the same paths below / on a host.
func (a Artifact) Tree() string { return filepath.Join(a.Dir, treeName) }

// BinaryPath is where the nginx binary lies in the store.
func (a Artifact) BinaryPath() string {
	return filepath.Join(a.Tree(), filepath.FromSlash(a.Manifest.Binary))
}

// Verify reads the whole tree and compares it with the manifest: every file's hash, size, mode and
// link, nothing missing, nothing extra. The error is ErrDamaged and names the first difference.
func (a Artifact) Verify() error {
	files, err := scanTree(a.Tree(), hashFile)
	if err != nil {
		return fmt.Errorf("verify artifact %s: %w", a.Manifest.ID, err)
	}
	if what := firstDifference(a.Manifest.Files, files); what != "" {
		return fmt.Errorf("verify artifact %s: %w: %s", a.Dir, ErrDamaged, what)
	}
	return nil
}

// firstDifference compares two sorted listings.
func firstDifference(want, got []File) string {
	for i := 0; i < len(want) || i < len(got); i++ {
		switch {
		case i >= len(got) || i < len(want) && want[i].Path < got[i].Path:
			return want[i].Path + " is missing"
		case i >= len(want) || got[i].Path < want[i].Path:
			return got[i].Path + " is not in the manifest"
		}
		w, g := want[i], got[i]
		switch {
		case w.Mode != g.Mode:
			return fmt.Sprintf("%s has mode %v, the manifest says %v", w.Path, g.Mode, w.Mode)
		case w.Link != g.Link:
			return fmt.Sprintf("%s is a link to %q, the manifest says %q", w.Path, g.Link, w.Link)
		case w.Size != g.Size || w.SHA256 != g.SHA256:
			return fmt.Sprintf("%s has other content: %d bytes, sha256 %s; the manifest says %d bytes, %s", w.Path, g.Size, g.SHA256, w.Size, w.SHA256)
		}
	}
	return ""
}

func writeManifest(path string, m Manifest) error {
	text, err := m.encode()
	if err != nil {
		return err
	}
	return durable.Replace("manifest", path, bytes.NewReader(text), durable.Private(0o644))
}
