package source

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"graft/internal/artifact"
	"graft/internal/build/job"
)

// site serves releases over TLS, as OpenResty's does, signed with a key of its own.
type site struct {
	*httptest.Server
	signer *openpgp.Entity
	key    string // file of the public key
	files  map[string][]byte
	asked  []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	signer, err := openpgp.NewEntity("releases", "", "releases@example.invalid", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{signer: signer, key: filepath.Join(t.TempDir(), "key.asc"), files: map[string][]byte{}}
	var public bytes.Buffer
	w, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	if err == nil {
		err = signer.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.WriteFile(s.key, public.Bytes(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r.URL.Path)
		text, ok := s.files[path.Base(r.URL.Path)]
		if strings.HasSuffix(r.URL.Path, "/") {
			for name := range s.files {
				_, _ = w.Write([]byte(`<a href="` + name + `">` + name + "</a>\n"))
			}
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(s.Close)
	return s
}

// publish puts a file on the site, signed.
func (s *site) publish(t *testing.T, name string, content []byte) {
	t.Helper()
	var signature bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&signature, []*openpgp.Entity{s.signer}, bytes.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
	s.files[name], s.files[name+".asc"] = content, signature.Bytes()
}

func (s *site) query(t *testing.T, name string) Query {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return Query{Name: name, CacheDir: t.TempDir(), Trust: Trust{Mirror: s.URL + "/pub", Keys: []string{s.key}, RootCAs: pool}}
}

// release is a tarball of OpenResty 1.21.4.1 below a directory of that, or of another, name.
func release(t *testing.T, top string) []byte {
	t.Helper()
	var entries []entry
	for _, e := range openRestyEntries {
		e.name = strings.Replace(e.name, "openresty-1.21.4.1", top, 1)
		entries = append(entries, e)
	}
	text, err := os.ReadFile(tarball(t, entries...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestReleaseIsDownloadedAndItsSignatureChecked(t *testing.T) {
	s := newSite(t)
	content := release(t, "openresty-1.21.4.1")
	s.publish(t, "openresty-1.21.4.1.tar.gz", content)
	s.publish(t, "openresty-1.19.9.1.tar.gz", []byte("older"))
	s.files["openresty-1.27.1.1rc1.tar.gz"] = []byte("a candidate")
	q := s.query(t, "latest")
	name, err := ResolveLatest(t.Context(), q)
	if err != nil || name != "openresty-1.21.4.1" {
		t.Fatalf("latest: %q, %v", name, err)
	}
	q.Name = name
	for range 2 {
		found, err := Find(t.Context(), q, job.Silent())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		m := found.Manifest
		if found.Layout != LayoutOpenResty || found.Version != "1.21.4.1" || m.SHA256 != hex.EncodeToString(sum[:]) || m.Signature == nil ||
			m.Signature.Status != artifact.SignatureGood || !strings.EqualFold(m.Signature.Fingerprint, hex.EncodeToString(s.signer.PrimaryKey.Fingerprint)) {
			t.Errorf("%+v %+v", m, m.Signature)
		}
	}
	// The second time nothing is asked: what lies here verifies.
	if want := "/pub/ /pub/openresty-1.21.4.1.tar.gz.asc /pub/openresty-1.21.4.1.tar.gz"; strings.Join(s.asked, " ") != want {
		t.Errorf("asked for %q", s.asked)
	}
}

func TestReleaseThatIsNotSignedAsItShouldBeIsRefused(t *testing.T) {
	const name = "openresty-1.27.1.2.tar.gz"
	for what, tt := range map[string]struct {
		spoil func(*testing.T, *site, *Query)
		want  string
	}{
		"tampered":                 {func(_ *testing.T, s *site, _ *Query) { s.files[name] = append(s.files[name], 0) }, "signature"},
		"no signature":             {func(_ *testing.T, s *site, _ *Query) { delete(s.files, name+".asc") }, "--insecure-no-signature"},
		"not OpenResty's own key":  {func(_ *testing.T, _ *site, q *Query) { q.Keys = nil }, "25451EB088460026195BD62CB550E09EA0E98066"},
		"another sum":              {func(_ *testing.T, _ *site, q *Query) { q.SHA256 = strings.Repeat("0", 64) }, "SHA-256"},
		"an old one, newly named":  {func(t *testing.T, s *site, _ *Query) { s.publish(t, name, release(t, "openresty-1.21.4.1")) }, "openresty-1.27.1.2"},
		"an old one, top renamed":  {func(*testing.T, *site, *Query) {}, "1.21.4.1"},
		"no such version":          {func(_ *testing.T, s *site, _ *Query) { clear(s.files) }, "--mirror"},
		"a key that is not a file": {func(_ *testing.T, _ *site, q *Query) { q.Keys = []string{"/nonesuch"} }, "/nonesuch"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t)
			s.publish(t, name, release(t, "openresty-1.27.1.2"))
			q := s.query(t, "openresty-1.27.1.2")
			tt.spoil(t, s, &q)
			if _, err := Find(t.Context(), q, job.Silent()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestUnsignedIsTakenOnlyWhenSaidSoAndTheManifestTells(t *testing.T) {
	s := newSite(t)
	s.files["openresty-1.21.4.1.tar.gz"] = release(t, "openresty-1.21.4.1")
	q := s.query(t, s.URL+"/elsewhere/openresty-1.21.4.1.tar.gz")
	if _, err := Find(t.Context(), q, job.Silent()); err == nil {
		t.Fatal("taken without a signature")
	}
	q.InsecureNoSignature = true
	found, err := Find(t.Context(), q, job.Silent())
	if err != nil {
		t.Fatal(err)
	}
	if found.Manifest.Signature.Status != artifact.SignatureSkipped || len(found.Warnings) != 1 {
		t.Errorf("%+v %q", found.Manifest.Signature, found.Warnings)
	}
}

func TestTarballOfThisMachine(t *testing.T) {
	s := newSite(t)
	content := release(t, "openresty-1.21.4.1")
	s.publish(t, "x", content)
	sum := sha256.Sum256(content)
	for what, tt := range map[string]struct {
		signature []byte
		trust     Trust
		want      string // status, or a word of the error
	}{
		"alone":                             {nil, Trust{}, "none"},
		"with the right sum":                {nil, Trust{SHA256: strings.ToUpper(hex.EncodeToString(sum[:]))}, "none"},
		"with another sum":                  {nil, Trust{SHA256: strings.Repeat("0", 64)}, "not 0000"},
		"with its signature":                {s.files["x.asc"], Trust{Keys: []string{s.key}}, "good"},
		"with a stranger's signature":       {s.files["x.asc"], Trust{}, "25451EB088460026195BD62CB550E09EA0E98066"},
		"with a key named and no signature": {nil, Trust{Keys: []string{s.key}}, "source.tar.gz"},
		"with a signature not looked at":    {s.files["x.asc"], Trust{InsecureNoSignature: true}, "skipped"},
	} {
		t.Run(what, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "source.tar.gz")
			if err := os.WriteFile(file, content, 0o644); err != nil {
				t.Fatal(err)
			}
			if tt.signature != nil {
				if err := os.WriteFile(file+".asc", tt.signature, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			found, err := Find(t.Context(), Query{Name: file, CacheDir: t.TempDir(), Trust: tt.trust}, job.Silent())
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = string(found.Manifest.Signature.Status)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// Every compression is told by the file's first bytes.
func TestTarballInAnyCompression(t *testing.T) {
	plain := tarball(t, openRestyEntries...)
	for _, tool := range []string{"xz", "bzip2", "cat"} {
		t.Run(tool, func(t *testing.T) {
			if _, err := exec.LookPath(tool); err != nil {
				t.Skip(err)
			}
			out := compressWith(t, tool, plain)
			found, err := findTarball(t.Context(), out, t.TempDir())
			if err != nil || found.Version != "1.21.4.1" {
				t.Errorf("%+v, %v", found.Facts, err)
			}
		})
	}
}
