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

	"graft/internal/build/flags"
	"graft/internal/build/job"
	"graft/internal/build/source"
)

// Loaded is a .so file that the running configuration loads.
type Loaded struct {
	File string // absolute
	At   string // of its load_module line, "file:line"
}

// module is a module that is built from a source of its own.
type module struct {
	flags.Module
	from string // the directory that holds all of its source
}

// modules are all that a build needs beyond its tree, and what it cannot have.
type modules struct {
	found    []module
	missing  []Loaded
	warnings []string
}

func (m modules) flags() []flags.Module {
	list := make([]flags.Module, len(m.found))
	for i, mod := range m.found {
		list[i] = mod.Module
	}
	return list
}

func (m modules) has(name string) bool {
	return slices.ContainsFunc(m.found, func(mod module) bool { return mod.Name == name })
}

// findModules finds the sources of third-party modules: those that the user gives, those of the old
// build that are still on this machine, and, for the .so files that the running configuration loads,
// the distribution's.
func findModules(ctx context.Context, r Request, j *job.Job, layout source.Layout) (modules, error) {
	var m modules
	for _, dir := range r.Modules {
		name := flags.ModuleName(dir)
		if m.has(name) {
			return modules{}, fmt.Errorf("module %s is given twice: %s", name, dir)
		}
		if err := m.add(dir, name, dir, r.loads(name) || r.wasDynamic(name), "asked for"); err != nil {
			return modules{}, err
		}
	}
	for _, text := range r.Like.Configure {
		dir, dynamic := strings.CutPrefix(text, "--add-dynamic-module=")
		if !dynamic {
			var static bool
			if dir, static = strings.CutPrefix(text, "--add-module="); !static {
				continue
			}
		}
		name := flags.ModuleName(dir)
		if !path.IsAbs(dir) || m.has(name) || flags.Bundled(layout, name) || dynamic && r.Loaded != nil && !r.loads(name) {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "config")); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := m.add(dir, name, dir, dynamic, "the old build's source is on this machine"); err != nil {
			return modules{}, err
		}
	}
	return m, m.addLoaded(ctx, r, j, layout)
}

// addLoaded finds the sources of the .so files that neither nginx's own tree nor another module has. One
// that cannot be had is told: the plan will refuse a target that cannot start, but the user may mean to
// do without the module.
func (m *modules) addLoaded(ctx context.Context, r Request, j *job.Job, layout source.Layout) error {
	var files []string
	for _, so := range r.Loaded {
		if name := so.name(); !m.has(name) && !flags.Bundled(layout, name) && !flags.OwnModule(r.Like.Configure, filepath.Base(so.File)) {
			files = append(files, so.File)
		}
	}
	found, failed, err := source.FindModules(ctx, r.query(), j, files)
	if err != nil {
		return err
	}
	for _, so := range r.Loaded {
		err := failed[so.File]
		if pack, ok := found[so.File]; ok {
			err = m.addPackage(so, pack)
		}
		if err != nil {
			m.missing = append(m.missing, so)
			m.warnings = append(m.warnings, fmt.Sprintf("%s, which is loaded at %s, is in neither the target nor the sources at hand (%s): give its source with --add-module DIR, or take the line out of the configuration",
				filepath.Base(so.File), so.At, firstLine(err)))
		}
	}
	return nil
}

func (m *modules) addPackage(so Loaded, p source.Module) error {
	sub, err := configIn(p.Dir, so.name())
	if err != nil {
		return err
	}
	m.warnings = append(m.warnings, p.Warnings...)
	return m.add(filepath.Join(p.Dir, sub), so.name(), p.Dir, true, "the running configuration loads it; from the distribution's "+p.Package)
}

// name is what the module is called, as far as its file tells.
func (l Loaded) name() string {
	return flags.ModuleName(strings.TrimSuffix(filepath.Base(l.File), ".so"))
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// add takes a module whose config file is in dir, below root, which holds all of its source.
func (m *modules) add(dir, name, root string, dynamic bool, reason string) error {
	sub, err := filepath.Rel(root, dir)
	if err != nil {
		return err
	}
	m.found = append(m.found, module{flags.Module{Name: name, Dir: path.Join("../modules", name, sub), Dynamic: dynamic, Reason: reason}, root})
	return nil
}

// configIn finds the directory that nginx's configure is to be given, below an unpacked source package:
// the one with a file "config" that is of the module's name, or the only one.
func configIn(dir, name string) (string, error) {
	var found, named []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "config" {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil || !strings.Contains(string(text), "ngx_addon_name") {
			return err
		}
		sub, err := filepath.Rel(dir, filepath.Dir(p))
		found = append(found, sub)
		if flags.ModuleName(filepath.Dir(p)) == name {
			named = append(named, sub)
		}
		return err
	})
	switch {
	case err != nil:
		return "", err
	case len(named) == 1:
		return named[0], nil
	case len(found) == 1, slices.Contains(found, "."):
		return found[0], nil
	}
	return "", fmt.Errorf("which directory of %s is the module's is not clear (%q): give it with --add-module DIR", dir, found)
}

// loads tells whether the running configuration loads a module of this name.
func (r Request) loads(name string) bool {
	return slices.ContainsFunc(r.Loaded, func(l Loaded) bool { return l.name() == name })
}

// wasDynamic tells whether the old build had a module of this name as a .so file, if more is not known.
func (r Request) wasDynamic(name string) bool {
	return r.Loaded == nil && slices.ContainsFunc(r.Like.Configure, func(text string) bool {
		dir, ok := strings.CutPrefix(text, "--add-dynamic-module=")
		return ok && flags.ModuleName(dir) == name
	})
}

// loadedFiles are the base names, nil if what is loaded is not known.
func (r Request) loadedFiles() []string {
	if r.Loaded == nil {
		return nil
	}
	names := []string{}
	for _, l := range r.Loaded {
		names = append(names, filepath.Base(l.File))
	}
	return names
}

// copyModules puts the modules' sources beside the tree: some write into their own directory, and the
// user's is only read.
func copyModules(ctx context.Context, j *job.Job, list []module, work string) error {
	if len(list) == 0 {
		return nil
	}
	dir := filepath.Join(work, "modules")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, m := range list {
		if err := j.Run(ctx, job.Command{Args: []string{"cp", "-a", m.from, filepath.Join(dir, m.Name)}}); err != nil {
			return fmt.Errorf("copy the source of module %s: %w", m.Name, err)
		}
	}
	return nil
}
