package gate

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestRotatedFilesAreFoundByTheirNames(t *testing.T) {
	for name, want := range map[string]bool{
		"access.log.1": true, "access.log.2.gz": true, "access.log-20261124": true, "access.log-20261124.gz": true, "access.log.20261124-10": true,
		"access-20261124.log": true, "access_2026-11-24.log.gz": true, "access.log.1.zst": true, "access.log-20261124-1795500000": true,
		"access.log.json": false, "access.log.old": false, "access.log2x": false, "other.log.1": false, "access-api.log": false, "access-api.log.1": false, "accessory.log": false,
	} {
		if got := isRotated("access.log", name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if isRotated("access", "access.log") || !isRotated("access", "access.1") {
		t.Error("a name without an ending")
	}
}

func TestTheFilesOfALog(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{
		"a.log": 0, "a.log.1": time.Hour, "a.log.2.gz": 25 * time.Hour, "a.log.3.gz": 49 * time.Hour, "a.log.4.xz": time.Hour,
		"a.log.9": time.Hour, "b.log": 0,
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a.log.7"), nil, 0o600); err != nil { // empty
		t.Fatal(err)
	}
	set, notes, err := findSet(filepath.Join(dir, "a.log"), []string{filepath.Join(dir, "a.log.9")}, now.Add(-48*time.Hour))
	want := []string{filepath.Join(dir, "a.log.2.gz"), filepath.Join(dir, "a.log.1"), filepath.Join(dir, "a.log")}
	if err != nil || !slices.Equal(set.files, want) || set.size != 6 {
		t.Errorf("%+v %v", set, err)
	}
	if len(notes) != 1 || notes[0] != filepath.Join(dir, "a.log.4.xz")+" is not read: graft knows plain files and gzip" {
		t.Errorf("%q", notes)
	}
	if set, _, err := findSet(filepath.Join(dir, "no", "a.log"), nil, now); err != nil || len(set.files) > 0 {
		t.Errorf("%+v %v", set, err)
	}
}
