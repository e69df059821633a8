// Package source finds what is to be built, a release's tarball, an unpacked tree or the distribution's own
// packages, recognises it by its files and lays it out.
package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"graft/internal/artifact"
	"graft/internal/build/job"
)

// Distro is the name that stands for the distribution's own packages.
const Distro = "distro"

// The steps of finding a source, as job.Progress names them.
const (
	StepLists    = "package lists"
	StepDownload = "download"
)

// Query says which source is wanted.
type Query struct {
	Name     string // Distro, a tarball (.tar.gz, .tgz, .tar), or the directory of an unpacked one
	CacheDir string // keeps downloads between builds
	Prefix   string // OpenResty's own prefix, absolute: Distro lays out the runtime there
	Refresh  bool   // ask the distribution for newer packages even if it was asked lately
}

// Source is something that can be built.
type Source struct {
	Facts
	Manifest artifact.Source
	Hash     string // of all that it holds
	Warnings []string

	unpack func(ctx context.Context, j *job.Job, dir string) (Tree, error)
}

// Tree is an unpacked source, ready to be configured.
type Tree struct {
	Top  string   // where configure is run
	Env  []string // for configure and make, "NAME=value"
	Dest string   // where to install it; empty: a fresh directory
}

// Unpack lays the tree out below dir.
func (s Source) Unpack(ctx context.Context, j *job.Job, dir string) (Tree, error) {
	return s.unpack(ctx, j, dir)
}

// Find recognises what q names and prepares it as far as hashing it needs.
func Find(ctx context.Context, q Query, j *job.Job) (Source, error) {
	if q.Name == Distro {
		return findDistro(ctx, q, j)
	}
	info, err := os.Stat(q.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Source{}, fmt.Errorf("source %q: no such file or directory; give a tarball, the directory of an unpacked one, or \"distro\"", q.Name)
	case err != nil:
		return Source{}, fmt.Errorf("source: %w", err)
	}
	path, err := filepath.Abs(q.Name)
	if err != nil {
		return Source{}, err
	}
	if info.IsDir() {
		return findTree(ctx, path)
	}
	return findTarball(ctx, path)
}
