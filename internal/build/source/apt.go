package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"graft/internal/build/job"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// apt asks the distribution's mirrors, as this machine's own configuration names them, through
// apt-get with lists, caches and sources of its own: nothing of the machine's apt changes.
type apt struct {
	dir     string // lists, caches, configuration
	conf    string
	sources string // the text of the sources in use
}

// listsFresh is how long fetched package lists are taken as current.
const listsFresh = 12 * time.Hour

// newApt prepares dir. It does not go to the network.
func newApt(ctx context.Context, j *job.Job, dir string) (*apt, error) {
	var paths bytes.Buffer
	err := j.Run(ctx, job.Command{Args: []string{"apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"}, Out: &paths})
	if err != nil {
		return nil, fmt.Errorf("read apt's configuration: %w", err)
	}
	list, parts := shellValue(paths.String(), "LIST"), shellValue(paths.String(), "PARTS")
	release, err := ReadOSRelease("/etc/os-release")
	if err != nil {
		return nil, err
	}
	entries, err := readAptSources(list, parts)
	if err != nil {
		return nil, err
	}
	own := entries[:0]
	for _, e := range entries {
		if e, ok := e.ofDistribution(release.codename); ok {
			own = append(own, e)
		}
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("no source of %s %s (component main) is set up in %s or %s: add one, or build from a tarball", release.id, release.codename, list, parts)
	}
	a := &apt{dir: dir, conf: filepath.Join(dir, "apt.conf"), sources: writeAptSources(own)}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "graft.sources"), []byte(a.sources), 0o644); err != nil {
		return nil, err
	}
	return a, os.WriteFile(a.conf, []byte(aptConf(dir)), 0o644)
}

// aptConf is read after the machine's own configuration, so proxies and keys stay as they are set
// up there; the hooks that would touch the machine's caches are taken out.
func aptConf(dir string) string {
	return `#clear APT::Update;
#clear DPkg::Post-Invoke;
Dir::Etc::sourcelist "` + dir + `/graft.sources";
Dir::Etc::sourceparts "-";
Dir::State::lists "` + dir + `/lists/";
Dir::Cache "` + dir + `/cache/";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Log "` + dir + `";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-large::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
`
}

// update fetches the package lists unless they are fresh.
func (a *apt) update(ctx context.Context, j *job.Job, force bool) error {
	stamp := filepath.Join(a.dir, "updated")
	sum := sha256.Sum256([]byte(a.sources))
	now := hex.EncodeToString(sum[:])
	if text, err := os.ReadFile(stamp); err == nil && string(text) == now && !force {
		if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < listsFresh {
			return nil
		}
	}
	if err := j.Run(ctx, job.Command{Args: []string{"apt-get", "-c", a.conf, "-q", "update"}}); err != nil {
		return fmt.Errorf("fetch the distribution's package lists: %w", err)
	}
	return os.WriteFile(stamp, []byte(now), 0o644)
}

// candidate returns the version of a binary package that the distribution offers; empty: none.
func (a *apt) candidate(ctx context.Context, j *job.Job, name string) (string, error) {
	var out bytes.Buffer
	if err := j.Run(ctx, job.Command{Args: []string{"apt-cache", "-c", a.conf, "policy", name}, Out: &out}); err != nil {
		return "", err
	}
	for line := range strings.Lines(out.String()) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: "); ok && v != "(none)" {
			return v, nil
		}
	}
	return "", nil
}

// sourceVersions returns the versions of a source package that are offered, the newest first.
func (a *apt) sourceVersions(ctx context.Context, j *job.Job, name string) ([]string, error) {
	var out bytes.Buffer
	if err := j.Run(ctx, job.Command{Args: []string{"apt-cache", "-c", a.conf, "showsrc", "--only-source", name}, Out: &out}); err != nil {
		return nil, err
	}
	var versions []string
	for line := range strings.Lines(out.String()) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "Version: "); ok {
			versions = append(versions, v)
		}
	}
	return sortDebianVersions(ctx, versions)
}

// files asks which files apt-get would fetch for a package, of kind "source" or "download".
func (a *apt) files(ctx context.Context, j *job.Job, kind, name, version string) ([]distFile, error) {
	empty, err := os.MkdirTemp(a.dir, "uris-*") // apt-get leaves out what lies in its directory already
	if err != nil {
		return nil, err
	}
	defer os.Remove(empty)
	args := []string{"apt-get", "-c", a.conf, "-q", "--print-uris"}
	if kind == "source" {
		args = append(args, "--only-source")
	}
	var out bytes.Buffer
	if err := j.Run(ctx, job.Command{Args: append(args, kind, name+"="+version), Dir: empty, Out: &out}); err != nil {
		return nil, err
	}
	return parseURIs(out.String())
}

// fetch downloads a package's files into dir and checks each one's hash. Those that are there are left.
func (a *apt) fetch(ctx context.Context, j *job.Job, kind, name, version, dir string, files []distFile) error {
	missing := false
	for _, f := range files {
		if err := f.check(dir); err != nil {
			missing = true
			if err := os.Remove(filepath.Join(dir, f.Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if !missing {
		return nil
	}
	args := []string{"apt-get", "-c", a.conf, "-q"}
	if kind == "source" {
		args = append(args, "--only-source", "--download-only")
	}
	if err := j.Run(ctx, job.Command{Args: append(args, kind, name+"="+version), Dir: dir}); err != nil {
		return err
	}
	for _, f := range files {
		if err := f.check(dir); err != nil {
			return err
		}
	}
	return nil
}

// distFile is one file of a package.
type distFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (f distFile) check(dir string) error {
	h := sha256.New()
	if err := copyInto(h, filepath.Join(dir, f.Name)); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != f.SHA256 {
		return fmt.Errorf("%s has the SHA-256 %s, the distribution says %s", f.Name, sum, f.SHA256)
	}
	return nil
}

// parseURIs reads `apt-get --print-uris`: 'URI' NAME SIZE SHA256:HEX, one a line, among other text.
func parseURIs(text string) ([]distFile, error) {
	var files []distFile
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		var f distFile
		var uri, sum string
		if !strings.HasPrefix(lines.Text(), "'") {
			continue
		}
		if _, err := fmt.Sscan(lines.Text(), &uri, &f.Name, &f.Size, &sum); err != nil {
			return nil, fmt.Errorf("read what apt-get would fetch: line %q: %w", lines.Text(), err)
		}
		hash, ok := strings.CutPrefix(sum, "SHA256:")
		if !ok || f.Name != path.Base(f.Name) {
			return nil, fmt.Errorf("read what apt-get would fetch: line %q has no SHA-256 or no plain name", lines.Text())
		}
		f.SHA256 = hash
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, errors.New("apt-get names no file to fetch")
	}
	return files, lines.Err()
}
