package artifact

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestAnExportedArtifactIsTheSameWhereItIsImported(t *testing.T) {
	from, _ := freshStore(t)
	made, err := from.Import(t.Context(), bytes.NewReader(honest(t).archive()), "")
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if _, err := from.Export(t.Context(), made.Artifact.Manifest.ID[:8], &archive); err != nil {
		t.Fatal(err)
	}
	to, _ := freshStore(t)
	got, err := to.Import(t.Context(), iotest.OneByteReader(&archive), made.Artifact.Manifest.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Already || got.Artifact.Manifest.ID != made.Artifact.Manifest.ID {
		t.Errorf("imported %s (already: %v), want %s", got.Artifact.Manifest.ID, got.Already, made.Artifact.Manifest.ID)
	}
	if err := got.Artifact.Verify(); err != nil {
		t.Error(err)
	}
	made.Artifact.Manifest.Built = got.Artifact.Manifest.Built
	if diff := cmp.Diff(made.Artifact.Manifest, got.Artifact.Manifest); diff != "" {
		t.Error(diff)
	}
	if left, err := os.ReadDir(to.artifacts); err != nil || len(left) != 1 {
		t.Errorf("in the store: %v, %v", left, err)
	}
}

func TestEqualArtifactsGiveEqualArchives(t *testing.T) {
	var archives [][]byte
	for range 2 {
		s, _ := freshStore(t)
		a := hostArtifactIn(t, s)
		for range 2 {
			var out bytes.Buffer
			if _, err := s.Export(t.Context(), a.Manifest.ID, &out); err != nil {
				t.Fatal(err)
			}
			archives = append(archives, out.Bytes())
		}
	}
	for _, other := range archives[1:] {
		if !bytes.Equal(archives[0], other) {
			t.Error("another export of an equal artifact has other bytes")
		}
	}
}

func TestImportingWhatIsThereSaysSo(t *testing.T) {
	s, _ := freshStore(t)
	archive := honest(t).archive()
	for i := range 2 {
		got, err := s.Import(t.Context(), bytes.NewReader(archive), "")
		if err != nil || got.Already != (i == 1) {
			t.Errorf("import %d: already %v, %v", i+1, got.Already, err)
		}
	}
	// Being there is no reason to take an archive that is not whole.
	if _, err := s.Import(t.Context(), bytes.NewReader(archive[:len(archive)-1]), ""); err == nil {
		t.Error("a truncated archive of an artifact that is there was taken")
	}
	if left, err := os.ReadDir(s.artifacts); err != nil || len(left) != 1 {
		t.Errorf("in the store: %v, %v", left, err)
	}
}

func TestImportDoesNotHideThatTheStoredOneIsDamaged(t *testing.T) {
	s, _ := freshStore(t)
	archive := honest(t).archive()
	got, err := s.Import(t.Context(), bytes.NewReader(archive), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(got.Artifact.Tree(), forgedPrefix, "lualib/a.lua"), []byte("return 9"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(t.Context(), bytes.NewReader(archive), ""); !errors.Is(err, ErrDamaged) {
		t.Errorf("error %v, want ErrDamaged", err)
	}
}

func TestExportNamesWhatIsDamagedAndGivesNothingThatImports(t *testing.T) {
	lua := filepath.Join(forgedPrefix, "lualib/b.lua")
	for name, tt := range map[string]struct {
		change func(tree string) error
		want   string
	}{
		"other content":  {func(tree string) error { return os.WriteFile(filepath.Join(tree, lua), []byte("return 3"), 0o644) }, lua},
		"shorter":        {func(tree string) error { return os.Truncate(filepath.Join(tree, lua), 3) }, lua},
		"longer":         {func(tree string) error { return os.Truncate(filepath.Join(tree, lua), 300) }, lua},
		"missing":        {func(tree string) error { return os.Remove(filepath.Join(tree, lua)) }, lua},
		"another file":   {func(tree string) error { return os.WriteFile(filepath.Join(tree, "x"), nil, 0o644) }, "x is not in"},
		"another mode":   {func(tree string) error { return os.Chmod(filepath.Join(tree, lua), 0o600) }, lua},
		"a link instead": {func(tree string) error { return relink(filepath.Join(tree, lua), "/etc/passwd") }, lua},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := freshStore(t)
			got, err := s.Import(t.Context(), bytes.NewReader(honest(t).archive()), "")
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.change(got.Artifact.Tree()); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if _, err := s.Export(t.Context(), got.Artifact.Manifest.ID, &out); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want ErrDamaged and %q", err, tt.want)
			}
			other, _ := freshStore(t)
			if _, err := other.Import(t.Context(), &out, ""); err == nil {
				t.Error("what was exported until then can be imported")
			}
		})
	}
}

