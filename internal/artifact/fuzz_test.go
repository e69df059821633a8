package artifact

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzImport changes archives beneath their compression, whose checksum would stop every change. With
// reseal the manifest is given the ID that its changed content should have, as a forger would: then what
// follows the manifest is what is put to the test.
//
// Whatever is imported, nothing outside of the store is written, and what the store then holds is what its
// own manifest says, under its own ID.
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
		sentinel := filepath.Join(dir, "sentinel")
		if err := os.WriteFile(sentinel, []byte("untouched"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := s.Import(t.Context(), bytes.NewReader(compress(t, data)), "")
		if err != nil {
			holdsNothing(t, s)
		} else if err := got.Artifact.Verify(); err != nil {
			t.Errorf("imported, but %v", err)
		} else if sum, err := got.Artifact.Manifest.sum(); err != nil || sum != got.Artifact.Manifest.ID || filepath.Base(got.Artifact.Dir) != sum {
			t.Errorf("imported as %s, whose content is %s, %v", filepath.Base(got.Artifact.Dir), sum, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "sentinel" && e.Name() != "state" {
				t.Errorf("written beside the store: %s", e.Name())
			}
		}
		if text, err := os.ReadFile(sentinel); err != nil || string(text) != "untouched" {
			t.Errorf("the file beside the store: %q, %v", text, err)
		}
	})
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
	r    interface{ Read([]byte) (int, error) }
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
	if _, err := r.Read(text); err != nil && len(text) == 0 {
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
	rest := 512 + (h.Size+511)/512*512
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
