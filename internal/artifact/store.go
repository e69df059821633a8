package artifact

import (
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"graft/internal/durable"
	"graft/internal/nginx"
)

// schema is the version of manifest.json that this program writes and reads.
const schema = 1

// minIDPrefix is how much of an ID a person must type at least.
const minIDPrefix = 4

// Errors that callers tell apart.
var (
	// ErrNotFound: no artifact, or no remembered build, by that name.
	ErrNotFound = errors.New("not found in the store")
	// ErrAmbiguous: the ID prefix fits several artifacts.
	ErrAmbiguous = errors.New("ambiguous")
	// ErrDamaged: what lies in the store is not what its manifest says.
	ErrDamaged = errors.New("damaged")
)

// Store is a directory of artifacts:
//
//	artifacts/ID/manifest.json
//	artifacts/ID/tree/…
//	builds/KEY                  the ID of the artifact that the build inputs KEY gave
//
// An artifact appears under its ID by one rename, whole and fsynced, and never changes after.
// Several processes may use one store.
type Store struct {
	artifacts string
	builds    string
}

// Open returns the store below dir (graft's state directory). Nothing is created before the first Put.
func Open(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open artifact store %s: %w", dir, err)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("open artifact store: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("open artifact store: %s is not a directory", abs)
	}
	return &Store{artifacts: filepath.Join(abs, "artifacts"), builds: filepath.Join(abs, "builds")}, nil
}

// Put copies tree into the store and returns the artifact. Of m the caller gives what describes the
// build; Put fills in Schema, Files, Libraries, ID and, if empty, Built. tree is only read. Putting
// the same tree with the same description again returns the artifact that is there already.
func (s *Store) Put(ctx context.Context, tree string, m Manifest) (Artifact, error) {
	a, err := s.put(m, func(to string) error { return copyTree(ctx, tree, to) })
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
	a, err := s.put(m, func(to string) error {
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
		return copyFile(ctx, path, filepath.Join(to, name), info.Mode().Perm())
	})
	if err != nil {
		return Artifact{}, fmt.Errorf("store binary %s: %w", path, err)
	}
	return a, nil
}

// put lets fill write the tree beside its place, describes it, and moves it there.
func (s *Store) put(m Manifest, fill func(tree string) error) (a Artifact, err error) {
	if err := durable.MkdirAll(s.artifacts, 0o755); err != nil {
		return Artifact{}, err
	}
	beside, err := os.MkdirTemp(s.artifacts, ".put-*")
	if err != nil {
		return Artifact{}, err
	}
	defer func() {
		if rmErr := os.RemoveAll(beside); rmErr != nil {
			err = errors.Join(err, rmErr)
		}
	}()
	// MkdirTemp gives 0700; a non-root owner of the nginx must be able to run the binary.
	if err := os.Chmod(beside, 0o755); err != nil {
		return Artifact{}, err
	}
	tree := filepath.Join(beside, treeName)
	if err := fill(tree); err != nil {
		return Artifact{}, err
	}
	if err := m.describe(tree); err != nil {
		return Artifact{}, err
	}
	if m.Built == "" {
		m.Built = time.Now().UTC().Format(time.RFC3339)
	}
	if err := writeManifest(filepath.Join(beside, manifestName), m); err != nil {
		return Artifact{}, err
	}
	if err := syncDirs(beside); err != nil {
		return Artifact{}, err
	}
	return s.place(beside, m.ID)
}

// place renames beside to the artifact's own directory, or finds it taken by an equal artifact.
func (s *Store) place(beside, id string) (Artifact, error) {
	dir := filepath.Join(s.artifacts, id)
	err := os.Rename(beside, dir)
	if err == nil {
		if err := durable.SyncDir(s.artifacts); err != nil {
			return Artifact{}, err
		}
		return s.Get(id)
	}
	if !errors.Is(err, fs.ErrExist) { // rename(2): EEXIST or ENOTEMPTY, Go maps both
		return Artifact{}, err
	}
	there, err := s.Get(id)
	if err == nil {
		err = there.Verify()
	}
	if err != nil {
		return Artifact{}, fmt.Errorf("the same artifact is stored already, but %w; remove %s and store it again", err, dir)
	}
	return there, nil
}

