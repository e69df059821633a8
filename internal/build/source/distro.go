package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"graft/internal/artifact"
	"graft/internal/build/job"
	"graft/internal/nginx"
)

// The source packages that an OpenResty equivalent is put together from, and where each is unpacked.
var distroSources = []struct{ name, dir string }{
	{"nginx", "nginx"},
	{"libnginx-mod-http-ndk", "ngx_devel_kit"},
	{"libnginx-mod-http-lua", "lua-nginx-module"},
}

// luaJIT is one way a distribution packages LuaJIT: OpenResty's branch if it has it.
type luaJIT struct{ dev, runtime, common string }

var luaJITs = []luaJIT{
	{"libluajit2-5.1-dev", "libluajit2-5.1-2", "libluajit2-5.1-common"},
	{"libluajit-5.1-dev", "libluajit-5.1-2", "libluajit-5.1-common"},
}

// distroPackage is one package of the distribution in the version chosen.
type distroPackage struct {
	Kind    string     `json:"kind"` // "source", or "download" as apt-get calls a binary one
	Name    string     `json:"name"`
	Version string     `json:"version"`
	Files   []distFile `json:"files"`
}

// resolution is what the distribution's mirrors gave at one time. It is kept in the cache, so that a
// build of the same needs no apt.
type resolution struct {
	Sources  string          `json:"sources"` // hash of the apt sources it was made from
	Packages []distroPackage `json:"packages"`
	Warnings []string        `json:"warnings"`
}

// distroCache is the part of the cache directory that is the distribution's.
type distroCache struct {
	dir string
	apt *apt
}

func (c distroCache) files() string { return filepath.Join(c.dir, "files") }

// resolution is the file that keeps what was resolved for one purpose.
func (c distroCache) resolution(purpose string) string {
	return filepath.Join(c.dir, "resolution-"+purpose+".json")
}

// findDistro chooses packages by what the distribution offers and downloads them.
func findDistro(ctx context.Context, q Query, j *job.Job) (Source, error) {
	cache, release, unlock, err := openDistro(ctx, q, j)
	if err != nil {
		return Source{}, fmt.Errorf("source \"distro\": %w", err)
	}
	defer unlock()
	j.Step(StepLists, "")
	found, err := cache.resolve(ctx, q, j, "openresty", cache.openResty)
	if err != nil {
		return Source{}, fmt.Errorf("source \"distro\": %w", err)
	}
	return distroSource(ctx, cache, found, release, q.Prefix)
}

// openDistro locks the distribution's part of the cache and prepares to ask its mirrors.
func openDistro(ctx context.Context, q Query, j *job.Job) (c distroCache, release OSRelease, unlock func(), err error) {
	if release, err = ReadOSRelease("/etc/os-release"); err != nil {
		return distroCache{}, OSRelease{}, nil, err
	}
	if release.Family() != FamilyDebian {
		return distroCache{}, OSRelease{}, nil, fmt.Errorf("works on Debian and Ubuntu, this is %s: build from OpenResty's tarball", release.id)
	}
	c.dir = filepath.Join(q.CacheDir, "distro")
	if err := os.MkdirAll(c.files(), 0o755); err != nil {
		return distroCache{}, OSRelease{}, nil, err
	}
	if unlock, err = job.Lock(ctx, filepath.Join(c.dir, "lock")); err != nil {
		return distroCache{}, OSRelease{}, nil, err
	}
	if c.apt, err = newApt(ctx, j, filepath.Join(c.dir, "apt")); err != nil {
		unlock()
		return distroCache{}, OSRelease{}, nil, err
	}
	return c, release, unlock, nil
}

