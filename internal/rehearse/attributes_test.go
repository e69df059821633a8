package rehearse

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/procfs"
)

// The file says the same as the kernel's call, which is not for everybody.
func TestLimitsAreReadFromTheFile(t *testing.T) {
	a, err := attributesOf(procfs.New("/proc"), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Limits) != len(limitNames) {
		t.Errorf("%d limits", len(a.Limits))
	}
	for _, l := range a.Limits {
		var want unix.Rlimit
		if err := unix.Prlimit(os.Getpid(), l.Resource, nil, &want); err != nil {
			t.Fatal(err)
		}
		if l.Soft != want.Cur || l.Hard != want.Max {
			t.Errorf("%s: %d and %d, want %d and %d", limitNames[l.Resource], l.Soft, l.Hard, want.Cur, want.Max)
		}
	}
}
