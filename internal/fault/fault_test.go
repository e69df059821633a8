package fault_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// build compiles testdata/reached with the tags.
func build(t *testing.T, tags string) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "reached")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", exe, "./testdata/reached").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

// run returns the points that the program survived, and whether SIGKILL ended it.
func run(t *testing.T, exe, variable string, points ...string) (survived string, killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), exe, points...)
	cmd.Env = append(os.Environ(), "GRAFT_FAULT="+variable)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && !failed {
		t.Fatal(err)
	}
	if failed {
		status := exit.Sys().(syscall.WaitStatus)
		killed = status.Signaled() && status.Signal() == syscall.SIGKILL
	}
	return strings.Join(strings.Fields(out.String()), " "), killed
}

func TestAPointKillsOnlyWhereItIsAskedTo(t *testing.T) {
	exe := build(t, "faults")
	for _, tt := range []struct {
		variable, survived string
		killed             bool
	}{
		{"", "before-usr2 after-usr2 before-usr2 after-usr2", false},
		{"before-usr2", "", true},
		{"after-usr2", "before-usr2", true},
		{"before-usr2#2", "before-usr2 after-usr2", true},
		{"after-usr2#3", "before-usr2 after-usr2 before-usr2 after-usr2", false},
		{"usr2", "before-usr2 after-usr2 before-usr2 after-usr2", false},
	} {
		survived, killed := run(t, exe, tt.variable, "before-usr2", "after-usr2", "before-usr2", "after-usr2")
		if survived != tt.survived || killed != tt.killed {
			t.Errorf("%q: passed %q, killed %v, want %q, %v", tt.variable, survived, killed, tt.survived, tt.killed)
		}
	}
}

// What users run has no such points, whatever their environment holds.
func TestWithoutTheTagNothingHappens(t *testing.T) {
	if survived, killed := run(t, build(t, ""), "a", "a", "b"); survived != "a b" || killed {
		t.Errorf("passed %q, killed %v", survived, killed)
	}
}
