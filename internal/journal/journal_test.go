package journal

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path string, steps ...string) {
	t.Helper()
	j, err := Create(path, "m1")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for _, step := range steps {
		if _, err := j.Append("overlap", step, Intent, map[string]int{"pid": 7}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournalGoesOnWhereItEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	write(t, path, "swap", "usr2")
	j, events, err := Open(path, "m1")
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 2 || events[1].Step != "usr2" || events[1].Migration != "m1" {
		t.Fatalf("read %+v", events)
	}
	event, err := j.Append("overlap", "winch", Done, nil)
	if err != nil || event.Seq != 3 || event.Migration != "m1" {
		t.Fatalf("appended %+v, %v", event, err)
	}
	if events, err = Read(path); err != nil || len(events) != 3 {
		t.Fatalf("read back %d events, %v", len(events), err)
	}
}

func TestATornLastLineIsCutAndACopyKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	write(t, path, "swap", "usr2")
	whole, _ := os.ReadFile(path)
	first := bytes.IndexByte(whole, '\n') + 1
	for end := first + 1; end < len(whole); end++ {
		if err := os.WriteFile(path, whole[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		j, events, err := Open(path, "m1")
		if err != nil {
			t.Fatalf("cut at byte %d: %v", end, err)
		}
		if len(events) != 1 {
			t.Fatalf("cut at byte %d: %d events, want the whole one", end, len(events))
		}
		if _, err := j.Append("overlap", "again", Intent, nil); err != nil {
			t.Fatal(err)
		}
		j.Close()
		if events, err = Read(path); err != nil || len(events) != 2 {
			t.Fatalf("cut at byte %d: after going on %d events, %v", end, len(events), err)
		}
	}
	kept, _ := filepath.Glob(path + ".torn-*")
	if len(kept) != len(whole)-first-1 {
		t.Errorf("%d copies kept of %d torn files", len(kept), len(whole)-first-1)
	}
}

func TestAnyOtherDamageIsRefusedAndLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	write(t, path, "swap", "usr2", "winch")
	whole, _ := os.ReadFile(path)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, damaged := range map[string][]byte{
		"a byte changed":        bytes.Replace(whole, []byte(`"pid":7`), []byte(`"pid":8`), 1),
		"a line taken out":      append(bytes.Clone(lines[0]), lines[2]...),
		"two lines exchanged":   bytes.Join([][]byte{lines[1], lines[0], lines[2]}, nil),
		"a line written twice":  bytes.Join([][]byte{lines[0], lines[0]}, nil),
		"an empty line":         append(bytes.Clone(whole), '\n'),
		"the first line is cut": lines[1],
	} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Open(path, "m1")
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path+":") {
			t.Errorf("%s: error %v, want ErrDamaged with file and line", name, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, damaged) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestASecondGraftIsToldWhoHoldsTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := Acquire(path, Holder{PID: 41, Command: "graft apply plan.json"})
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := Acquire(path, Holder{PID: 42}); !errors.As(err, &held) || held.Holder.PID != 41 {
		t.Fatalf("error %v, want one that names pid 41", err)
	}
	// A child that inherits nothing must not keep the lock after its parent let go.
	child := exec.Command("sleep", "5")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := Acquire(path, Holder{PID: 42})
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	again.Release()
}
