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

// Kind is where a source comes from, as far as its name tells.
type Kind int

// The kinds of sources.
const (
	FromHere    Kind = iota // a file or directory of this machine
	FromDistro              // the distribution's mirrors
	FromNetwork             // a site of releases
)

// KindOf tells where a source of this name comes from. What exists here goes before what could be downloaded.
func KindOf(name string) Kind {
	_, version := OfVersion(name)
	_, err := os.Stat(name)
	switch {
	case name == Distro:
		return FromDistro
	case isURL(name), (version || IsLatest(name)) && errors.Is(err, fs.ErrNotExist):
		return FromNetwork
	}
	return FromHere
}

// Query says which source is wanted.
type Query struct {
	// Name is Distro, "latest", a version ("openresty-1.21.4.1"), the URL of a tarball, a tarball, or the
	// directory of an unpacked one.
	Name     string
	CacheDir string // keeps downloads between builds
	Prefix   string // OpenResty's own prefix, absolute: Distro lays out the runtime there
	Refresh  bool   // ask the distribution for newer packages even if it was asked lately
	Trust
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
		if q.SHA256 != "" || len(q.Keys) > 0 || q.Mirror != "" || q.InsecureNoSignature {
			return Source{}, errors.New("source \"distro\": --mirror, --sha256, --key and --insecure-no-signature are not for it: apt's own sources and keys are used")
		}
		return findDistro(ctx, q, j)
	}
	if KindOf(q.Name) == FromNetwork {
		if facts, ok := OfVersion(q.Name); ok {
			return findRelease(ctx, q, j, facts)
		}
		return findURL(ctx, q, j)
	}
	info, err := os.Stat(q.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Source{}, fmt.Errorf("source %q: no such file or directory; give a version (openresty-1.27.1.2, latest), a tarball or its URL, the directory of an unpacked one, or \"distro\"", q.Name)
	case err != nil:
		return Source{}, fmt.Errorf("source: %w", err)
	}
	path, err := filepath.Abs(q.Name)
	if err != nil {
		return Source{}, err
	}
	if info.IsDir() {
		if q.SHA256 != "" || len(q.Keys) > 0 {
			return Source{}, fmt.Errorf("source %q is a directory: --sha256 and --key are about a tarball", q.Name)
		}
		return findTree(ctx, path)
	}
	return findFile(ctx, q, path)
}
