package procfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestFilesAreFoundWhereTheyAreNow(t *testing.T) {
	dir := t.TempDir()
	var open []*os.File
	for _, name := range []string{"stays", "moves", "goes"} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		open = append(open, file)
	}
	reading, err := os.Open(filepath.Join(dir, "stays"))
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	if err := os.Rename(filepath.Join(dir, "moves"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "goes")); err != nil {
		t.Fatal(err)
	}
	files, err := New("/proc").Files(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	at := func(f *os.File) File {
		i := slices.IndexFunc(files, func(have File) bool { return have.FD == int(f.Fd()) })
		if i < 0 {
			t.Fatalf("descriptor %d is not there", f.Fd())
		}
		return files[i]
	}
	stays, moved, gone := at(open[0]), at(open[1]), at(open[2])
	id, err := Identify(filepath.Join(dir, "stays"))
	if err != nil || stays.FileID != id || stays.Path != filepath.Join(dir, "stays") || !stays.Writing || stays.Deleted {
		t.Errorf("%+v, want %v %v", stays, id, err)
	}
	if moved.Path != filepath.Join(dir, "moved") || moved.Deleted {
		t.Errorf("renamed: %+v", moved)
	}
	if gone.Path != filepath.Join(dir, "goes") || !gone.Deleted {
		t.Errorf("removed: %+v", gone)
	}
	if r := at(reading); r.Writing || r.FileID != id {
		t.Errorf("opened for reading: %+v", r)
	}
	if _, err := New("/proc").Files(1 << 30); !Gone(err) {
		t.Errorf("no such process: %v", err)
	}
}

func TestAgeCountsFromTheStart(t *testing.T) {
	f := tree(t, map[string]string{"uptime": "1000.50 2.0\n", "7/stat": stat(7, "nginx", 1, 90050), "8/stat": stat(8, "nginx", 1, 100051)})
	if age, err := f.Age(7); err != nil || age != 100*time.Second+20*time.Millisecond {
		t.Errorf("%v %v, want 100 s", age, err)
	}
	if age, err := f.Age(8); err != nil || age != 20*time.Millisecond {
		t.Errorf("started in the tick that is not over: %v %v", age, err)
	}
	if age, err := New("/proc").Age(os.Getpid()); err != nil || age <= 0 || age > time.Hour {
		t.Errorf("this process: %v %v", age, err)
	}
}

func TestUnlinkedAreTheLibrariesThatWereReplaced(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a program")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	f := New("/proc")
	if list, err := f.Unlinked(cmd.Process.Pid); err != nil || slices.Contains(list, path) {
		t.Errorf("before: %q %v", list, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if list, err := f.Unlinked(cmd.Process.Pid); err != nil || !slices.Contains(list, path) {
		t.Errorf("after: %q %v, want %s", list, err, path)
	}
}
