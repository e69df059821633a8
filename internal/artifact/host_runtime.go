package artifact

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/durable"
)

// Placement records which parts of an artifact's runtime a migration put on the host. It is written
// before the first file, so that whatever a crash leaves can be taken away again.
type Placement struct {
	Artifact string   `json:"artifact"`
	Files    []File   `json:"files"` // paths as in the manifest: below "/" on the host
	Dirs     []string `json:"dirs"`  // directories that were not there, parents first
}

const placementRecord = "placement.json"

// Conflicts lists the runtime's files that exist on the host below root with another content. Staging
// over them would change what another program runs.
func (a Artifact) Conflicts(root string) ([]string, error) {
	var conflicts []string
	for _, f := range a.Manifest.runtime() {
		same, exists, err := f.onHost(root)
		if err != nil {
			return nil, err
		}
		if exists && !same {
			conflicts = append(conflicts, "/"+f.Path)
		}
	}
	return conflicts, nil
}

// Place puts the runtime, everything under the manifest's Prefix, on the host below root ("/") and
// records in dir what was not there before. Called again, it goes on where it stopped.
func (a Artifact) Place(root, dir string) (Placement, error) {
	p, err := ReadPlacement(dir)
	if errors.Is(err, fs.ErrNotExist) {
		p, err = a.recordPlacement(root, dir)
	}
	if err != nil {
		return Placement{}, fmt.Errorf("stage artifact %s: %w", a.Manifest.ID, err)
	}
	for _, d := range p.Dirs {
		if err := makeHostDir(filepath.Join(root, d)); err != nil {
			return Placement{}, fmt.Errorf("stage artifact %s: %w", a.Manifest.ID, err)
		}
	}
	for _, f := range p.Files {
		if err := a.placeFile(root, f); err != nil {
			return Placement{}, fmt.Errorf("stage artifact %s: %w", a.Manifest.ID, err)
		}
	}
	return p, nil
}

func (a Artifact) recordPlacement(root, dir string) (Placement, error) {
	p := Placement{Artifact: a.Manifest.ID, Files: []File{}, Dirs: []string{}}
	for _, f := range a.Manifest.runtime() {
		same, exists, err := f.onHost(root)
		if err != nil {
			return Placement{}, err
		}
		if exists && !same {
			return Placement{}, fmt.Errorf("/%s exists with another content: build with another --openresty-prefix, or remove it if nothing uses it", f.Path)
		}
		if exists {
			continue
		}
		if err := outsideConfig(root, f.Path); err != nil {
			return Placement{}, err
		}
		p.Files = append(p.Files, f)
		p.Dirs = append(p.Dirs, missingParents(root, f.Path)...)
	}
	slices.Sort(p.Dirs)
	p.Dirs = slices.Compact(p.Dirs)
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return Placement{}, err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return Placement{}, err
	}
	record := filepath.Join(dir, placementRecord)
	return p, durable.Replace("placement", record, strings.NewReader(string(data)+"\n"), durable.Private(0o600))
}

// ReadPlacement returns the placement recorded in dir, or fs.ErrNotExist.
func ReadPlacement(dir string) (Placement, error) {
	data, err := os.ReadFile(filepath.Join(dir, placementRecord))
	if err != nil {
		return Placement{}, err
	}
	var p Placement
	if err := json.Unmarshal(data, &p); err != nil {
		return Placement{}, fmt.Errorf("read %s: %w", filepath.Join(dir, placementRecord), err)
	}
	return p, nil
}

// Remove takes what the placement put on the host away again, and its record in dir. A file that was
// changed since is left, and listed.
func (p Placement) Remove(root, dir string) (left []string, err error) {
	for _, f := range p.Files {
		same, exists, err := f.onHost(root)
		switch {
		case err != nil:
			return left, fmt.Errorf("remove staged files: %w", err)
		case !exists:
		case !same:
			left = append(left, "/"+f.Path)
		default:
			if err := os.Remove(filepath.Join(root, f.Path)); err != nil {
				return left, fmt.Errorf("remove staged files: %w", err)
			}
		}
	}
	for _, d := range slices.Backward(p.Dirs) {
		// Not empty: it holds something of somebody else's by now.
		if err := os.Remove(filepath.Join(root, d)); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return left, fmt.Errorf("remove staged files: %w", err)
		}
	}
	return left, p.Forget(dir)
}

// Forget removes the record alone: what it lists stays on the host.
func (p Placement) Forget(dir string) error {
	if err := os.Remove(filepath.Join(dir, placementRecord)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove staged files: %w", err)
	}
	return durable.SyncDir(dir)
}

// isDir: the manifest lists empty directories, which have neither hash nor target.
func (f File) isDir() bool { return f.SHA256 == "" && f.Link == "" }

// onHost compares the file with what lies at its place below root.
func (f File) onHost(root string) (same, exists bool, err error) {
	path := filepath.Join(root, f.Path)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	switch {
	case f.Link != "":
		link, err := os.Readlink(path)
		return err == nil && link == f.Link, true, nil
	case f.isDir():
		return info.IsDir(), true, nil
	case !info.Mode().IsRegular() || info.Size() != f.Size:
		return false, true, nil
	}
	return checkHash(path, f.SHA256) == nil, true, nil
}

func (a Artifact) placeFile(root string, f File) error {
	target := filepath.Join(root, f.Path)
	same, exists, err := f.onHost(root)
	switch {
	case err != nil:
		return err
	case same:
		return nil
	case exists:
		return fmt.Errorf("%s exists with another content", target)
	case f.Link != "":
		if err := os.Symlink(f.Link, target); err != nil {
			return err
		}
		return durable.SyncDir(filepath.Dir(target))
	case f.isDir():
		return makeHostDir(target)
	}
	return replaceFrom("runtime", target, filepath.Join(a.Tree(), f.Path), f.SHA256, durable.Private(f.Mode.Perm()))
}

// makeHostDir makes a directory that workers find files in, whatever umask graft was started with.
func makeHostDir(dir string) error {
	if err := durable.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	return os.Chmod(dir, dirMode)
}

// outsideConfig refuses to place a file where a link on the host leads into /etc: an administrator's
// /usr/local/openresty/nginx/conf may well be one.
func outsideConfig(root, path string) error {
	dir := filepath.Dir(filepath.Join(root, path))
	for !exists(dir) {
		dir = filepath.Dir(dir)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	etc, err := filepath.EvalSymlinks(filepath.Join(root, "etc"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if within(real, etc) {
		return refuse(path, RuleConfig, "on this host it would lie in %s", real)
	}
	return nil
}

func missingParents(root, path string) []string {
	var missing []string
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(root, dir)); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, dir)
		}
	}
	return missing
}
