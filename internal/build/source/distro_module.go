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

// FindModule finds, downloads and unpacks the source package that an installed .so file was built from.
func FindModule(ctx context.Context, q Query, j *job.Job, file string) (Module, error) {
	name, version, err := sourcePackageOf(ctx, j, file)
	if err != nil {
		return Module{}, err
	}
	cache, _, unlock, err := openDistro(ctx, q)
	if err != nil {
		return Module{}, err
	}
	defer unlock()
	found, err := cache.resolve(ctx, q, j, name+"_"+version, func(ctx context.Context, j *job.Job, a *apt, found *resolution) error {
		return cache.source(ctx, j, a, name, version, found)
	})
	if err != nil {
		return Module{}, err
	}
	p := found.find(name)
	if p.Version != version {
		found.Warnings = append(found.Warnings, fmt.Sprintf("%s %s is installed, but only %s's source is offered: the module is built from that", name, version, p.Version))
	}
	m := Module{Package: name + " " + p.Version, Warnings: found.Warnings, Dir: filepath.Join(cache.dir, "modules", name+"_"+p.Version)}
	if _, err := os.Stat(m.Dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	// Whole or not at all: a build may be killed while it unpacks.
	beside := m.Dir + ".new"
	if err := errors.Join(os.RemoveAll(beside), unpackDebianSource(ctx, j, cache, p, beside)); err != nil {
		return Module{}, err
	}
	return m, os.Rename(beside, m.Dir)
}

// sourcePackageOf asks dpkg which source package an installed file came from. Where /lib is a link to
// /usr/lib, dpkg may know the file by either name.
func sourcePackageOf(ctx context.Context, j *job.Job, file string) (name, version string, err error) {
	names := []string{file}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		names = append(names, real, strings.TrimPrefix(real, "/usr"), "/usr"+real)
	}
	for _, name := range names {
		var out bytes.Buffer
		if err := j.Run(ctx, job.Command{Args: []string{"dpkg-query", "--search", name}, Out: &out}); err != nil {
			if ctx.Err() != nil {
				return "", "", ctx.Err()
			}
			continue
		}
		// "libnginx-mod-stream:amd64: /usr/lib/…"; a diversion is told in other words.
		owner, _, ok := strings.Cut(out.String(), ": ")
		if !ok || strings.HasPrefix(owner, "diversion ") || strings.Contains(owner, ",") {
			continue
		}
		out.Reset()
		if err := j.Run(ctx, job.Command{Args: []string{"dpkg-query", "--show", "--showformat=${source:Package} ${source:Version}", owner}, Out: &out}); err != nil {
			return "", "", err
		}
		source, version, ok := strings.Cut(strings.TrimSpace(out.String()), " ")
		if !ok {
			return "", "", fmt.Errorf("dpkg-query tells %q of package %s, not its source and version", out.String(), owner)
		}
		return source, version, nil
	}
	return "", "", ErrNotPackaged
}
