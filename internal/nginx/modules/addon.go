package modules

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Addon is what the source directory of third-party modules (--add-module=DIR) would add to nginx, read
// from its file config, which is a shell script and is not run, and from its C sources.
type Addon struct {
	Name       string   // ngx_addon_name: of all its modules together
	Modules    []string // in the order of config
	Directives []string // of all its modules, sorted; those that a macro makes may be missing
}

const (
	maxAddonFiles = 20_000   // of the directory, and of what is read
	maxAddonFile  = 8 << 20  // bytes; a larger one is passed over
	maxAddonRead  = 64 << 20 // bytes of all files
	maxSourced    = 64       // files that config sources
)

// ReadAddon reads a source directory. The error is of the file system; a directory without a file
// config is none of an addon (fs.ErrNotExist).
func ReadAddon(dir string) (Addon, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Addon{}, fmt.Errorf("read the addon: %w", err)
	}
	defer root.Close()
	r := &addonReader{root: root, budget: maxAddonRead, seen: map[string]bool{}, source: cSource{macros: map[string]string{}, texts: map[string][]string{}}}
	if err := r.config(); err != nil {
		return Addon{}, fmt.Errorf("read the addon in %s: %w", dir, err)
	}
	if err := r.sources(); err != nil {
		return Addon{}, fmt.Errorf("read the addon in %s: %w", dir, err)
	}
	return r.addon(), nil
}

type addonReader struct {
	root   *os.Root
	budget int64 // bytes that may still be read

	name   string
	named  []string        // words where config names modules
	parts  []string        // directories of files that config sources
	seen   map[string]bool // words of named and files
	files  []string        // C files that config names, inside the directory
	source cSource
}

// addonDir is what the reader takes for $ngx_addon_dir.
const addonDir = "/ADDON"

// config reads the file config and what it sources from the same directory.
func (r *addonReader) config() error {
	text, err := r.read("config")
	if err != nil {
		return err
	}
	sh := &shell{vars: map[string]string{"ngx_addon_dir": addonDir}, assign: r.assigned, budget: maxAddonFile}
	sourced := 0
	sh.source = func(name string) {
		inside, ok := strings.CutPrefix(path.Clean(name), addonDir+"/")
		if !ok || sourced == maxSourced {
			return // auto/module and the like are nginx's
		}
		sourced++
		if text, err := r.read(inside); err == nil {
			r.parts = append(r.parts, path.Dir(inside))
			sh.run(text)
		}
	}
	sh.run(text)
	return nil
}

// assigned takes note of an assignment of config.
func (r *addonReader) assigned(name, value string) {
	words := strings.Fields(value)
	switch {
	case name == "ngx_addon_name":
		r.name = value
	case name == "ngx_module_name", strings.HasSuffix(name, "_MODULES"), strings.HasSuffix(name, "_MODULE"):
		for _, w := range words {
			if len(r.named) < maxModules && nameLength(w) == len(w) && !r.seen[w] {
				r.seen[w] = true
				r.named = append(r.named, w)
			}
		}
	}
	for _, w := range words {
		inside, ok := strings.CutPrefix(path.Clean(w), addonDir+"/")
		if ok && isCSource(inside) && len(r.files) < maxAddonFiles && !r.seen[inside] {
			r.seen[inside] = true
			r.files = append(r.files, inside)
		}
	}
}

func isCSource(name string) bool {
	switch path.Ext(name) {
	case ".c", ".cc", ".cpp", ".cxx":
		return true
	}
	return false
}

// sources reads the C files that config names, all of them if it names none, and what they include.
func (r *addonReader) sources() error {
	byBase, err := r.tree()
	if err != nil {
		return err
	}
	queue := r.files
	if len(queue) == 0 {
		for _, base := range slices.Sorted(maps.Keys(byBase)) {
			if isCSource(base) {
				queue = append(queue, byBase[base]...)
			}
		}
	}
	done, bases := map[string]bool{}, map[string]bool{}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if done[name] {
			continue
		}
		done[name] = true
		text, err := r.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			// config puts its path together in a way that depends on how it is called.
			queue = append(queue, byBase[path.Base(name)]...)
		}
		if err != nil {
			continue
		}
		for _, base := range r.source.read(path.Base(name), text) {
			if !bases[base] {
				bases[base] = true
				queue = append(queue, byBase[base]...)
			}
		}
	}
	r.source.finish()
	return nil
}

// tree lists the directory's files by their base names. Below it, a directory with a config of its own
// is another addon (an example or a test), unless this one's config leads there.
func (r *addonReader) tree() (map[string][]string, error) {
	byBase := map[string][]string{}
	root, n := r.root.FS(), 0
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		n++
		switch {
		case n > maxAddonFiles:
			return fs.SkipAll
		case err != nil:
			return nil //nolint:nilerr // what cannot be listed is not read
		case !d.IsDir():
			byBase[d.Name()] = append(byBase[d.Name()], name)
		case name == ".git" || name != "." && !r.isPart(name) && exists(root, path.Join(name, "config")):
			return fs.SkipDir
		}
		return nil
	})
	return byBase, err
}

func (r *addonReader) isPart(dir string) bool {
	return slices.Contains(r.parts, dir) ||
		slices.ContainsFunc(r.files, func(f string) bool { return strings.HasPrefix(f, dir+"/") })
}

func exists(root fs.FS, name string) bool {
	_, err := fs.Stat(root, name)
	return err == nil
}

// read reads a file of the directory; os.Root keeps links from leading out of it.
func (r *addonReader) read(name string) (string, error) {
	f, err := r.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > min(maxAddonFile, r.budget) {
		return "", fmt.Errorf("%s is no regular file, or too large", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxAddonFile))
	r.budget -= int64(len(text))
	return string(text), err
}

// addon puts together what was found. A name counts as a module's if the sources define it, so that
// other modules which config only mentions are left out; without sources its word must do.
func (r *addonReader) addon() Addon {
	a := Addon{Name: r.name, Directives: slices.Compact(slices.Sorted(slices.Values(r.source.directives)))}
	for _, name := range append(r.named, r.name) {
		if slices.Contains(r.source.modules, name) && !slices.Contains(a.Modules, name) {
			a.Modules = append(a.Modules, name)
		}
	}
	switch {
	case a.Modules != nil:
	case r.source.modules != nil:
		a.Modules = slices.Compact(slices.Sorted(slices.Values(r.source.modules)))
	default:
		a.Modules = r.named
	}
	return a
}