// distroSource describes what was resolved as a source.
func distroSource(ctx context.Context, cache distroCache, found resolution, release OSRelease, prefix string) (Source, error) {
	text, err := json.Marshal(found.Packages)
	if err != nil {
		return Source{}, err
	}
	sum := sha256.Sum256(text)
	s := Source{Hash: hex.EncodeToString(sum[:]), Warnings: found.Warnings}
	var names []string
	for _, p := range found.Packages {
		names = append(names, p.Name+" "+p.Version)
	}
	nginxSource, lua := found.find("nginx"), found.find("libnginx-mod-http-lua")
	orig, err := nginxSource.file(".orig.tar.gz")
	if err != nil {
		return Source{}, err
	}
	inside, err := findTarball(ctx, filepath.Join(cache.files(), orig), filepath.Dir(cache.dir))
	if err != nil {
		return Source{}, err
	}
	s.Facts = inside.Facts
	s.Layout, s.Lua = LayoutDistro, upstreamVersion(lua.Version)
	s.Manifest = artifact.Source{Kind: "distro", Location: release.id + " " + release.version, SHA256: s.Hash, Packages: names}
	s.unpack = func(ctx context.Context, j *job.Job, dir string) (Tree, error) {
		return unpackDistro(ctx, j, cache, found, prefix, s.PCRE1(), dir)
	}
	return s, nil
}

func (r resolution) find(name string) distroPackage {
	at := slices.IndexFunc(r.Packages, func(p distroPackage) bool { return p.Name == name })
	if at < 0 {
		return distroPackage{Name: name}
	}
	return r.Packages[at]
}

// file returns the name of the package's file that has part in it, ".orig.tar." say.
func (p distroPackage) file(part string) (string, error) {
	for _, f := range p.Files {
		if strings.Contains(f.Name, part) && !strings.HasSuffix(f.Name, ".asc") {
			return f.Name, nil
		}
	}
	return "", fmt.Errorf("package %s %s has no file %s: its format is not known to graft", p.Name, p.Version, part)
}

// resolve returns what was resolved lately for the same purpose from the same apt sources, if its files
// are still there, or lets ask ask the mirrors and download.
func (c distroCache) resolve(ctx context.Context, q Query, j *job.Job, purpose string,
	ask func(context.Context, *job.Job, *apt, *resolution) error,
) (resolution, error) {
	sum := sha256.Sum256([]byte(c.apt.sources))
	sources := hex.EncodeToString(sum[:])
	if kept, ok := c.kept(sources, purpose); ok && !q.Refresh {
		return kept, nil
	}
	if err := c.apt.update(ctx, j, q.Refresh); err != nil {
		return resolution{}, err
	}
	j.Step(StepDownload, "")
	found := resolution{Sources: sources, Warnings: []string{}}
	if err := ask(ctx, j, c.apt, &found); err != nil {
		return resolution{}, err
	}
	text, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return resolution{}, err
	}
	return found, os.WriteFile(c.resolution(purpose), text, 0o644)
}

// openResty takes the packages that an OpenResty equivalent is put together from.
func (c distroCache) openResty(ctx context.Context, j *job.Job, a *apt, found *resolution) error {
	for _, s := range distroSources {
		if err := c.source(ctx, j, a, s.name, "", found); err != nil {
			return err
		}
	}
	names, err := binaryPackages(ctx, j, a, upstreamVersion(found.find("libnginx-mod-http-lua").Version))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.binary(ctx, j, a, name, found); err != nil {
			return err
		}
	}
	return nil
}

// kept returns the last resolution if it is fresh, from the same sources, and whole.
func (c distroCache) kept(sources, purpose string) (resolution, bool) {
	info, err := os.Stat(c.resolution(purpose))
	if err != nil || time.Since(info.ModTime()) > listsFresh {
		return resolution{}, false
	}
	var kept resolution
	text, err := os.ReadFile(c.resolution(purpose))
	if err != nil || json.Unmarshal(text, &kept) != nil || kept.Sources != sources {
		return resolution{}, false
	}
	for _, p := range kept.Packages {
		for _, f := range p.Files {
			if f.check(c.files()) != nil {
				return resolution{}, false
			}
		}
	}
	return kept, true
}

