package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"graft/internal/artifact"
)

// source is something that can be built.
type source struct {
	facts
	manifest artifact.Source
	hash     string // of all that it holds
	pcre1    bool   // its Lua module can only use PCRE1
	warnings []string

	// unpack lays the tree out below dir and returns where the parts of the build are.
	unpack func(ctx context.Context, j *job, dir string) (layout, error)
}

// layout is an unpacked source, ready to be configured.
type layout struct {
	top  string   // where configure is run
	env  []string // for configure and make, "NAME=value"
	dest string   // where to install it; empty: a fresh directory
}

// findSource recognises what Request.Source names and prepares it as far as hashing it needs.
func findSource(ctx context.Context, r Request, j *job) (source, error) {
	if r.Source == SourceDistro {
		return findDistro(ctx, r, j)
	}
	info, err := os.Stat(r.Source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return source{}, fmt.Errorf("source %q: no such file or directory; give a tarball, the directory of an unpacked one, or \"distro\"", r.Source)
	case err != nil:
		return source{}, fmt.Errorf("source: %w", err)
	}
	path, err := filepath.Abs(r.Source)
	if err != nil {
		return source{}, err
	}
	if info.IsDir() {
		return findTree(ctx, path)
	}
	return findTarball(ctx, path)
}
