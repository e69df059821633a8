package accesslog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// logDir is a directory with a log that a test writes as nginx does: by a descriptor it keeps open.
type logDir struct {
	t    *testing.T
	path string
}

func newLogDir(t *testing.T) logDir { return logDir{t, filepath.Join(t.TempDir(), "access.log")} }

func (d logDir) open() *os.File {
	d.t.Helper()
	f, err := os.OpenFile(d.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { f.Close() })
	return f
}

// tick waits for the next tick of the clock that tells when files were created: no two files that a log
// is rotated to are made within one.
func (d logDir) tick() {
	d.t.Helper()
	for first := int64(0); ; {
		probe, err := os.CreateTemp(filepath.Dir(d.path), "probe")
		if err != nil {
			d.t.Fatal(err)
		}
		born := bornAt(probe)
		probe.Close()
		if err := os.Remove(probe.Name()); err != nil {
			d.t.Fatal(err)
		}
		if first == 0 {
			first = born
		}
		if born > first {
			return
		}
	}
}

func (d logDir) write(f *os.File, text string) {
	d.t.Helper()
	if _, err := f.WriteString(text); err != nil {
		d.t.Fatal(err)
	}
}

func (d logDir) rename(suffix string) {
	d.t.Helper()
	if err := os.Rename(d.path, d.path+suffix); err != nil {
		d.t.Fatal(err)
	}
}

