package artifact

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const childStore = "GRAFT_TEST_STORE"

// TestImportInAChild is the program of the tests below: it imports what comes on its standard input.
func TestImportInAChild(t *testing.T) {
	dir := os.Getenv(childStore)
	if dir == "" {
		t.Skip("a part of other tests")
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(t.Context(), os.Stdin, ""); err != nil {
		t.Fatal(err)
	}
}

// importing is a child that has unpacked some files of an archive and waits for more of it.
func importing(t *testing.T, s *Store, archive []byte) (cmd *exec.Cmd, rest func() error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), exe, "-test.run=^TestImportInAChild$")
	cmd.Env = append(os.Environ(), childStore+"="+filepath.Dir(s.artifacts))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	half := len(archive) / 2
	if _, err := in.Write(archive[:half]); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); len(unpacked(t, s)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the child unpacks nothing")
		}
	}
	return cmd, func() error {
		if _, err := io.Copy(in, bytes.NewReader(archive[half:])); err != nil {
			return err
		}
		in.Close()
		return cmd.Wait()
	}
}

// unpacked lists the files in drafts.
func unpacked(t *testing.T, s *Store) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.artifacts, draftPrefix+"*", treeName, "fill", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// large is an archive of several files that do not compress.
func large(t *testing.T) []byte {
	f := honest(t)
	source := rand.NewChaCha8([32]byte{})
	for _, name := range strings.Fields("a b c d e f g h") {
		content := make([]byte, 256<<10)
		if _, err := source.Read(content); err != nil {
			t.Fatal(err)
		}
		f.file("fill/"+name, 0o644, string(content))
	}
	f.seal()
	return f.archive()
}

// anything lets everything go.
func anything() Policy { return Policy{InUse: func(string, string) string { return "" }} }

func TestAKilledImportLeavesTheStoreWholeAndPruneClearsUp(t *testing.T) {
	s, _ := freshStore(t)
	archive := large(t)
	cmd, _ := importing(t, s, archive)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if list, broken, err := s.List(); err != nil || len(list)+len(broken) != 0 {
		t.Errorf("after the kill the store lists %v, %v, %v", list, broken, err)
	}
	n, err := s.Survey(anything())
	if err != nil || len(n.Unfinished) != 1 || n.Bytes == 0 {
		t.Fatalf("survey: %+v, %v", n, err)
	}
	if len(unpacked(t, s)) == 0 {
		t.Fatal("looking removed something")
	}
	// What was left does not hinder the next one.
	i, err := s.Import(t.Context(), bytes.NewReader(archive), "")
	if err != nil || i.Artifact.Verify() != nil {
		t.Fatal(err)
	}
	if err := s.Prune(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(s.artifacts); err != nil || len(left) != 1 || left[0].Name() != i.Artifact.Manifest.ID {
		t.Errorf("left after the prune: %v, %v", left, err)
	}
}

func TestPruneLeavesAnImportThatGoesOn(t *testing.T) {
	s, _ := freshStore(t)
	_, rest := importing(t, s, large(t))
	n, err := s.Survey(anything())
	if err != nil || len(n.Unfinished) != 0 {
		t.Errorf("survey: %+v, %v", n.Unfinished, err)
	}
	// Even if a survey had taken it for left over, by a hair.
	dir := filepath.Dir(filepath.Dir(filepath.Dir(unpacked(t, s)[0])))
	n.Unfinished = []Pruned{{Dir: dir}}
	if err := s.Prune(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if err := rest(); err != nil {
		t.Errorf("the import failed: %v", err)
	}
	list, _, err := s.List()
	if err != nil || len(list) != 1 || list[0].Verify() != nil {
		t.Errorf("in the store: %v, %v", list, err)
	}
}
