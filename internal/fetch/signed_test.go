package fetch_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"graft/internal/fetch"
)

// mirror serves files by path, and counts who asked for what.
type mirror struct {
	*origin
	files map[string][]byte

	mu    sync.Mutex
	asked []string
}

func newMirror(t *testing.T, files map[string][]byte) *mirror {
	t.Helper()
	m := &mirror{files: files}
	serve := func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.asked = append(m.asked, r.URL.Path)
		data, ok := m.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(data)
	}
	m.origin = newOrigin(t, overTLS, slices.Repeat([]http.HandlerFunc{serve}, 100)...)
	return m
}

// put replaces a file; nil removes it.
func (m *mirror) put(path string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data == nil {
		delete(m.files, path)
		return
	}
	m.files[path] = data
}

// since returns what was asked for since the last call.
func (m *mirror) since() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := m.asked
	m.asked = nil
	return asked
}

// tarball with one file in a top directory.
func tarball(t *testing.T, top string) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	body := "#!/usr/bin/env perl\n"
	err := errors.Join(
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "x"}}),
		w.WriteHeader(&tar.Header{Name: "./" + top + "/configure", Mode: 0o755, Size: int64(len(body))}))
	if _, writeErr := w.Write([]byte(body)); errors.Join(err, writeErr, w.Close(), gz.Close()) != nil {
		t.Fatal(err, writeErr)
	}
	return b.Bytes()
}

const (
	release    = "/openresty-1.31.3.4.tar.gz"
	releaseAsc = release + ".asc"
)

// published is a mirror with one well signed release, and how to ask for it.
func published(t *testing.T) (*mirror, fetch.Releases, fetch.Signed) {
	t.Helper()
	data := tarball(t, "openresty-1.31.3.4")
	m := newMirror(t, map[string][]byte{release: data, releaseAsc: armored("PGP SIGNATURE", recipe{}.sign(releaseKey(), data))})
	s := fetch.Signed{Request: m.request(t), Keys: trusting(t, public(releaseKey()))}
	s.URL = ""
	return m, fetch.Releases{Mirror: m.URL}, s
}

// nothingKept expects that neither the file nor its signature lies in dir.
func nothingKept(t *testing.T, dir string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(dir, "[^.]*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAReleaseIsDownloadedVerifiedAndThenKept(t *testing.T) {
	m, releases, s := published(t)
	got, err := releases.Tarball(t.Context(), "1.31.3.4", s)
	if err != nil {
		t.Fatal(err)
	}
	data := m.files[release]
	holds(t, got.Path, data)
	if got.URL != m.URL+release || got.SHA256 != sum(data) || got.Signature.Fingerprint != hexOf(releaseKey()) {
		t.Errorf("%+v", got)
	}
	if asked := m.since(); !slices.Equal(asked, []string{releaseAsc, release}) {
		t.Errorf("asked for %v", asked)
	}

	again, err := releases.Tarball(t.Context(), "1.31.3.4", s)
	if err != nil || *again.Signature != *got.Signature || again.Path != got.Path {
		t.Errorf("%+v, %v", again, err)
	}
	if asked := m.since(); len(asked) > 0 {
		t.Errorf("asked again for %v", asked)
	}
}

func TestAKeptReleaseThatWasTamperedWithIsDownloadedAgain(t *testing.T) {
	m, releases, s := published(t)
	for _, name := range []string{release, releaseAsc} {
		if _, err := releases.Tarball(t.Context(), "1.31.3.4", s); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte("tampered"), 0o644); err != nil {
			t.Fatal(err)
		}
		m.since()
		got, err := releases.Tarball(t.Context(), "1.31.3.4", s)
		if err != nil || len(m.since()) != 2 {
			t.Fatal(err)
		}
		holds(t, got.Path, m.files[release])
	}
}

