package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graft/internal/journal"
	"graft/internal/migrate"
	"graft/internal/nginxtest"
)

func TestPruneAsksAndShowsFirst(t *testing.T) {
	h := elsewhere(t)
	one, two := h.store("nginx one"), h.store("nginx two")
	r := h.expect(2, "artifact", "prune", "--keep", "0")
	if !strings.Contains(r.stderr, one[:12]) || !strings.Contains(r.stderr, two[:12]) {
		t.Errorf("what would go is not shown: %s", r)
	}
	h.expect(0, "artifact", "prune", "--keep", "0", "--dry-run")
	if ids := h.holds(); len(ids) != 2 {
		t.Fatalf("removed unasked: %v are left", ids)
	}
	// Two stay unless less is asked for, and so do young ones.
	h.expect(0, "artifact", "prune", "--yes")
	h.expect(0, "artifact", "prune", "--keep", "0", "--older-than", "1h", "--yes")
	if ids := h.holds(); len(ids) != 2 {
		t.Fatalf("%v are left", ids)
	}
	r = h.expect(0, "artifact", "prune", "--keep", "1", "--yes", "-o", "json")
	var told struct {
		Remove, Keep []struct{ ID string }
		Done         bool
		Bytes        int64
	}
	if err := json.Unmarshal([]byte(r.stdout), &told); err != nil || len(told.Remove) != 1 || len(told.Keep) != 1 || !told.Done || told.Bytes == 0 {
		t.Errorf("%v in %s", err, r)
	}
	if ids := h.holds(); len(ids) != 1 || ids[0] != told.Keep[0].ID {
		t.Errorf("left: %v", ids)
	}
	h.expect(2, "artifact", "prune", "--keep", "-1")
}

// prune removes all that it may, and returns what is left.
func (h *host) prune() []string {
	h.t.Helper()
	h.must(0, "artifact", "prune", "--keep", "0", "--yes")
	return h.holds()
}

func TestPruneKeepsWhatAMigrationNeedsInEveryPhase(t *testing.T) {
	h := newHost(t, nginxtest.Options{Binary: nginxtest.Release(t, "1.18.0")})
	before := h.sha256(h.inst.Exe)
	file := h.plan(nginxtest.Release(t, "1.26.3").Path)
	target := h.holds()
	unused := h.store("unused")
	for _, phase := range []string{"overlap", "parked", "finished"} {
		if phase == "overlap" {
			h.must(0, with("apply", file, "--until", phase)...)
		} else {
			h.must(0, with("resume", "--until", phase)...)
		}
		if left := h.prune(); !slices.Equal(left, target) {
			t.Errorf("%s: left %v, want %v", phase, left, target)
		}
	}
	if slices.Contains(h.holds(), unused) {
		t.Error("what nothing uses was kept")
	}
	h.must(0, "rollback") // the way back stores the old binary
	h.phase("rolled-back")
	if h.sha256(h.inst.Exe) != before {
		t.Error("the old binary is not back")
	}
	// Now the artifact of the old binary is what is on disk, and the target is of no use.
	if left := h.prune(); len(left) != 1 || slices.Equal(left, target) {
		t.Errorf("rolled back: left %v", left)
	}
}

func TestPruneKeepsTheRuntimeThatLiesOnTheHost(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	id := h.store("nginx with a runtime")
	h.must(0, with("apply", h.plan(id))...)
	// A package puts another binary there: the runtime stays all the same.
	data, err := os.ReadFile(nginxtest.Release(t, "1.18.0").Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(h.inst.Exe); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.inst.Exe, data, 0o755); err != nil {
		t.Fatal(err)
	}
	if left := h.prune(); !slices.Equal(left, []string{id}) {
		t.Errorf("left %v", left)
	}
}

func TestPruneTakesADamagedMigrationForOneThatIsNotOver(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	file := h.plan(nginxtest.Release(t, "1.26.3").Path)
	target := h.holds()
	h.must(0, with("apply", file)...)
	h.must(0, "rollback")
	dirs, err := filepath.Glob(filepath.Join(h.state, "migrations", "*"))
	if err != nil || len(dirs) != 2 {
		t.Fatalf("%v, %v", dirs, err)
	}
	if err := os.WriteFile(filepath.Join(dirs[0], "journal"), []byte("scrambled\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if left := h.prune(); !slices.Contains(left, target[0]) {
		t.Errorf("left %v, and the damaged migration's artifact is gone", left)
	}
	// Without its plan, nobody knows what it needs.
	if err := os.WriteFile(filepath.Join(dirs[0], "plan.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := h.holds()
	if r := h.must(1, "artifact", "prune", "--keep", "0", "--yes"); !strings.Contains(r.stderr, filepath.Base(dirs[0])) {
		t.Errorf("which one is not told: %s", r)
	}
	if !slices.Equal(before, h.holds()) {
		t.Error("something was removed")
	}
}

func TestPruneStandsBackWhileAMigrationBegins(t *testing.T) {
	h := elsewhere(t)
	h.store("nginx one")
	state, err := migrate.OpenState(h.state)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := state.Lock(journal.Holder{PID: os.Getpid(), Command: "graft apply"})
	if err != nil {
		t.Fatal(err)
	}
	h.expect(7, "artifact", "prune", "--keep", "0", "--yes")
	if ids := h.holds(); len(ids) != 1 {
		t.Errorf("left: %v", ids)
	}
	lock.Release()
	h.expect(0, "artifact", "prune", "--keep", "0", "--yes")
	if ids := h.holds(); len(ids) != 0 {
		t.Errorf("left: %v", ids)
	}
}

func TestPruneWorksBesideARunnerThatIsParked(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	file := h.plan(nginxtest.Release(t, "1.26.3").Path)
	target := h.holds()
	h.store("unused")
	cmd, stderr := h.start(append([]string{"apply", file}, parkFor...)...)
	h.eventuallyPhase("parked")
	if left := h.prune(); !slices.Equal(left, target) {
		t.Errorf("left %v, want %v", left, target)
	}
	h.must(0, "rollback")
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 5 && code != 0 {
		t.Errorf("the runner: exit %d\n%s", code, stderr)
	}
	h.phase("rolled-back")
}
