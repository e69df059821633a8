package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/artifact"
	"graft/internal/build/job"
	"graft/internal/elffile"
	"graft/internal/nginx/modules"
)

// check asks the built binary what it is and holds it against what was wanted.
func check(ctx context.Context, r Request, j *job.Job, pr prepared, tree string, m *artifact.Manifest) (err error) {
	binary := filepath.Join(tree, m.Binary)
	if m.Build, err = identify(ctx, j, binary, filepath.Join(tree, m.Prefix)); err != nil {
		return err
	}
	if want := path.Clean(r.Like.Prefix); path.Clean(m.Build.Prefix) != want {
		return fmt.Errorf("check the built binary: its nginx prefix is %s, not the old binary's %s", m.Build.Prefix, want)
	}
	if err := checkLibraries(binary, tree, *m); err != nil {
		return fmt.Errorf("check the built binary: %w", err)
	}
	m.Modules, err = builtModules(pr, tree, *m)
	return err
}

// checkLibraries resolves every library that the binary needs as the loader will, under an empty
// environment, with the runtime at its place.
func checkLibraries(binary, tree string, m artifact.Manifest) error {
	opts := elffile.Options{At: "/" + m.Binary}
	if m.Prefix != "" {
		opts.Trees = []elffile.Tree{{Dir: filepath.Join(tree, m.Prefix), At: m.Prefix}}
	}
	libraries, err := elffile.Libraries(binary, opts)
	if err != nil {
		return err
	}
	var problems []string
	for _, l := range libraries {
		problems = append(problems, l.Problems()...)
	}
	if len(problems) > 0 {
		return fmt.Errorf("it would not start here: %s", strings.Join(problems, "; "))
	}
	return nil
}

// builtModules lists the .so modules and the third-party ones that are built in. A .so file that the
// binary would refuse is an error: it would stop the new master's start.
func builtModules(pr prepared, tree string, m artifact.Manifest) ([]artifact.Module, error) {
	table, err := modules.Read(filepath.Join(tree, m.Binary))
	if errors.Is(err, modules.ErrNotKnown) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which modules were built: %w", err)
	}
	var list []artifact.Module
	for _, name := range table.Names() {
		if from, ok := pr.addons.owner(name); ok {
			list = append(list, artifact.Module{Name: name, Source: from.Name, Reason: from.Reason})
		}
	}
	files, err := filepath.Glob(filepath.Join(tree, pr.target.ModulesPath, "*.so"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		t, err := modules.Read(file)
		if err == nil {
			err = table.Accepts(t)
		}
		if err != nil {
			return nil, fmt.Errorf("check %s against the built binary: %w", filepath.Base(file), err)
		}
		rel, err := filepath.Rel(tree, file)
		if err != nil {
			return nil, err
		}
		for _, name := range t.Names() {
			built := artifact.Module{Name: name, File: filepath.ToSlash(rel), Source: "nginx", Reason: "the old build had it as a .so file"}
			if from, ok := pr.addons.owner(name); ok {
				built.Source, built.Reason = from.Name, from.Reason
			}
			list = append(list, built)
		}
	}
	slices.SortFunc(list, func(a, b artifact.Module) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// debugDir is where debuggers look for symbols by build ID; in the artifact it lies below the tree, and
// it is not staged: `set debug-file-directory` finds it there.
const debugDir = "usr/lib/debug"

// splitSymbols keeps the debug symbols of the binary and of its modules apart, and strips them as the
// running binary is stripped.
func splitSymbols(ctx context.Context, pr prepared, tree string, m *artifact.Manifest) error {
	files, err := filepath.Glob(filepath.Join(tree, pr.target.ModulesPath, "*.so"))
	if err != nil {
		return err
	}
	for _, file := range append([]string{filepath.Join(tree, m.Binary)}, files...) {
		debug, err := splitFile(ctx, file, tree)
		if err != nil {
			return fmt.Errorf("keep the debug symbols of %s apart: %w", filepath.Base(file), err)
		}
		if file == filepath.Join(tree, m.Binary) {
			m.Debug = debug
		}
		if pr.old == nil {
			continue
		}
		if err := elffile.StripLike(ctx, file, *pr.old); err != nil {
			return fmt.Errorf("strip %s: %w", filepath.Base(file), err)
		}
	}
	return nil
}

// splitFile returns where in the tree the symbols went; empty if there were none.
func splitFile(ctx context.Context, file, tree string) (string, error) {
	f, err := elffile.Read(file)
	if err != nil || !f.DebugInfo {
		return "", err
	}
	debug := path.Join(debugDir, filepath.Base(file)+".debug")
	if len(f.BuildID) > 2 {
		debug = path.Join(debugDir, ".build-id", f.BuildID[:2], f.BuildID[2:]+".debug")
	}
	to := filepath.Join(tree, debug)
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return "", errors.Join(fmt.Errorf("%s is there already", debug), err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	return debug, elffile.SplitDebug(ctx, file, to)
}
