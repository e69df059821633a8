package procfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The trap log-rotation: a log is known by its inode, wherever its path leads by now.
func TestAppendingFollowsAFileThroughRenameAndRemoval(t *testing.T) {
	dir := t.TempDir()
	open := func(name string, flags int) FileID {
		t.Helper()
		path := filepath.Join(dir, name)
		file, err := os.OpenFile(path, flags|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		id, err := Identify(path)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	kept, renamed, removed := open("kept", os.O_APPEND|os.O_WRONLY), open("renamed", os.O_APPEND|os.O_WRONLY), open("removed", os.O_APPEND|os.O_WRONLY)
	open("written", os.O_WRONLY)
	open("both", os.O_RDWR|os.O_APPEND)
	open("read", os.O_RDONLY)
	if err := errors.Join(os.Rename(filepath.Join(dir, "renamed"), filepath.Join(dir, "renamed.1")), os.Remove(filepath.Join(dir, "removed"))); err != nil {
		t.Fatal(err)
	}
	files, err := proc.Appending(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f OpenFile) bool { return filepath.Dir(f.Path) != dir })
	slices.SortFunc(files, func(a, b OpenFile) int { return len(a.Path) - len(b.Path) })
	want := []OpenFile{{kept, filepath.Join(dir, "kept"), false}, {removed, filepath.Join(dir, "removed"), true}, {renamed, filepath.Join(dir, "renamed.1"), false}}
	if !slices.Equal(files, want) {
		t.Errorf("%+v, want %+v", files, want)
	}
}

func TestStartedIsATimeOfDay(t *testing.T) {
	before := time.Now()
	pid, _ := running(t)
	after := time.Now()
	stat, err := proc.Stat(pid)
	if err != nil {
		t.Fatal(err)
	}
	at, err := Started(stat.StartTime)
	if err != nil || at.Before(before.Add(-time.Second)) || at.After(after.Add(time.Second)) {
		t.Errorf("%s, %v, want one between %s and %s", at, err, before, after)
	}
}
