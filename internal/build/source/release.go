package source

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"graft/internal/artifact"
	"graft/internal/build/job"
	"graft/internal/fetch"
)

// Trust says how a downloaded, or local, tarball is made sure of.
type Trust struct {
	Mirror              string   // URL of a directory with OpenResty's releases; empty: OpenResty's own
	SHA256              string   // of the tarball, hexadecimal; empty: not known
	Keys                []string // files of public keys; empty: OpenResty's release key, which graft has
	InsecureNoSignature bool     // take it without a signature, and say so in the manifest

	RootCAs *x509.CertPool // nil: the system's
}

const latest = "latest"

// IsLatest tells whether a source's name stands for the newest release of OpenResty.
func IsLatest(name string) bool { return name == latest || name == "openresty-"+latest }

// isURL: everything else is a file, a directory or a version.
func isURL(name string) bool {
	return strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://")
}

// ResolveLatest returns the name of the newest release if that is what q asks for, else q's own name.
func ResolveLatest(ctx context.Context, q Query) (string, error) {
	if !IsLatest(q.Name) || KindOf(q.Name) != FromNetwork {
		return q.Name, nil
	}
	version, err := fetch.Releases{Mirror: q.Mirror}.Latest(ctx, fetch.Settings{RootCAs: q.RootCAs})
	if err != nil {
		return "", err
	}
	return "openresty-" + version, nil
}

// findRelease downloads a version of OpenResty and its signature.
func findRelease(ctx context.Context, q Query, j *job.Job, f Facts) (Source, error) {
	if f.Name != "openresty" {
		return Source{}, fmt.Errorf("source %q: graft knows the place of OpenResty's releases alone: give the URL of %s's tarball, with --key FILE that signed it, or a file", q.Name, f.Name)
	}
	signed, err := q.signed(j)
	if err != nil {
		return Source{}, err
	}
	got, err := fetch.Releases{Mirror: q.Mirror}.Tarball(ctx, f.Version, signed)
	if err != nil {
		return Source{}, fmt.Errorf("download OpenResty %s: %w", f.Version, err)
	}
	s, err := downloaded(ctx, q, got)
	if err == nil && (s.Name != f.Name || s.Version != f.Version) {
		err = fmt.Errorf("%s holds %s %s, not OpenResty %s, though its signature is good: an old release under a new name; get it from another --mirror", got.URL, s.Name, s.Version, f.Version)
	}
	return s, err
}

// findURL downloads a tarball from anywhere, and its signature, which has the same name with .asc.
func findURL(ctx context.Context, q Query, j *job.Job) (Source, error) {
	signed, err := q.signed(j)
	if err != nil {
		return Source{}, err
	}
	u, err := url.Parse(q.Name)
	if err != nil {
		return Source{}, fmt.Errorf("source: %w", err)
	}
	signed.URL = q.Name
	// Two sites may call different files alike.
	signed.Dir = filepath.Join(signed.Dir, url.PathEscape(u.Host+path.Dir(u.Path)))
	got, err := signed.Get(ctx)
	if err != nil {
		return Source{}, fmt.Errorf("download source: %w", err)
	}
	return downloaded(ctx, q, got)
}

// signed is a request for anything that a signature must vouch for.
func (q Query) signed(j *job.Job) (fetch.Signed, error) {
	keys, err := q.trusted()
	if err != nil {
		return fetch.Signed{}, err
	}
	s := fetch.Signed{Keys: keys, InsecureNoSignature: q.InsecureNoSignature}
	s.Dir, s.SHA256 = filepath.Join(q.CacheDir, "downloads"), strings.ToLower(q.SHA256)
	s.RootCAs = q.RootCAs
	j.Step(StepDownload, q.Name)
	s.Progress = func(done, total int64) { j.Downloaded(done, max(total, 0)) }
	return s, nil
}

func (q Query) trusted() (fetch.Keys, error) {
	if len(q.Keys) == 0 {
		return fetch.OpenRestyKeys()
	}
	return fetch.ReadKeys(q.Keys...)
}

func downloaded(ctx context.Context, q Query, got fetch.Download) (Source, error) {
	s, err := findTarball(ctx, got.Path, q.CacheDir)
	if err != nil {
		return Source{}, err
	}
	if s.Hash != got.SHA256 {
		return Source{}, fmt.Errorf("source tarball %s: it changed after its signature was checked", got.Path)
	}
	s.Manifest.Signature = describe(got.Signature)
	if got.Signature == nil {
		s.Manifest.Signature.Status = artifact.SignatureSkipped
		s.Warnings = append(s.Warnings, unsigned(got.URL))
	}
	return s, nil
}

func unsigned(name string) string {
	return "the signature of " + name + " was NOT checked (--insecure-no-signature): whoever served it can run any code as root here; the manifest says so"
}

func describe(s *fetch.Signature) *artifact.Signature {
	if s == nil {
		return &artifact.Signature{Status: artifact.SignatureNone}
	}
	return &artifact.Signature{Status: artifact.SignatureGood, Fingerprint: s.Fingerprint, Created: s.Created.UTC().Format(time.RFC3339), Hash: s.Hash}
}

// findFile takes a tarball that is here. The user vouches for it; a signature beside it must be good all
// the same, and there must be one if keys were named.
func findFile(ctx context.Context, q Query, file string) (Source, error) {
	s, err := findTarball(ctx, file, q.CacheDir)
	if err != nil {
		return Source{}, err
	}
	if want := strings.ToLower(q.SHA256); want != "" && want != s.Hash {
		return Source{}, fmt.Errorf("source tarball %s has the SHA-256 %s, not %s: get it anew, and the right sum from who published it", file, s.Hash, want)
	}
	_, err = os.Stat(file + ".asc")
	beside := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Source{}, fmt.Errorf("source tarball: its signature: %w", err)
	}
	switch {
	case q.InsecureNoSignature:
		s.Manifest.Signature = &artifact.Signature{Status: artifact.SignatureSkipped}
		s.Warnings = append(s.Warnings, unsigned(file))
	case !beside && len(q.Keys) == 0:
		s.Manifest.Signature = describe(nil)
	default:
		keys, err := q.trusted()
		if err != nil {
			return Source{}, err
		}
		signature, err := keys.Verify(ctx, file, file+".asc")
		if err != nil {
			return Source{}, fmt.Errorf("source tarball: %w", err)
		}
		if signature.SHA256 != s.Hash {
			return Source{}, fmt.Errorf("source tarball %s: it changed while it was checked", file)
		}
		s.Manifest.Signature = describe(&signature)
	}
	return s, nil
}
