package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// several stores artifacts of different ages: the first is the youngest, each next a day older.
func several(t *testing.T, s *Store, n int) []Artifact {
	t.Helper()
	list := make([]Artifact, n)
	for i := range n {
		f := honest(t)
		f.manifest.Name = fmt.Sprintf("openresty %d", i)
		f.seal()
		imported, err := s.Import(t.Context(), bytes.NewReader(f.archive()), "")
		if err != nil {
			t.Fatal(err)
		}
		list[i] = imported.Artifact
		when := time.Now().Add(-time.Duration(i)*24*time.Hour - time.Minute)
		if err := os.Chtimes(filepath.Join(list[i].Dir, manifestName), when, when); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// names of what is in the list, by the numbers that several gave.
func names(list []Pruned) string {
	var text []string
	for _, p := range list {
		text = append(text, strings.TrimPrefix(p.Name, "openresty "))
	}
	slices.Sort(text)
	return strings.Join(text, " ")
}

func TestPruneKeepsWhatIsUsedNewOrAskedFor(t *testing.T) {
	s, _ := freshStore(t)
	list := several(t, s, 5)
	used := func(i int) func(id, binary string) string {
		return func(id, _ string) string {
			if i >= 0 && id == list[i].Manifest.ID {
				return "used"
			}
			return ""
		}
	}
	for _, tt := range []struct {
		policy       Policy
		goes, remain string
	}{
		{Policy{InUse: used(-1)}, "0 1 2 3 4", ""},
		{Policy{InUse: used(3)}, "0 1 2 4", "3"},
		{Policy{InUse: used(-1), Keep: 2}, "2 3 4", "0 1"},
		{Policy{InUse: used(0), Keep: 2}, "3 4", "0 1 2"},
		{Policy{InUse: used(-1), Older: 36 * time.Hour}, "2 3 4", "0 1"},
		{Policy{InUse: used(4), Keep: 1, Older: 36 * time.Hour}, "2 3", "0 1 4"},
		{Policy{InUse: used(-1), Keep: 9}, "", "0 1 2 3 4"},
		{Policy{InUse: func(_, binary string) string { return binary }}, "", "0 1 2 3 4"},
	} {
		n, err := s.Survey(tt.policy)
		if err != nil || names(n.Remove) != tt.goes || names(n.Keep) != tt.remain {
			t.Errorf("keep %d, older than %s: %q would go and %q stay (%v), want %q and %q",
				tt.policy.Keep, tt.policy.Older, names(n.Remove), names(n.Keep), err, tt.goes, tt.remain)
		}
	}
	n, err := s.Survey(Policy{InUse: used(3), Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	left, broken, err := s.List()
	if err != nil || len(left) != 2 || len(broken) != 0 {
		t.Fatalf("left: %d, %v, %v", len(left), broken, err)
	}
	for _, a := range left {
		if err := a.Verify(); err != nil || a.Manifest.ID != list[0].Manifest.ID && a.Manifest.ID != list[3].Manifest.ID {
			t.Errorf("left: %s, %v", a.Manifest.Name, err)
		}
	}
	if entries, err := os.ReadDir(s.artifacts); err != nil || len(entries) != 2 {
		t.Errorf("directories left: %v, %v", entries, err)
	}
}

func TestPruneForgetsBuildsThatLeadNowhere(t *testing.T) {
	s, _ := freshStore(t)
	list := several(t, s, 2)
	for key, id := range map[string]string{"aa": list[0].Manifest.ID, "bb": list[1].Manifest.ID, "cc": strings.Repeat("0", 64), "dd": "garbage"} {
		if err := s.Remember(key, id); err != nil {
			t.Fatal(err)
		}
	}
	n, err := s.Survey(Policy{InUse: func(string, string) string { return "" }, Keep: 1})
	if err != nil || !slices.Equal(n.Builds, []string{"bb", "cc", "dd"}) {
		t.Fatalf("builds %v, %v", n.Builds, err)
	}
	// One of them is built anew in the meantime.
	if err := s.Remember("cc", list[0].Manifest.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"aa": true, "bb": false, "cc": true, "dd": false} {
		if _, err := s.Lookup(key); errors.Is(err, ErrNotFound) == want {
			t.Errorf("build %s: %v", key, err)
		}
	}
}

func TestPruneTakesWhatCannotBeReadUnlessItIsUsed(t *testing.T) {
	s, _ := freshStore(t)
	list := several(t, s, 3)
	for _, a := range list[:2] {
		if err := os.WriteFile(filepath.Join(a.Dir, manifestName), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	readable, broken, err := s.List()
	if err != nil || len(readable) != 1 || len(broken) != 2 || !errors.Is(broken[0].Err, ErrDamaged) {
		t.Fatalf("list: %d, %v, %v", len(readable), broken, err)
	}
	n, err := s.Survey(Policy{InUse: func(id, _ string) string {
		if id == list[0].Manifest.ID {
			return "used"
		}
		return ""
	}})
	if err != nil || len(n.Remove) != 2 || len(n.Keep) != 1 || n.Keep[0].ID != list[0].Manifest.ID {
		t.Errorf("survey: %+v, %v", n, err)
	}
}

func TestAPruneThatWasCutShortIsCompletedByTheNext(t *testing.T) {
	s, _ := freshStore(t)
	a := several(t, s, 1)[0]
	gone := filepath.Join(s.artifacts, gonePrefix+"1234")
	if err := errors.Join(os.Mkdir(gone, 0o700), os.Rename(a.Dir, filepath.Join(gone, a.Manifest.ID))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(a.Manifest.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("half removed, and got: %v", err)
	}
	n, err := s.Survey(anything())
	if err != nil || len(n.Unfinished) != 1 {
		t.Fatalf("survey: %+v, %v", n, err)
	}
	if err := s.Prune(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	holdsNothing(t, s)
}

func TestPruneInAnEmptyStateChangesNothing(t *testing.T) {
	s, dir := freshStore(t)
	n, err := s.Survey(anything())
	if err != nil || len(n.Remove)+len(n.Keep)+len(n.Builds)+len(n.Unfinished) != 0 {
		t.Errorf("survey: %+v, %v", n, err)
	}
	if err := s.Prune(t.Context(), n); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("made: %v, %v", left, err)
	}
}

func TestPrunesAndImportsAtTheSameTime(t *testing.T) {
	s, _ := freshStore(t)
	archive := honest(t).archive()
	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n, err := s.Survey(anything())
				if err == nil {
					err = s.Prune(t.Context(), n)
				}
				if err != nil {
					t.Errorf("prune: %v", err)
					return
				}
			}
		})
	}
	var imports sync.WaitGroup
	for range 4 {
		imports.Go(func() {
			for range 50 {
				// Removed again right after it came: then it is not found, and that is what the error says.
				if _, err := s.Import(t.Context(), bytes.NewReader(archive), ""); err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, os.ErrNotExist) {
					t.Errorf("import: %v", err)
					return
				}
			}
		})
	}
	imports.Wait()
	close(stop)
	group.Wait()
	for range 2 { // the last import may have come after the last survey
		n, err := s.Survey(anything())
		if err == nil {
			err = s.Prune(t.Context(), n)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	holdsNothing(t, s)
}

// Where the disk is small, an administrator lets artifacts/ lead to another.
func TestAStoreBehindALink(t *testing.T) {
	s, dir := freshStore(t)
	elsewhere := filepath.Join(dir, "elsewhere")
	if err := errors.Join(os.Mkdir(elsewhere, 0o755), os.Mkdir(filepath.Dir(s.artifacts), 0o755), os.Symlink(elsewhere, s.artifacts)); err != nil {
		t.Fatal(err)
	}
	a := several(t, s, 1)[0]
	if err := a.Verify(); err != nil {
		t.Error(err)
	}
	n, err := s.Survey(anything())
	if err == nil {
		err = s.Prune(t.Context(), n)
	}
	if err != nil {
		t.Fatal(err)
	}
	holdsNothing(t, s)
}