func (d logDir) follow() *Follower {
	d.t.Helper()
	f, err := Follow(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(f.Close)
	return f
}

func (d logDir) followFrom(p Position) *Follower {
	d.t.Helper()
	f, err := FollowFrom(d.path, p)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(f.Close)
	return f
}

// expect polls once.
func expect(t *testing.T, f *Follower, want ...string) {
	t.Helper()
	var got []string
	if err := f.Poll(func(line []byte) { got = append(got, string(line)) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestFollowBeginsAtTheEnd(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	d.write(log, "before\nhalf")
	f := d.follow()
	expect(t, f)
	d.write(log, " a line\none\ntwo\nthr")
	expect(t, f, "half a line", "one", "two")
	d.write(log, "ee\n")
	expect(t, f, "three")
	expect(t, f)
}

func TestRenameAndCreateWithLateUSR1(t *testing.T) {
	d := newLogDir(t)
	old := d.open()
	f := d.follow()
	d.write(old, "1\n")
	d.rename(".1")
	d.write(old, "2\n")
	expect(t, f, "1", "2") // nginx has not been told yet
	d.write(old, "3\n")
	young := d.open() // USR1
	d.write(young, "5\n")
	d.write(old, "4\n")
	expect(t, f, "3", "4", "5") // the old file first
	d.write(young, "6\n")
	d.write(old, "a worker that is shutting down\n")
	expect(t, f, "a worker that is shutting down", "6")
}

func TestARotatedFileIsLeftWhenNothingComes(t *testing.T) {
	d := newLogDir(t)
	synctest.Test(t, func(t *testing.T) {
		old := d.open()
		f := d.follow()
		defer f.Close()
		f.writing = func(*os.File) (yes, known bool) { return false, false }
		d.rename(".1")
		d.open()
		expect(t, f)
		time.Sleep(linger - time.Second)
		d.write(old, "late\n")
		expect(t, f, "late")
		time.Sleep(linger)
		expect(t, f)
		if len(f.rotated) != 1 {
			t.Fatalf("left after %v with something new", linger)
		}
		time.Sleep(2 * time.Second)
		expect(t, f)
		if len(f.rotated) != 0 {
			t.Fatal("still open")
		}
	})
}

func TestManyRotationsKeepFewFilesOpen(t *testing.T) {
	d := newLogDir(t)
	f := d.follow()
	for i := range 20 {
		log := d.open()
		d.write(log, fmt.Sprintln(i))
		expect(t, f, fmt.Sprint(i))
		d.rename(fmt.Sprintf(".%d", i))
	}
	if n := len(f.rotated); n > maxRotated {
		t.Errorf("%d rotated files open", n)
	}
}

func TestCopytruncate(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	f := d.follow()
	d.write(log, "1\n2\nhal")
	expect(t, f, "1", "2")
	if err := os.Truncate(d.path, 0); err != nil {
		t.Fatal(err)
	}
	d.write(log, "3\n")
	expect(t, f, "3")
}

func TestAMissingFileIsWaitedFor(t *testing.T) {
	d := newLogDir(t)
	f := d.follow()
	expect(t, f)
	d.write(d.open(), "first\n")
	expect(t, f, "first")
}

func TestADeletedFileIsReadOn(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	f := d.follow()
	if err := os.Remove(d.path); err != nil {
		t.Fatal(err)
	}
	d.write(log, "1\n")
	expect(t, f, "1")
	d.write(d.open(), "2\n")
	expect(t, f, "2")
}

func TestALongLineIsCut(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	f := d.follow()
	long := strings.Repeat("x", 3*maxLine)
	for i := 0; i < len(long); i += maxLine / 2 {
		d.write(log, long[i:i+maxLine/2])
		expect(t, f)
	}
	if held := cap(f.buf); held > 2*maxLine {
		t.Errorf("%d bytes held", held)
	}
	d.write(log, "\nnext\n")
	expect(t, f, long[:maxLine], "next")
	d.write(log, long+"\n")
	expect(t, f, long[:maxLine])
}

func TestFollowFromAPosition(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	f := d.follow()
	d.write(log, "1\n2\nhal")
	expect(t, f, "1", "2")
	mark := f.Position()
	d.write(log, "f\n")
	t.Run("in the same file", func(t *testing.T) { expect(t, d.followFrom(mark), "half") })
	t.Run("rotated meanwhile", func(t *testing.T) {
		d.rename(".1")
		d.write(d.open(), "new\n")
		expect(t, d.followFrom(mark), "half", "new")
	})
	t.Run("gone", func(t *testing.T) {
		if err := os.Remove(d.path + ".1"); err != nil {
			t.Fatal(err)
		}
		expect(t, d.followFrom(mark), "new")
	})
	t.Run("of no file", func(t *testing.T) { expect(t, d.followFrom(Position{}), "new") })
}

func TestWhatIsNoFileIsUnobservable(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, "/dev/null", t.TempDir()} {
		if _, err := Follow(path); !errors.Is(err, ErrUnobservable) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTail(t *testing.T) {
	d := newLogDir(t)
	formats := Formats{Combined()}
	if c, err := Tail(d.path, formats, 1000); err != nil || c != (Counts{}) {
		t.Errorf("a missing file: %+v %v", c, err)
	}
	log := d.open()
	const ok = `::1 - - [03/Nov/2026:10:15:42 +0000] "GET / HTTP/1.1" 200 612 "-" "-"` + "\n"
	bad := strings.Replace(ok, " 200 ", " 503 ", 1)
	d.write(log, strings.Repeat(ok, 1000)+bad+"odd\n"+ok+ok[:20])
	for bytes, want := range map[int]Counts{
		1 << 20:                           {1002, 1, 1},
		20 + len(ok):                      {1, 0, 0},
		20 + len(ok) + 4 + len(bad):       {2, 1, 1},
		20 + len(ok) + 4 + len(bad) - 1:   {1, 0, 1}, // not all of the line: not counted
		20 + len(ok) + 4 + 2*len(bad) - 1: {2, 1, 1},
		10:                                {0, 0, 0},
	} {
		if got, err := Tail(d.path, formats, int64(bytes)); err != nil || got != want {
			t.Errorf("the last %d bytes: %+v %v, want %+v", bytes, got, err, want)
		}
	}
	if _, err := Tail("/dev/null", formats, 10); !errors.Is(err, ErrUnobservable) {
		t.Errorf("/dev/null: %v", err)
	}
}
