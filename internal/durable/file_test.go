package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"
)

// capNetBindService is a security.capability attribute, version 2: cap_net_bind_service=ep.
var capNetBindService = []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

func TestReplaceKeepsWhatAPlainCopyLoses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nginx")
	if err := os.WriteFile(path, []byte("old"), 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 33, 34); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setxattr(path, "security.capability", capNetBindService, 0); err != nil {
			t.Logf("this file system takes no capabilities, only mode, owner and time are shown: %v", err)
		}
	}
	if err := os.Chmod(path, 0o750|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	want, err := ReadAttributes(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Replace("test", path, strings.NewReader("new"), want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadAttributes(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := want.Differ(got); diff != nil || !got.ModTime.Equal(old) {
		t.Errorf("after the replacement: %v, modified %v, want %v", diff, got.ModTime, old)
	}
	if data, _ := os.ReadFile(path); string(data) != "new" {
		t.Errorf("content %q, want new", data)
	}
}

func TestDifferNamesALostCapability(t *testing.T) {
	a := Attributes{Mode: 0o755, Xattrs: map[string][]byte{"security.capability": capNetBindService}}
	if diff := a.Differ(Attributes{Mode: 0o755}); len(diff) != 1 || !strings.Contains(diff[0], "security.capability") {
		t.Errorf("got %q", diff)
	}
}

func TestReplaceThatFailsLeavesTheOldFileAndNothingBeside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nginx")
	if err := os.WriteFile(path, []byte("old"), 0o755); err != nil {
		t.Fatal(err)
	}
	broken := io.MultiReader(strings.NewReader("half of the new"), iotest.ErrReader(errors.New("disk on fire")))
	err := Replace("test", path, broken, Attributes{Mode: 0o755, UID: os.Getuid(), GID: os.Getgid()})
	if err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Fatalf("error %v, want the reader's", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "old" {
		t.Errorf("content %q, want old", data)
	}
	if left, _ := Leftovers(path); left != nil {
		t.Errorf("left beside: %q", left)
	}
}
