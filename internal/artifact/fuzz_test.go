package artifact

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzImport changes archives beneath their compression, whose checksum would stop every change. With
// reseal the manifest is given the ID that its changed content should have, as a forger would: then what
// follows the manifest is what is put to the test.
//
// Whatever is imported, nothing outside of the store is written, what the store then holds is what its
// own manifest says, under its own ID, and memory stays bounded.
func FuzzImport(f *testing.F) {
	for _, list := range [][]hostile{hostileArchives(), hostileManifests()} {
		for _, h := range list {
			if data, ok := beneath(h.archive(f)); ok {
				f.Add(data, false)
				f.Add(data, true)
			}
		}
	}
	f.Add(honest(f).tar(), false)
	f.Add(honest(f).tar(), true)
	f.Fuzz(func(t *testing.T, data []byte, reseal bool) {
		if len(data) > 1<<20 {
			t.Skip("as large as it needs to be")
		}
		if reseal {
			data = resealed(data)
		}
		s, dir := freshStore(t)
		before := outside(t, dir)
		archive := compress(t, data)
		var start, end runtime.MemStats
		runtime.ReadMemStats(&start)
		got, err := s.Import(t.Context(), bytes.NewReader(archive), "")
		runtime.ReadMemStats(&end)
		if taken := end.TotalAlloc - start.TotalAlloc; taken > maxImportMemory {
			t.Errorf("%d bytes took %d bytes of memory", len(data), taken)
		}
		if err != nil {
			holdsNothing(t, s)
		} else if err := got.Artifact.Verify(); err != nil {
			t.Errorf("imported, but %v", err)
		} else if sum, err := got.Artifact.Manifest.sum(); err != nil || sum != got.Artifact.Manifest.ID || filepath.Base(got.Artifact.Dir) != sum {
			t.Errorf("imported as %s, whose content is %s, %v", filepath.Base(got.Artifact.Dir), sum, err)
		}
		if diff := cmp.Diff(before, outside(t, dir)); diff != "" {
			t.Errorf("something outside of the store has changed:\n%s", diff)
		}
	})
}

// maxImportMemory is what an import of at most 1 MiB may take together, freed or not: zstd's window,
// and some copies of the manifest.
const maxImportMemory = 96 << 20

// outside makes, if they are not there, files and links beside the store that a hostile archive would
// reach for, and lists all that is there.
func outside(t testing.TB, dir string) map[string]string {
	t.Helper()
	etc := filepath.Join(dir, "etc")
	if !exists(etc) {
		err := errors.Join(os.Mkdir(etc, 0o755), os.WriteFile(filepath.Join(etc, "passwd"), []byte("root"), 0o600),
			os.Symlink("etc", filepath.Join(dir, "opt")), os.Symlink(etc, filepath.Join(dir, "tree")))
		if err != nil {
			t.Fatal(err)
		}
	}
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		if d.Name() == "state" && d.IsDir() {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, link := []byte{}, ""
		switch info.Mode().Type() {
		case 0:
			text, err = os.ReadFile(path)
		case fs.ModeSymlink:
			link, err = os.Readlink(path)
		}
		found[path] = fmt.Sprintf("%v %q %q", info.Mode(), text, link)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// beneath is what a whole zstd frame holds; some hostile archives are none.
func beneath(archive []byte) (data []byte, ok bool) {
	r, err := newDecoder(bytes.NewReader(archive))
	if err != nil {
		return nil, false
	}
	defer r.Close()
	var out bytes.Buffer
	_, err = out.ReadFrom(&bounded{r: r, left: 1 << 20})
	return out.Bytes(), err == nil
}

type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, os.ErrInvalid
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// resealed gives the manifest in front the ID of its content, if it can be read at all.
func resealed(data []byte) []byte {
	r := tar.NewReader(bytes.NewReader(data))
	h, err := r.Next()
	if err != nil || h.Size > int64(len(data)) {
		return data
	}
	text := make([]byte, h.Size)
	if _, err := io.ReadFull(r, text); err != nil {
		return data
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return data
	}
	if m.ID, err = m.sum(); err != nil {
		return data
	}
	if text, err = m.encode(); err != nil {
		return data
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(manifestHeader(int64(len(text)))); err != nil {
		return data
	}
	if _, err := w.Write(text); err != nil || w.Flush() != nil {
		return data
	}
	rest := block + (h.Size+block-1)/block*block
	if rest > int64(len(data)) {
		return data
	}
	return append(out.Bytes(), data[rest:]...)
}

// A forged ID is what resealed is for: were it never right, the fuzzing would end at the manifest.
func TestResealedArchivesAreTaken(t *testing.T) {
	f := honest(t)
	f.manifest.Name = "another name"
	s, _ := freshStore(t)
	if _, err := s.Import(t.Context(), bytes.NewReader(compress(t, f.tar())), ""); err == nil {
		t.Fatal("an ID that is not the content's was taken")
	}
	if _, err := s.Import(t.Context(), bytes.NewReader(compress(t, resealed(f.tar()))), ""); err != nil {
		t.Error(err)
	}
}
