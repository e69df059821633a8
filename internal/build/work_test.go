package build

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWorkOfKilledBuildsIsRemovedThatOfLivingOnesIsNot(t *testing.T) {
	dir := t.TempDir()
	living, done, err := makeWork(dir)
	if err != nil {
		t.Fatal(err)
	}
	// A killed build's lock is free.
	killed := filepath.Join(dir, "build-killed")
	if err := os.MkdirAll(filepath.Join(killed, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(killed, workLock), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second, doneToo, err := makeWork(dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{living: true, second: true, killed: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	if err := doneToo(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
