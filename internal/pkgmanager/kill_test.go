package pkgmanager_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// The points of putting the guard up and of taking it back, in their order.
var (
	protectPoints = []string{
		"before-rename-guard", "after-rename-guard", "before-rename-needrestart", "after-rename-needrestart",
		"before-link-distrib", "before-divert", "after-divert", "before-rename-policy", "after-rename-policy",
	}
	liftPoints = []string{
		"before-hand-back", "after-hand-back", "before-undivert", "after-undivert", "before-restore-policy", "after-restore-policy",
		"before-rename-guard#2", "after-rename-guard#2",
	}
)

func buildGuard(t *testing.T) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "guard")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "faults", "-o", exe, "./testdata/guard").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

// killed runs the guard program, which must die at the point.
func (s *site) killed(exe, point, what string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), exe, what, s.root.Dir, s.dir, binary)
	cmd.Env = append(os.Environ(), "GRAFT_FAULT="+point)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		s.t.Fatalf("not killed at %s: %v\n%s", point, err, out)
	}
	if _, err := os.Stat(s.path(binary)); err != nil {
		s.t.Errorf("after the kill at %s nothing is at the path: %v", point, err)
	}
}

func TestPackageManagerGuardSurvivesKills(t *testing.T) {
	exe := buildGuard(t)
	for _, point := range protectPoints {
		t.Run("protect/"+point+"/lift", func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			before, content := s.state(), s.read(binary)
			s.killed(exe, point, "protect")
			s.lift()
			if after := s.state(); after != before || s.read(binary) != content {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
		t.Run("protect/"+point+"/protect", func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			before, content := s.state(), s.read(binary)
			s.killed(exe, point, "protect")
			s.protect()
			back := s.swap()
			s.guarded()
			back()
			s.lift()
			if after := s.state(); after != before || s.read(binary) != content {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			s.agrees()
		})
	}
	for _, point := range liftPoints {
		t.Run("lift/"+point, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			before := s.state()
			s.protect()
			back := s.swap()
			upgraded := s.upgrade()
			back()
			s.killed(exe, point, "lift")
			s.lift()
			if after := s.state(); after != before || s.read(binary) != upgraded {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			s.agrees()
		})
		t.Run("lift/"+point+"/upgraded in between", func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			before := s.state()
			s.protect()
			s.upgrade()
			s.killed(exe, point, "lift")
			upgraded := s.upgradeTo("again")
			s.lift()
			if after := s.state(); after != before || s.read(binary) != upgraded {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			s.agrees()
		})
	}
}