func relink(at, to string) error { return errors.Join(os.Remove(at), os.Symlink(to, at)) }

func TestATruncatedArchiveIsRefusedAtEveryByte(t *testing.T) {
	archive := honest(t).archive()
	s, _ := freshStore(t)
	for n := range len(archive) {
		_, err := s.Import(t.Context(), bytes.NewReader(archive[:n]), "")
		refused(t, err, RuleArchive, "archive")
		if err == nil || !strings.Contains(err.Error(), "cut short") {
			t.Fatalf("%d of %d bytes: %v", n, len(archive), err)
		}
	}
	holdsNothing(t, s)
}

// zstd and tar have bits that say nothing: an archive in which one of them is another holds the same
// artifact. No changed byte may ever give another one.
func TestAChangedByteGivesNoOtherArtifact(t *testing.T) {
	f := honest(t)
	plain, archive := f.tar(), f.archive()
	for name, tt := range map[string]struct {
		data []byte
		step int
		pack func([]byte) []byte
	}{
		"of the archive":    {archive, 3, func(data []byte) []byte { return data }},
		"of the tar inside": {plain, 101, func(data []byte) []byte { return compress(t, data) }},
		"of the manifest":   {plain[:block+600], 5, func(data []byte) []byte { return compress(t, append(data, plain[block+600:]...)) }},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := freshStore(t)
			noticed := 0
			for i := 0; i < len(tt.data); i += tt.step {
				changed := slices.Clone(tt.data)
				changed[i] ^= 0x10
				got, err := s.Import(t.Context(), bytes.NewReader(tt.pack(changed)), "")
				if err != nil {
					noticed++
					continue
				}
				if err := got.Artifact.Verify(); err != nil || got.Artifact.Manifest.ID != f.manifest.ID {
					t.Fatalf("byte %d was changed, and taken as %s (%v)", i, got.Artifact.Manifest.ID, err)
				}
			}
			if noticed == 0 {
				t.Error("nothing was noticed")
			}
		})
	}
}

func TestOneChangedByteOfContentIsNamed(t *testing.T) {
	s, _ := freshStore(t)
	for _, path := range []string{forgedPrefix + "/lualib/a.lua", forgedPrefix + "/nginx/sbin/nginx", "debug/nginx.debug"} {
		f := honest(t)
		f.at(path).content[3] ^= 1
		_, err := s.Import(t.Context(), bytes.NewReader(f.archive()), "")
		refused(t, err, RuleContent, path)
	}
	f := honest(t)
	text, err := f.manifest.encode()
	if err != nil {
		t.Fatal(err)
	}
	f.text = bytes.Replace(text, []byte("same meaning"), []byte("some meaning"), 1)
	_, err = s.Import(t.Context(), bytes.NewReader(f.archive()), "")
	refused(t, err, RuleID, manifestName)
	holdsNothing(t, s)
}

func TestOnlyTheExpectedArtifactIsTaken(t *testing.T) {
	s, _ := freshStore(t)
	f := honest(t)
	other := strings.Repeat("0", 63) + "1"
	_, err := s.Import(t.Context(), bytes.NewReader(f.archive()), other)
	refused(t, err, RuleExpect, manifestName)
	holdsNothing(t, s)
	for _, part := range []string{f.manifest.ID[:12], "", "nonsense", strings.ToUpper(f.manifest.ID)} {
		if _, err := s.Import(t.Context(), bytes.NewReader(f.archive()), part); err == nil && part != "" {
			t.Errorf("expecting %q was good enough", part)
		}
	}
}

// stopping cancels after some bytes.
type stopping struct {
	r      io.Reader
	left   int
	cancel context.CancelFunc
}

func (s *stopping) Read(p []byte) (int, error) {
	if s.left <= 0 {
		s.cancel()
	}
	n, err := s.r.Read(p[:min(len(p), 64)])
	s.left -= n
	return n, err
}

func TestAnInterruptedImportLeavesNothing(t *testing.T) {
	archive := honest(t).archive()
	s, _ := freshStore(t)
	for _, after := range []int{0, 100, len(archive) / 2, len(archive) - 64} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.Import(ctx, &stopping{bytes.NewReader(archive), after, cancel}, "")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %d bytes: %v", after, err)
		}
		cancel()
	}
	holdsNothing(t, s)
}

func TestAFailingReaderIsNotTheArchivesFault(t *testing.T) {
	archive := honest(t).archive()
	s, _ := freshStore(t)
	broken := errors.New("disk on fire")
	_, err := s.Import(t.Context(), io.MultiReader(bytes.NewReader(archive[:200]), iotest.ErrReader(broken)), "")
	var r *RefusedError
	if !errors.Is(err, broken) || errors.As(err, &r) {
		t.Errorf("error %v, want the reader's own", err)
	}
	holdsNothing(t, s)
}
