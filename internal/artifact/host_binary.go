package artifact

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

// Backup is the running binary as it was before anything changed, with what a plain copy would lose.
// It stays until the operator removes it.
type Backup struct {
	Path       string             `json:"path"` // the copy
	SHA256     string             `json:"sha256"`
	Attributes durable.Attributes `json:"attributes"`
}

const (
	backupBinary = "nginx"
	backupRecord = "backup.json"
)

// TakeBackup copies the file behind exe, which is /proc/PID/exe, into dir and checks the copy's hash
// against want. A backup that is there already and whole is kept as it is.
func TakeBackup(exe, want, dir string) (Backup, error) {
	if b, err := ReadBackup(dir); err == nil && b.SHA256 == want {
		return b, nil
	}
	attrs, err := durable.ReadAttributes(exe)
	if err != nil {
		return Backup{}, fmt.Errorf("back up %s: %w", exe, err)
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return Backup{}, fmt.Errorf("back up %s: %w", exe, err)
	}
	b := Backup{Path: filepath.Join(dir, backupBinary), SHA256: want, Attributes: attrs}
	// The copy's own attributes are plain; the record keeps the original's, since the state
	// directory's file system may not take all of them.
	if err := replaceFrom("backup", b.Path, exe, want, durable.Private(0o700)); err != nil {
		return Backup{}, fmt.Errorf("back up %s: %w", exe, err)
	}
	record, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return Backup{}, fmt.Errorf("back up %s: %w", exe, err)
	}
	if err := durable.Replace("backup-record", filepath.Join(dir, backupRecord), strings.NewReader(string(record)+"\n"), durable.Private(0o600)); err != nil {
		return Backup{}, fmt.Errorf("back up %s: %w", exe, err)
	}
	return b, nil
}

// BackupPath is where TakeBackup puts the copy.
func BackupPath(dir string) string { return filepath.Join(dir, backupBinary) }

// ReadBackup returns the backup in dir after checking its hash.
func ReadBackup(dir string) (Backup, error) {
	data, err := os.ReadFile(filepath.Join(dir, backupRecord))
	if err != nil {
		return Backup{}, fmt.Errorf("read backup: %w", err)
	}
	var b Backup
	if err := json.Unmarshal(data, &b); err != nil {
		return Backup{}, fmt.Errorf("read backup %s: %w", filepath.Join(dir, backupRecord), err)
	}
	if err := checkHash(b.Path, b.SHA256); err != nil {
		return Backup{}, fmt.Errorf("read backup: %w", err)
	}
	return b, nil
}

// PutBack puts the backed-up binary at path, with all its attributes, and checks what then lies there.
func (b Backup) PutBack(path string) error {
	if err := replaceFrom("put-back", path, b.Path, b.SHA256, b.Attributes); err != nil {
		return fmt.Errorf("put the old binary back: %w", err)
	}
	return checkPlaced(path, b.SHA256, b.Attributes)
}

// Install puts the artifact's binary at path with the attributes of the one that it replaces.
func (a Artifact) Install(path string, attrs durable.Attributes) error {
	want, err := a.BinarySHA256()
	if err != nil {
		return err
	}
	if err := replaceFrom("swap", path, a.BinaryPath(), want, attrs); err != nil {
		return fmt.Errorf("install the new binary: %w", err)
	}
	return checkPlaced(path, want, attrs)
}

// BinarySHA256 is the hash that the manifest gives the binary.
func (a Artifact) BinarySHA256() (string, error) {
	for _, f := range a.Manifest.Files {
		if f.Path == a.Manifest.Binary {
			return f.SHA256, nil
		}
	}
	return "", fmt.Errorf("artifact %s: its manifest lists no file %s", a.Manifest.ID, a.Manifest.Binary)
}

// replaceFrom puts the content of from at path, but only if it hashes to want: it is read once, and
// checked before the rename.
func replaceFrom(label, path, from, want string, attrs durable.Attributes) error {
	if err := checkHash(from, want); err != nil {
		return err
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return durable.Replace(label, path, source, attrs)
}

func checkHash(path, want string) error {
	got, _, err := hashFile(path)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s hashes to %s, not to %s", path, got, want)
	}
	return nil
}

func checkPlaced(path, want string, attrs durable.Attributes) error {
	if err := checkHash(path, want); err != nil {
		return err
	}
	got, err := durable.ReadAttributes(path)
	if err != nil {
		return err
	}
	if diff := attrs.Differ(got); len(diff) > 0 {
		return fmt.Errorf("%s has lost attributes: %s", path, strings.Join(diff, "; "))
	}
	return nil
}

// RemoveLeftovers removes what a crash inside a replacement of path left beside it.
func RemoveLeftovers(path string) error {
	left, err := durable.Leftovers(path)
	if err != nil {
		return err
	}
	for _, file := range left {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
