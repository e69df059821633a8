package accesslog

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// copyTo copies the log as copytruncate does before it truncates.
func (d logDir) copyTo(suffix string) {
	d.t.Helper()
	data, err := os.ReadFile(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.path+suffix, data, 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d logDir) truncate() {
	d.t.Helper()
	if err := os.Truncate(d.path, 0); err != nil {
		d.t.Fatal(err)
	}
}

// compress does to a rotated file what logrotate does.
func (d logDir) compress(suffix string) {
	d.t.Helper()
	if out, err := exec.CommandContext(d.t.Context(), "gzip", d.path+suffix).CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
}

func TestCopytruncateReadsTheRestOfTheCopy(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	f := d.follow()
	d.write(log, "1\n2\n")
	expect(t, f, "1", "2")
	d.write(log, "3\n4\n")
	d.copyTo(".1")
	d.truncate()
	d.write(log, "5\n")
	expect(t, f, "3", "4", "5")
	if f.Gaps() != 0 {
		t.Errorf("%d gaps", f.Gaps())
	}
	d.write(log, "6\n")
	d.truncate() // and no copy
	d.write(log, "7\n")
	expect(t, f, "7")
	if f.Gaps() != 1 {
		t.Errorf("%d gaps", f.Gaps())
	}
}

func TestCopytruncateGrownPastTheOldOffset(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	f := d.follow()
	d.write(log, "1\n2\n")
	expect(t, f, "1", "2")
	d.write(log, "3\n")
	d.copyTo(".1")
	d.truncate()
	d.write(log, "5\n6\n7\n8\n9\n")
	expect(t, f, "3", "5", "6", "7", "8", "9")
}

func TestACopyIsNoNewsAfterARename(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	f := d.follow()
	d.write(log, "1\n")
	expect(t, f, "1")
	d.copyTo(".1")
	d.truncate()
	d.write(log, "2\n")
	expect(t, f, "2")
	d.rename(".2")
	d.tick()
	d.write(d.open(), "3\n")
	mark := f.Position()
	expect(t, f, "3")
	expect(t, d.followFrom(mark), "3")
}

func TestAFileThatCameAndWentIsReadWhereItLies(t *testing.T) {
	d := newLogDir(t)
	f := d.follow()
	d.write(d.open(), "1\n")
	expect(t, f, "1")
	mark := f.Position()
	d.rename(".3")
	d.tick()
	d.write(d.open(), "2\n")
	d.copyTo(".bak") // of no concern
	d.rename(".2")
	d.tick()
	d.write(d.open(), "3\n")
	d.rename(".1")
	d.tick()
	d.write(d.open(), "4\n")
	expect(t, f, "2", "3", "4")
	expect(t, d.followFrom(mark), "2", "3", "4")
}

func TestFollowFromACompressedFile(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	f := d.follow()
	for i := range 1000 {
		d.write(log, fmt.Sprintf("line %d\n", i))
	}
	if err := f.Poll(func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	mark := f.Position()
	d.write(log, "rest 1\nrest 2\n")
	d.rename(".1")
	log.Close()
	d.write(d.open(), "new\n")
	d.compress(".1")
	f = d.followFrom(mark)
	between := f.Position() // before anything was read
	expect(t, f, "rest 1", "rest 2", "new")
	expect(t, d.followFrom(between), "rest 1", "rest 2", "new")

	// That of another log is not taken for it.
	other, err := os.Create(d.path + ".1.gz")
	if err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(other)
	if _, err := zip.Write([]byte(strings.Repeat("a line of another log\n", 5000))); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	f = d.followFrom(mark)
	expect(t, f, "new")
	if f.Gaps() != 1 {
		t.Errorf("%d gaps", f.Gaps())
	}
}

func TestAPositionTellsAnInodeThatIsUsedAgain(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	f := d.follow()
	d.write(log, "1\n2\n")
	expect(t, f, "1", "2")
	mark := f.Position()
	d.truncate() // the same inode, another log
	d.write(log, "a\nb\nc\n")
	expect(t, d.followFrom(mark), "a", "b", "c")
	mark.Offset = 100 // behind the end
	expect(t, d.followFrom(mark), "a", "b", "c")
	mark.Head = Head{} // as it was stored before there were heads
	mark.Offset = 2
	expect(t, d.followFrom(mark), "b", "c")
}

func TestAPositionHoldsAllOpenFiles(t *testing.T) {
	d := newLogDir(t)
	old := d.open()
	f := d.follow()
	d.write(old, "1\n")
	expect(t, f, "1")
	d.rename(".1")
	young := d.open()
	d.write(young, "2\n")
	expect(t, f, "2")
	text, err := json.Marshal(f.Position())
	if err != nil {
		t.Fatal(err)
	}
	d.write(old, "of a worker that is shutting down\n")
	d.write(young, "3\n")
	var mark Position
	if err := json.Unmarshal(text, &mark); err != nil {
		t.Fatal(err)
	}
	expect(t, d.followFrom(mark), "of a worker that is shutting down", "3")

	// The form before there were heads and rotated files.
	id := mark.FileID
	text = fmt.Appendf(nil, `{"dev":%d,"inode":%d,"offset":2}`, id.Dev, id.Inode)
	mark = Position{}
	if err := json.Unmarshal(text, &mark); err != nil {
		t.Fatal(err)
	}
	expect(t, d.followFrom(mark), "3")
}

func TestARotatedFileIsKeptAsLongAsItIsWrittenTo(t *testing.T) {
	d := newLogDir(t)
	old := d.open()
	if _, known := hasWriter(old); !known {
		t.Fatal("this file system does not tell who writes: run the tests as root on a local one")
	}
	f := d.follow()
	d.rename(".1")
	d.open()
	expect(t, f)
	f.rotated[0].asked, f.rotated[0].fresh = time.Time{}, time.Now().Add(-2*linger)
	expect(t, f)
	d.write(old, "late\n")
	expect(t, f, "late")
	d.write(old, "last\n")
	old.Close()
	f.rotated[0].asked = time.Time{}
	expect(t, f, "last")
	if len(f.rotated) != 0 {
		t.Error("still open though nobody can write to it")
	}
}

// A full disk tears a line; nginx goes on with the next as soon as there is room.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	d := logDir{t, filepath.Join(dir, "access.log")}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 56<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	log := d.open()
	f := d.follow()
	written, failed := 0, 0
	line := strings.Repeat("x", 149) + "\n"
	for failed == 0 {
		if _, err := log.WriteString(line); err != nil {
			failed++
		} else {
			written++
		}
	}
	got, torn := 0, 0
	count := func(l []byte) {
		if string(l)+"\n" == line {
			got++
		} else {
			torn++
		}
	}
	if err := f.Poll(count); err != nil || got != written || torn != 0 {
		t.Fatalf("%v: %d of %d lines, %d torn", err, got, written, torn)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d.write(log, line)
	}
	if err := f.Poll(count); err != nil || got != written+2 || torn != 1 {
		t.Errorf("%v: %d of %d lines, %d torn", err, got, written+2, torn)
	}
}
