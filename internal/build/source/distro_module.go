package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"graft/internal/build/job"
)

// ErrNotPackaged: no package of the distribution has the file.
var ErrNotPackaged = errors.New("no package of the distribution has it")

// Module is the source of a module that came with the distribution.
type Module struct {
	Package string // and its version: "libnginx-mod-http-geoip2 1:3.4-2"
	Dir     string // where it is unpacked, patched, in the cache
	// Warnings say what is not as it should be: an older version was taken.
	Warnings []string
}

// FindModules finds, downloads and unpacks the source packages that installed .so files were built from.
// For each file there is a module or the reason why there is none.
func FindModules(ctx context.Context, q Query, j *job.Job, files []string) (found map[string]Module, failed map[string]error, err error) {
	found, failed = map[string]Module{}, map[string]error{}
	if len(files) == 0 {
		return found, failed, nil
	}
	cache, release, unlock, err := openDistro(ctx, q, j)
	if err != nil {
		for _, file := range files {
			failed[file] = err
		}
		return found, failed, ctx.Err()
	}
	defer unlock()
	packages, err := sourcePackages(ctx, j, files)
	if err != nil {
		return nil, nil, fmt.Errorf("find the sources of installed modules: %w", err)
	}
	for _, file := range files {
		p, ok := packages[file]
		if !ok {
			failed[file] = ErrNotPackaged
			continue
		}
		m, err := cache.module(ctx, q, j, release, p)
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case err != nil:
			failed[file] = err
		default:
			found[file] = m
		}
	}
	return found, failed, nil
}

// module gets one source package, in the installed version if that is offered.
func (c distroCache) module(ctx context.Context, q Query, j *job.Job, release OSRelease, want distroPackage) (Module, error) {
	found, err := c.resolve(ctx, q, j, want.Name+"_"+want.Version, func(ctx context.Context, j *job.Job, a *apt, found *resolution) error {
		return c.source(ctx, j, a, want.Name, want.Version, found)
	})
	if err != nil {
		return Module{}, err
	}
	p := found.find(want.Name)
	if p.Version != want.Version {
		found.Warnings = append(found.Warnings, fmt.Sprintf("%s %s is installed, but %s %s offers only %s's source: the module is built from that",
			want.Name, want.Version, release.id, release.version, p.Version))
	}
	m := Module{Package: want.Name + " " + p.Version, Warnings: found.Warnings, Dir: filepath.Join(c.dir, "modules", want.Name+"_"+p.Version)}
	if _, err := os.Stat(m.Dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	// Whole or not at all: a build may be killed while it unpacks.
	beside := m.Dir + ".new"
	if err := os.RemoveAll(beside); err != nil {
		return Module{}, err
	}
	if err := unpackDebianSource(ctx, j, c, p, beside); err != nil {
		return Module{}, err
	}
	return m, os.Rename(beside, m.Dir)
}

// sourcePackages asks dpkg which source packages installed files came from. Where /lib is a link to
// /usr/lib, dpkg may know a file by either name.
func sourcePackages(ctx context.Context, j *job.Job, files []string) (map[string]distroPackage, error) {
	search := []string{"dpkg-query", "--search"}
	names := map[string][]string{}
	for _, file := range files {
		names[file] = []string{file}
		if real, err := filepath.EvalSymlinks(file); err == nil {
			names[file] = append(names[file], real, strings.TrimPrefix(real, "/usr"), "/usr"+real)
		}
		search = append(search, names[file]...)
	}
	var out bytes.Buffer
	// It fails if it does not know one of them, and tells of the others all the same.
	if err := j.Run(ctx, job.Command{Args: search, Out: &out}); ctx.Err() != nil {
		return nil, err
	}
	owners := map[string]string{}
	show := []string{"dpkg-query", "--show", "--showformat=${binary:Package} ${source:Package} ${source:Version}\n"}
	for line := range strings.Lines(out.String()) {
		// "libnginx-mod-stream:amd64: /usr/lib/…"; a diversion is told in other words.
		owner, path, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if ok && !strings.HasPrefix(owner, "diversion ") && !strings.Contains(owner, ",") {
			owners[path] = owner
			show = append(show, owner)
		}
	}
	found := map[string]distroPackage{}
	if len(owners) == 0 {
		return found, nil
	}
	out.Reset()
	if err := j.Run(ctx, job.Command{Args: show, Out: &out}); err != nil {
		return nil, err
	}
	sources := map[string]distroPackage{}
	for line := range strings.Lines(out.String()) {
		if words := strings.Fields(line); len(words) == 3 {
			sources[words[0]] = distroPackage{Kind: "source", Name: words[1], Version: words[2]}
		}
	}
	for file, known := range names {
		for _, name := range known {
			if p, ok := sources[owners[name]]; ok {
				found[file] = p
			}
		}
	}
	return found, nil
}
