package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
//	artifacts/.put-*            one that is being written, locked by its writer
//	artifacts/.gone-*           what is being removed
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

var idPrefix = regexp.MustCompile(`^[0-9a-f]+$`)
