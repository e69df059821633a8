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
	"graft/internal/nginx/modules"
)

// Loaded is a .so file that the running configuration loads.
type Loaded struct {
	File string // absolute
	At   string // of its load_module line, "file:line"
}

// addon is what nginx's configure calls so: modules that are built from a source of their own.
type addon struct {
	flags.Module
	from  string   // the directory that holds all of its source
	names []string // of its modules, "ngx_http_geoip2_module"
}

// missingAddon is a loaded .so file whose source cannot be had, and why.
type missingAddon struct {
	Loaded
	why string
}

// addons are all that a build needs beyond its tree, and what it cannot have.
type addons struct {
	found    []addon
	missing  []missingAddon
	warnings []string
}

func (a addons) flags() []flags.Module {
	list := make([]flags.Module, len(a.found))
	for i, item := range a.found {
		list[i] = item.Module
	}
	return list
}

// sources are the directories by name.
func (a addons) sources() map[string]string {
	dirs := map[string]string{}
	for _, item := range a.found {
		dirs[item.Name] = item.from
	}
	return dirs
}

func (a addons) has(name string) bool {
	return slices.ContainsFunc(a.found, func(item addon) bool { return item.Name == name })
}

// findAddons finds the sources of third-party modules: those that the user gives, those of the old
// build that are still on this machine, and, for the .so files that the running configuration loads,
// the distribution's.
func findAddons(ctx context.Context, r Request, j *job.Job, layout source.Layout) (a addons, err error) {
	for _, dir := range r.Modules {
		name := flags.ModuleName(dir)
		if a.has(name) {
			return addons{}, fmt.Errorf("module %s is given twice: %s", name, dir)
		}
		if err := a.add(r, dir, name, dir, r.wasDynamic(name), "asked for"); err != nil {
			return addons{}, err
		}
	}
	for _, text := range r.Like.Configure {
		option, dir, _ := strings.Cut(text, "=")
		dynamic := option == "--add-dynamic-module"
		name := flags.ModuleName(dir)
		if !dynamic && option != "--add-module" || !path.IsAbs(dir) || a.has(name) || flags.Bundled(layout, name) || dynamic && r.Loaded != nil && !r.loads(name) {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "config")); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := a.add(r, dir, name, dir, dynamic, "the old build's source is on this machine"); err != nil {
			return addons{}, err
		}
	}
	err = a.addLoaded(ctx, r, j, layout)
	return a, err
}

// addLoaded finds the sources of the .so files that neither nginx's own tree nor another module has. One
// that cannot be had is kept as missing: the plan will refuse a target that cannot start, but the user may
// mean to do without the module.
func (a *addons) addLoaded(ctx context.Context, r Request, j *job.Job, layout source.Layout) error {
	var files []string
	for _, so := range r.Loaded {
		if name := so.name(); !a.has(name) && !flags.Bundled(layout, name) && !flags.OwnModule(r.Like.Configure, filepath.Base(so.File)) {
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
			err = a.addPackage(r, so, pack)
		}
		if err != nil {
			a.missing = append(a.missing, missingAddon{so, firstLine(err)})
		}
	}
	return nil
}

func (a *addons) addPackage(r Request, so Loaded, p source.Module) error {
	sub, err := configIn(p.Dir, so.name())
	if err != nil {
		return err
	}
	a.warnings = append(a.warnings, p.Warnings...)
	return a.add(r, filepath.Join(p.Dir, sub), so.name(), p.Dir, true, "the running configuration loads it; from the distribution's "+p.Package)
}

// name is what the module is called, as far as its file tells.
func (l Loaded) name() string {
	return flags.ModuleName(strings.TrimSuffix(filepath.Base(l.File), ".so"))
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// add takes a module whose config file is in dir, below root, which holds all of its source. It becomes a
// .so file if the old build had it so or the running configuration loads it.
func (a *addons) add(r Request, dir, name, root string, dynamic bool, reason string) error {
	sub, err := filepath.Rel(root, dir)
	if err != nil {
		return err
	}
	read, err := modules.ReadAddon(dir)
	if err != nil {
		return fmt.Errorf("module %s: %w", dir, err)
	}
	dynamic = dynamic || r.loads(name) || r.loadsOneOf(read.Modules)
	a.found = append(a.found, addon{
		Module: flags.Module{Name: name, Dir: path.Join("../modules", name, sub), Dynamic: dynamic, Reason: reason},
		from:   root, names: read.Modules,
	})
	return nil
}

// owner finds the addon that gave nginx a module of this name.
func (a addons) owner(name string) (addon, bool) {
	at := slices.IndexFunc(a.found, func(item addon) bool { return slices.Contains(item.names, name) })
	if at < 0 {
		return addon{}, false
	}
	return a.found[at], true
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

// loadsOneOf tells whether the running configuration loads a file that is named after one of these modules.
func (r Request) loadsOneOf(names []string) bool {
	return slices.ContainsFunc(r.Loaded, func(l Loaded) bool {
		return slices.Contains(names, strings.TrimSuffix(filepath.Base(l.File), ".so"))
	})
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

// copyAddons puts the modules' sources beside the tree: some write into their own directory, and the
// user's is only read.
func copyAddons(ctx context.Context, j *job.Job, list []addon, work string) error {
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