func TestAllWhoFindATamperedReleaseGetTheGoodOneThatOneOfThemDownloads(t *testing.T) {
	m, releases, s := published(t)
	for _, name := range []string{release, releaseAsc} {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte("tampered"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if got, err := releases.Tarball(t.Context(), "1.31.3.4", s); err != nil || got.SHA256 != sum(tarball(t, "openresty-1.31.3.4")) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	all.Wait()
	if asked := m.since(); !slices.Equal(asked, []string{releaseAsc, release}) {
		t.Errorf("asked for %v", asked)
	}
}

func TestAReleaseWhoseSignatureIsMissingHereNeedsOnlyThat(t *testing.T) {
	m, releases, s := published(t)
	if err := os.WriteFile(filepath.Join(s.Dir, release), m.files[release], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := releases.Tarball(t.Context(), "1.31.3.4", s); err != nil {
		t.Fatal(err)
	}
	if asked := m.since(); !slices.Equal(asked, []string{releaseAsc}) {
		t.Errorf("asked for %v", asked)
	}
}

func TestABadReleaseIsRefusedAndNotKept(t *testing.T) {
	good := tarball(t, "openresty-1.31.3.4")
	for name, tt := range map[string]struct {
		tamper func(*mirror)
		kind   fetch.Kind
	}{
		"tampered tarball":   {func(m *mirror) { m.put(release, append(slices.Clone(good), 0)) }, fetch.BadSignature},
		"another's":          {func(m *mirror) { m.put(releaseAsc, recipe{}.sign(strangerKey(), good)) }, fetch.WrongKey},
		"SHA-1":              {func(m *mirror) { m.put(releaseAsc, recipe{hash: crypto.SHA1, hashID: 2}.sign(releaseKey(), good)) }, fetch.WeakHash},
		"no signature":       {func(m *mirror) { m.put(releaseAsc, nil) }, fetch.NoSignature},
		"a page in place":    {func(m *mirror) { m.put(releaseAsc, []byte("<html>sorry</html>")) }, fetch.NoSignature},
		"an empty signature": {func(m *mirror) { m.put(releaseAsc, []byte{}) }, fetch.NoSignature},
	} {
		t.Run(name, func(t *testing.T) {
			m, releases, s := published(t)
			tt.tamper(m)
			_, err := releases.Tarball(t.Context(), "1.31.3.4", s)
			refused(t, err, tt.kind, m.URL+release, m.URL+releaseAsc)
			nothingKept(t, s.Dir)
		})
	}
}

func TestAVersionThatDoesNotExistIsNotCalledUnsigned(t *testing.T) {
	m, releases, s := published(t)
	_, err := releases.Tarball(t.Context(), "1.31.3.5", s)
	status, ok := errors.AsType[*fetch.StatusError](err)
	if !ok || status.Status != 404 || status.URL != m.URL+"/openresty-1.31.3.5.tar.gz" {
		t.Fatal(err)
	}
	says(t, err, "openresty.org/en/download.html", "--mirror")
	nothingKept(t, s.Dir)
}

func TestAnOldReleaseUnderANewNameIsRefused(t *testing.T) {
	for _, top := range []string{"openresty-1.31.3.3", "", "openresty-1.31.3.4x"} {
		m, releases, s := published(t)
		data := tarball(t, top)
		m.put(release, data)
		m.put(releaseAsc, recipe{}.sign(releaseKey(), data))
		_, err := releases.Tarball(t.Context(), "1.31.3.4", s)
		if err == nil {
			t.Fatal(top)
		}
		says(t, err, m.URL+release, "not openresty-1.31.3.4", "--mirror")
		nothingKept(t, s.Dir)
	}
	m, releases, s := published(t)
	m.put(release, content)
	m.put(releaseAsc, recipe{}.sign(releaseKey(), content))
	if _, err := releases.Tarball(t.Context(), "1.31.3.4", s); err == nil || !strings.Contains(err.Error(), "no gzipped tar") {
		t.Error(err)
	}
}

func TestASHA256IsCheckedBesideTheSignature(t *testing.T) {
	m, releases, s := published(t)
	s.SHA256 = sum(m.files[release])
	if _, err := releases.Tarball(t.Context(), "1.31.3.4", s); err != nil {
		t.Fatal(err)
	}
	s.SHA256 = sum([]byte("another"))
	_, err := releases.Tarball(t.Context(), "1.31.3.4", s)
	if _, ok := errors.AsType[*fetch.SumError](err); !ok {
		t.Error(err)
	}
	nothingKept(t, s.Dir)
}

func TestWithoutSignatureOnlyWhenToldSo(t *testing.T) {
	m, releases, s := published(t)
	m.put(releaseAsc, nil)
	s.InsecureNoSignature = true
	got, err := releases.Tarball(t.Context(), "1.31.3.4", s)
	if err != nil || got.Signature != nil || got.SHA256 != sum(m.files[release]) {
		t.Errorf("%+v, %v", got, err)
	}
	if asked := m.since(); !slices.Equal(asked, []string{release}) {
		t.Errorf("asked for %v", asked)
	}
	s.SHA256 = sum([]byte("another"))
	if _, err := releases.Tarball(t.Context(), "1.31.3.4", s); err == nil {
		t.Error("taken with another SHA-256")
	}
}

func TestAnyURLCanBeSignedFor(t *testing.T) {
	data := []byte("nginx")
	m := newMirror(t, map[string][]byte{"/a b/nginx-1.30.0.tar.gz": data, "/a b/nginx-1.30.0.tar.gz.asc": recipe{}.sign(releaseKey(), data), "/sigs/x": recipe{}.sign(releaseKey(), data)})
	s := fetch.Signed{Request: m.request(t), Keys: trusting(t, public(releaseKey()))}
	s.URL = m.URL + "/a%20b/nginx-1.30.0.tar.gz?token=1"
	if got, err := s.Get(t.Context()); err != nil || filepath.Base(got.Path) != "nginx-1.30.0.tar.gz" {
		t.Errorf("%+v, %v", got, err)
	}
	s.Dir, s.SignatureURL = t.TempDir(), m.URL+"/sigs/x"
	if _, err := s.Get(t.Context()); err != nil {
		t.Error(err)
	}
	s.Dir, s.SignatureURL = t.TempDir(), "nowhere"
	if _, err := s.Get(t.Context()); err == nil {
		t.Error("a signature from nowhere")
	}
}
