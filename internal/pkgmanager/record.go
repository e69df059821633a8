package pkgmanager

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"graft/internal/durable"
)

// recordFile is in the migration's directory from before the first measure until after the last is taken
// back.
const recordFile = "package-guard.json"

// Record is what one migration added to the host, or was about to add.
type Record struct {
	Guard
	// GaveBack is the hash of the file that lies at the path again, if it is not the one that the
	// migration found: the package was upgraded meanwhile.
	GaveBack string `json:"gave_back,omitempty"`
	// Lifted: nothing of it is left on the host, and GaveBack is still worth knowing. Otherwise there is no
	// record then.
	Lifted bool `json:"lifted,omitempty"`
}

// ReadRecord returns the record in dir; the zero Record if there is none.
func ReadRecord(dir string) (Record, error) {
	var r Record
	data, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read the package guard's record: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", filepath.Join(dir, recordFile), err)
	}
	return r, nil
}

// Up tells whether something of the guard may be on the host.
func (r Record) Up() bool { return !r.Lifted && !r.Empty() }

func (r Record) write(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace("guard", filepath.Join(dir, recordFile), strings.NewReader(string(data)+"\n"), durable.Private(0o600))
}

// forget removes the record in dir.
func forget(dir string) error {
	if err := removeFile(filepath.Join(dir, recordFile)); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}
