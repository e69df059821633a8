package accesslog

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// woken waits for a hint.
func woken(t *testing.T, w *Waker, why string) {
	t.Helper()
	select {
	case <-w.C():
	case <-time.After(20 * time.Second):
		t.Fatalf("no hint: %s", why)
	}
}

func TestAWakerHints(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	d := newLogDir(t)
	elsewhere := filepath.Join(t.TempDir(), "later", "access.log")
	w, err := NewWaker([]string{d.path, elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	log := d.open()
	woken(t, w, "a new file")
	for range 3 {
		d.write(log, "x\n")
		woken(t, w, "a line")
	}
	d.rename(".1")
	woken(t, w, "a rename")
	d.open()
	woken(t, w, "a new file at the path")
	if err := os.Mkdir(filepath.Dir(elsewhere), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(elsewhere, []byte("x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	woken(t, w, "a directory that came later")
}

func TestAWakerOfABusyLogRests(t *testing.T) {
	d := newLogDir(t)
	log := d.open()
	w, err := NewWaker([]string{d.path})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	begun, hints := time.Now(), 0
	for range 20_000 {
		d.write(log, "x\n")
		select {
		case <-w.C():
			hints++
		default:
		}
	}
	if most := int(time.Since(begun)/wakeRest) + 2; hints == 0 || hints > most {
		t.Errorf("%d hints, at most %d", hints, most)
	}
}
