package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"graft/internal/durable"
	"graft/internal/fault"
	"graft/internal/nginx"
)

// Put copies tree into the store and returns the artifact. Of m the caller gives what describes the
// build; Put fills in Schema, Files, Libraries, ID and, if empty, Built. tree is only read. Putting
// the same tree with the same description again returns the artifact that is there already. What
// Import would refuse is refused here as well, with a *RefusedError.
func (s *Store) Put(ctx context.Context, tree string, m Manifest) (Artifact, error) {
	a, err := s.put(ctx, m, func(to string) error { return copyTree(ctx, tree, to) })
	if err != nil {
		return Artifact{}, fmt.Errorf("store artifact of %s: %w", tree, err)
	}
	return a, nil
}

// PutBinary stores the binary at path as an artifact of its own: Kind "binary", no Prefix. b is what
// the binary says of itself. path may be /proc/PID/exe.
func (s *Store) PutBinary(ctx context.Context, path string, b nginx.Build) (Artifact, error) {
	const name = "nginx"
	m := Manifest{
		Name:    string(b.Flavor) + " " + b.Version,
		Flavor:  b.Flavor,
		Version: b.Version,
		Build:   b,
		Binary:  name,
		Source:  Source{Kind: "binary", Location: path},
		Flags:   []Flag{},
	}
	a, err := s.put(ctx, m, func(to string) error {
		// Stat follows the link: /proc/PID/exe is one.
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file: name an nginx binary", path)
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		return copyFile(ctx, path, filepath.Join(to, name), info.Mode().Perm()|0o400)
	})
	if err != nil {
		return Artifact{}, fmt.Errorf("store binary %s: %w", path, err)
	}
	return a, nil
}

// put lets fill write the tree beside its place, describes it, and moves it there.
func (s *Store) put(ctx context.Context, m Manifest, fill func(tree string) error) (a Artifact, err error) {
	d, err := s.draft(ctx)
	if err != nil {
		return Artifact{}, err
	}
	defer func() { err = errors.Join(err, d.discard()) }()
	if err := fill(d.tree()); err != nil {
		return Artifact{}, err
	}
	if m.Built == "" {
		m.Built = now()
	}
	if err := m.describe(d.tree()); err != nil {
		return Artifact{}, err
	}
	a, _, err = s.place(d, m)
	return a, err
}

// now is a time as a manifest's Built tells it.
func now() string { return time.Now().UTC().Format(time.RFC3339) }

// place makes the draft durable and renames it to the artifact's own directory, or finds that taken
// by an equal artifact: already.
func (s *Store) place(d *draft, m Manifest) (a Artifact, already bool, err error) {
	if err := writeManifest(filepath.Join(d.dir, manifestName), m); err != nil {
		return Artifact{}, false, err
	}
	if err := syncDirs(d.dir); err != nil {
		return Artifact{}, false, err
	}
	dir := filepath.Join(s.artifacts, m.ID)
	fault.Point("before-rename-artifact")
	err = os.Rename(d.dir, dir)
	fault.Point("after-rename-artifact")
	if err == nil {
		d.dir = ""
		if err := durable.SyncDir(s.artifacts); err != nil {
			return Artifact{}, false, err
		}
		a, err = s.Get(m.ID)
		return a, false, err
	}
	if !errors.Is(err, fs.ErrExist) { // rename(2): EEXIST or ENOTEMPTY, Go maps both
		return Artifact{}, false, err
	}
	there, err := s.Get(m.ID)
	if err == nil {
		err = there.Verify()
	}
	if err != nil {
		return Artifact{}, false, fmt.Errorf("the same artifact is stored already, but %w; remove %s and store it again", err, dir)
	}
	return there, true, nil
}
