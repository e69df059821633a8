package artifact

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"graft/internal/nginx"
)

// forged is an archive in parts, to be changed and put together again.
type forged struct {
	t        testing.TB
	manifest Manifest
	text     []byte      // of the manifest; nil: what manifest encodes to
	first    *tar.Header // of the manifest; nil: the usual one
	entries  []forgedEntry
	noEnd    bool   // leave out the end of the tar
	tail     []byte // after it
	encoder  []zstd.EOption
	after    func(archive []byte) []byte // change the compressed bytes
}

type forgedEntry struct {
	header  tar.Header
	content []byte
}

const forgedPrefix = "opt/rt"

// honest is the archive of a small artifact: a binary, a runtime with a link and an empty directory, and
// a file outside of the prefix.
func honest(t testing.TB) *forged {
	t.Helper()
	f := &forged{t: t, manifest: Manifest{
		Name: "openresty 1", Flavor: nginx.FlavorOpenResty, Version: "1", Binary: forgedPrefix + "/nginx/sbin/nginx", Prefix: "/" + forgedPrefix,
		Build:  nginx.Build{Flavor: nginx.FlavorOpenResty, Version: "1", Configure: []string{"--with-threads"}, Conf: "/etc/nginx/nginx.conf"},
		Source: Source{Kind: "tarball", Location: "openresty-1.tar.gz"},
		Flags:  []Flag{{Flag: "--with-threads", Action: Keep, Reason: "same meaning"}},
	}}
	f.file("debug/nginx.debug", 0o644, "symbols")
	f.link(forgedPrefix+"/bin/openresty", "/opt/rt/nginx/sbin/nginx")
	f.file(forgedPrefix+"/lualib/a.lua", 0o644, "return 1")
	f.file(forgedPrefix+"/lualib/b.lua", 0o644, "return 2")
	f.file(f.manifest.Binary, 0o755, string(smallELF(t, "libc.so.6")))
	f.dir(forgedPrefix + "/site")
	f.seal()
	return f
}

func (f *forged) file(path string, mode os.FileMode, content string) {
	sum := sha256.Sum256([]byte(content))
	f.add(File{Path: path, Mode: mode, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}, content)
}

func (f *forged) link(path, to string) { f.add(File{Path: path, Mode: linkMode, Link: to}, "") }

func (f *forged) dir(path string) { f.add(File{Path: path, Mode: dirMode}, "") }

// add adds the file to the manifest and to the archive, both sorted.
func (f *forged) add(file File, content string) {
	byPath := func(a, b File) int { return strings.Compare(a.Path, b.Path) }
	at, _ := slices.BinarySearchFunc(f.manifest.Files, file, byPath)
	f.manifest.Files = slices.Insert(f.manifest.Files, at, file)
	f.entries = slices.Insert(f.entries, at, forgedEntry{*file.header(), []byte(content)})
}

// seal gives the manifest the ID that it should have.
func (f *forged) seal() {
	f.t.Helper()
	f.manifest.Schema, f.manifest.Built = schema, ""
	if f.manifest.Libraries == nil {
		f.manifest.Libraries = []string{"libc.so.6"}
	}
	var err error
	if f.manifest.ID, err = f.manifest.sum(); err != nil {
		f.t.Fatal(err)
	}
}

// at is the archive's entry of a path.
func (f *forged) at(path string) *forgedEntry {
	f.t.Helper()
	for i := range f.entries {
		if strings.TrimSuffix(f.entries[i].header.Name, "/") == treeName+"/"+path {
			return &f.entries[i]
		}
	}
	f.t.Fatalf("no entry %s", path)
	return nil
}

// listed is the manifest's entry of a path.
func (f *forged) listed(path string) *File {
	f.t.Helper()
	for i := range f.manifest.Files {
		if f.manifest.Files[i].Path == path {
			return &f.manifest.Files[i]
		}
	}
	f.t.Fatalf("%s is not listed", path)
	return nil
}

// tar is the archive before it is compressed.
func (f *forged) tar() []byte {
	f.t.Helper()
	text := f.text
	if text == nil {
		var err error
		if text, err = f.manifest.encode(); err != nil {
			f.t.Fatal(err)
		}
	}
	first := f.first
	if first == nil {
		first = manifestHeader(int64(len(text)))
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range append([]forgedEntry{{*first, text}}, f.entries...) {
		if err := w.WriteHeader(&e.header); err != nil {
			f.t.Fatal(err)
		}
		if e.header.Typeflag == tar.TypeReg {
			if _, err := w.Write(e.content); err != nil && !errors.Is(err, tar.ErrWriteTooLong) {
				f.t.Fatal(err)
			}
		}
	}
	end := w.Flush
	if !f.noEnd {
		end = w.Close
	}
	if err := end(); err != nil {
		f.t.Fatal(err)
	}
	return append(out.Bytes(), f.tail...)
}

func (f *forged) archive() []byte {
	f.t.Helper()
	out := compress(f.t, f.tar(), f.encoder...)
	if f.after != nil {
		out = f.after(out)
	}
	return out
}

func compress(t testing.TB, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := newEncoder(&out)
	if len(options) > 0 {
		w, err = zstd.NewWriter(&out, options...)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decompress(t testing.TB, archive []byte) []byte {
	t.Helper()
	r, err := zstd.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// freshStore is an empty store, and the directory that it is in: in memory where there is such a place,
// since these tests do thousands of imports and each is fsynced.
func freshStore(t testing.TB) (*Store, string) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "graft-test-*") //nolint:usetesting // not in memory
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// holdsNothing fails the test if anything is below the store, half an artifact or a whole one.
func holdsNothing(t testing.TB, s *Store) {
	t.Helper()
	left, err := os.ReadDir(s.artifacts)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
}

// refused fails the test unless the error names the rule and the entry.
func refused(t testing.TB, err error, rule Rule, entry string) {
	t.Helper()
	var r *RefusedError
	if !errors.As(err, &r) {
		t.Errorf("error %v, want one of the rule %q", err, rule)
		return
	}
	if r.Rule != rule || !strings.Contains(r.Entry, entry) {
		t.Errorf("refused %q by the rule %q (%v), want %q by %q", r.Entry, r.Rule, err, entry, rule)
	}
	if !strings.Contains(err.Error(), string(rule)) {
		t.Errorf("the message does not name the rule: %v", err)
	}
}