// source downloads a source package: the preferred version if it is offered, else the newest that the
// mirror really has. A mirror may name a version in its lists and not have its files; an older one is
// then taken, and said.
func (c distroCache) source(ctx context.Context, j *job.Job, a *apt, name, preferred string, found *resolution) error {
	versions, err := a.sourceVersions(ctx, j, name)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return fmt.Errorf("the distribution has no source package %s: build from OpenResty's tarball instead", name)
	}
	if at := slices.Index(versions, preferred); at > 0 {
		versions = slices.Concat(versions[at:at+1], versions[:at], versions[at+1:])
	}
	var failures []error
	for _, version := range versions {
		p := distroPackage{Kind: "source", Name: name, Version: version}
		if err = c.take(ctx, j, a, p, found); err == nil {
			if len(failures) > 0 {
				found.Warnings = append(found.Warnings, fmt.Sprintf("%s %s is listed but could not be downloaded; %s was taken instead, which may lack security fixes", name, versions[0], version))
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failures = append(failures, err)
	}
	return fmt.Errorf("download the source of %s: %w", name, errors.Join(failures...))
}

func (c distroCache) binary(ctx context.Context, j *job.Job, a *apt, name string, found *resolution) error {
	version, err := a.candidate(ctx, j, name)
	if err == nil && version == "" {
		err = errors.New("the distribution does not have it")
	}
	if err == nil {
		err = c.take(ctx, j, a, distroPackage{Kind: "download", Name: name, Version: version}, found)
	}
	if err != nil {
		return fmt.Errorf("download package %s: %w", name, err)
	}
	return nil
}

func (c distroCache) take(ctx context.Context, j *job.Job, a *apt, p distroPackage, found *resolution) (err error) {
	if p.Files, err = a.files(ctx, j, p.Kind, p.Name, p.Version); err != nil {
		return err
	}
	if err := a.fetch(ctx, j, p.Kind, p.Name, p.Version, c.files(), p.Files); err != nil {
		return err
	}
	found.Packages = append(found.Packages, p)
	return nil
}

// binaryPackages are the libraries that the artifact brings along, as the distribution names them.
func binaryPackages(ctx context.Context, j *job.Job, a *apt, lua string) ([]string, error) {
	var names []string
	for _, jit := range luaJITs {
		version, err := a.candidate(ctx, j, jit.dev)
		if err != nil {
			return nil, err
		}
		if version != "" {
			names = append(names, jit.dev, jit.runtime, jit.common)
			break
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the distribution has no LuaJIT: build from OpenResty's tarball instead")
	}
	// lua-nginx-module loads lua-resty-core at start since 0.10.16.
	if nginx.AtLeast(lua, "0.10.16") {
		names = append(names, "lua-resty-core", "lua-resty-lrucache")
	}
	if !nginx.AtLeast(lua, "0.10.26") {
		names = append(names, "libpcre3-dev", "libpcre3")
	}
	return names, nil
}

// upstreamVersion cuts epoch and revision off a Debian version: "1:0.10.23-1+deb12u1" is 0.10.23.
func upstreamVersion(version string) string {
	if _, after, ok := strings.Cut(version, ":"); ok {
		version = after
	}
	if at := strings.LastIndexByte(version, '-'); at >= 0 {
		version = version[:at]
	}
	return version
}

// sortDebianVersions puts the newest first, by dpkg's own rules, and leaves out doubles.
func sortDebianVersions(ctx context.Context, versions []string) ([]string, error) {
	slices.Sort(versions)
	versions = slices.Compact(versions)
	var failed error
	slices.SortStableFunc(versions, func(a, b string) int {
		err := exec.CommandContext(ctx, "dpkg", "--compare-versions", a, "gt", b).Run()
		var exit *exec.ExitError
		switch {
		case err == nil:
			return -1
		case errors.As(err, &exit) && exit.ExitCode() == 1:
			return 1
		}
		failed = err
		return 0
	})
	return versions, failed
}