var idPrefix = regexp.MustCompile(`^[0-9a-f]+$`)

// Get returns the artifact whose ID is, or alone begins with, id. Its manifest is read and its ID
// checked against it; the tree is checked by Verify.
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

// List returns all artifacts, the newest first. One that cannot be read makes the list fail: the
// error names its directory.
func (s *Store) List() ([]Artifact, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	list := make([]Artifact, 0, len(ids))
	for _, id := range ids {
		a, err := s.read(id)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Artifact) int {
		return cmp.Or(strings.Compare(b.Manifest.Built, a.Manifest.Built), strings.Compare(a.Manifest.ID, b.Manifest.ID))
	})
	return list, nil
}

// Lookup returns the ID that was remembered for the build inputs key, or an error that is ErrNotFound.
func (s *Store) Lookup(key string) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(s.builds, key))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("build %s: %w", key, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("look up build: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// Remember records that the build inputs key gave the artifact id. A later call replaces it.
func (s *Store) Remember(key, id string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := durable.MkdirAll(s.builds, 0o755); err != nil {
		return fmt.Errorf("remember build: %w", err)
	}
	if err := durable.Replace("remember", filepath.Join(s.builds, key), strings.NewReader(id+"\n"), durable.Private(0o644)); err != nil {
		return fmt.Errorf("remember build: %w", err)
	}
	return nil
}

// checkKey keeps a key from being a path: keys are hexadecimal hashes.
func checkKey(key string) error {
	if !idPrefix.MatchString(key) {
		return fmt.Errorf("build key %q: not a hexadecimal hash", key)
	}
	return nil
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
		if e.IsDir() && len(e.Name()) == hex.EncodedLen(sha256.Size) && idPrefix.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

func (s *Store) read(id string) (Artifact, error) {
	dir := filepath.Join(s.artifacts, id)
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return Artifact{}, fmt.Errorf("read artifact %s: %w", id, err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Artifact{}, fmt.Errorf("read artifact %s: %s: %w", id, filepath.Join(dir, manifestName), err)
	}
	if m.Schema != schema {
		return Artifact{}, fmt.Errorf("read artifact %s: manifest of schema %d, this graft reads schema %d: use the graft that wrote it", id, m.Schema, schema)
	}
	sum, err := m.sum()
	if err != nil {
		return Artifact{}, fmt.Errorf("read artifact %s: %w", id, err)
	}
	if m.ID != id || sum != id {
		return Artifact{}, fmt.Errorf("read artifact %s: its manifest is %w: the manifest's own hash is %s", dir, ErrDamaged, sum)
	}
	return Artifact{Dir: dir, Manifest: m}, nil
}

// describe fills in what follows from the tree: Files, Libraries and ID.
func (m *Manifest) describe(tree string) error {
	files, err := scanTree(tree)
	if err != nil {
		return err
	}
	m.Schema, m.Files = schema, files
	if m.Flags == nil {
		m.Flags = []Flag{}
	}
	if m.Build.Configure == nil {
		m.Build.Configure = []string{}
	}
	if err := checkLinks(files); err != nil {
		return err
	}
	at, ok := slices.BinarySearchFunc(files, m.Binary, func(f File, path string) int { return strings.Compare(f.Path, path) })
	if !ok || files[at].SHA256 == "" {
		return fmt.Errorf("no binary at %q in the tree", m.Binary)
	}
	if files[at].Mode&0o111 == 0 {
		return fmt.Errorf("binary %s is not executable (mode %v)", m.Binary, files[at].Mode)
	}
	if m.Libraries, err = neededLibraries(filepath.Join(tree, m.Binary)); err != nil {
		return err
	}
	m.ID, err = m.sum()
	return err
}

// sum is the manifest's ID as Manifest defines it.
func (m Manifest) sum() (string, error) {
	m.ID, m.Built = "", ""
	text, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("hash manifest: %w", err)
	}
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:]), nil
}

// neededLibraries returns the DT_NEEDED entries of the ELF file at path; none for a static one.
func neededLibraries(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s as an ELF executable: %w", path, err)
	}
	defer f.Close()
	libs, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("read needed libraries of %s: %w", path, err)
	}
	if libs == nil {
		libs = []string{}
	}
	return libs, nil
}
