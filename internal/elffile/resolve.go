package elffile

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// maxLookups bounds the paths that are tried for one program: a broken one could name millions. A desktop
// program with two hundred libraries takes a few thousand.
const maxLookups = 1 << 17

// object is a program or library as the loader has it in memory.
type object struct {
	path    string   // on the target host
	names   []string // by which it was asked for
	loader  *object  // which needed it first; nil for the program
	file    os.FileInfo
	dynamic dynamic
	needs   []version
	defines map[string]bool // nil: it has no versions at all
}

func (im *image) object() (*object, error) {
	d, err := im.dynamic()
	if err != nil {
		return nil, err
	}
	o := &object{dynamic: d}
	if o.needs, err = im.versionNeeds(d); err != nil {
		return nil, err
	}
	o.defines, err = im.versionDefinitions(d)
	return o, err
}

// searcher is what glibc's and musl's loaders do differently.
type searcher interface {
	// preloads are libraries that every program of the host gets.
	preloads() []string
	// own tells whether a name always means the loader itself.
	own(name string) bool
	// answers tells whether a loaded library is what the name asks for.
	answers(o *object, name string) bool
	// search visits the paths where a library may be, until try is done with one.
	search(name string, needer *object, try func(path string) (done bool))
	// checksVersions tells whether a version that a library lacks ends the program.
	checksVersions() bool
}

// resolver loads libraries as a loader does, but only their headers.
type resolver struct {
	host        host
	im          *image // the program, whose class and machine libraries must have
	searcher    searcher
	interpreter Library
	objects     []*object
	libraries   []Library
	lookups     int
}

func newResolver(h host, im *image, f File, dir string) *resolver {
	r := &resolver{host: h, im: im}
	path := f.Interpreter
	if path == "" {
		path = defaultInterpreter(f)
	}
	if isMuslLoader(path) {
		r.searcher = &musl{host: h, interpreter: path, expander: expander{dir: dir}}
	} else {
		r.searcher = newGlibc(h, path, im, expander{dir: dir, platform: f.Machine})
	}
	r.interpreter = Library{Name: path, Path: path}
	o, err := r.load(path)
	switch {
	case errors.Is(err, errNotThere):
		r.interpreter = Library{Name: path, Missing: true}
	case err != nil:
		r.interpreter.Broken = err.Error()
	default:
		o.names = append(o.names, path)
		r.objects = append(r.objects, o)
	}
	return r
}

// run visits the objects breadth first, as the loader does: which of two libraries of one name is taken
// depends on who asks first. What is started needs its interpreter in any case.
func (r *resolver) run(program *object, started bool) error {
	if started {
		r.record(r.interpreter, program)
	}
	queue := []*object{program}
	for _, name := range r.searcher.preloads() {
		if o, l := r.find(name, &object{path: preloadFile, loader: program}); o != nil {
			r.record(l, o.loader)
			queue = append(queue, o)
		}
	}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		for _, name := range o.dynamic.needed {
			loaded, l := r.find(name, o)
			if r.lookups > maxLookups {
				return fmt.Errorf("more than %d paths would have to be tried", maxLookups)
			}
			r.record(l, o)
			if loaded != nil {
				queue = append(queue, loaded)
			}
		}
	}
	if r.searcher.checksVersions() {
		r.checkVersions(program)
	}
	return nil
}

// find tells which library an object gets for a name, and returns the library if it was not loaded before.
func (r *resolver) find(name string, needer *object) (loaded *object, l Library) {
	if r.searcher.own(name) {
		return nil, r.interpreter
	}
	for _, o := range r.objects {
		if r.searcher.answers(o, name) {
			return nil, Library{Name: name, Path: o.path}
		}
	}
	l = Library{Name: name, Missing: true}
	r.searcher.search(name, needer, func(path string) bool {
		if r.lookups++; r.lookups > maxLookups {
			return true
		}
		o, err := r.load(path)
		switch {
		case errors.Is(err, errNotThere) || errors.Is(err, errOtherMachine):
			return false
		case err != nil:
			l = Library{Name: name, Path: path, Broken: err.Error()}
			return true
		}
		l = Library{Name: name, Path: path}
		if known := r.same(o); known != nil {
			known.names = append(known.names, name)
			l.Path = known.path
			return true
		}
		o.loader, loaded = needer, o
		o.names = append(o.names, name)
		r.objects = append(r.objects, o)
		return true
	})
	return loaded, l
}

// same returns the object of the same file, by whatever name it was loaded.
func (r *resolver) same(o *object) *object {
	for _, other := range r.objects {
		if os.SameFile(o.file, other.file) {
			return other
		}
	}
	return nil
}

// record adds a library to the answer, or one more that needs it.
func (r *resolver) record(l Library, needer *object) {
	for i, known := range r.libraries {
		if known.Path != l.Path || known.Path == "" && known.Name != l.Name {
			continue
		}
		if !slices.Contains(known.NeededBy, needer.path) {
			r.libraries[i].NeededBy = append(known.NeededBy, needer.path)
		}
		return
	}
	l.NeededBy = []string{needer.path}
	r.libraries = append(r.libraries, l)
}

var (
	errNotThere = errors.New("not there")
	// errOtherMachine: the loader passes over such a file, and looks on.
	errOtherMachine = errors.New("for another machine")
)

// load reads a library of the host.
func (r *resolver) load(path string) (*object, error) {
	f, err := r.host.open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotThere, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	im, err := parse(f, st.Size())
	switch {
	case err != nil:
		return nil, err
	case im.class != r.im.class || im.machine != r.im.machine || im.order != r.im.order:
		return nil, errOtherMachine
	}
	o, err := im.object()
	if err != nil {
		return nil, err
	}
	o.path, o.file = path, st
	return o, nil
}

// checkVersions records which versions the libraries should have and have not. A library without any
// versions is taken as it is by the loader, too.
func (r *resolver) checkVersions(program *object) {
	for _, o := range append([]*object{program}, r.objects...) {
		for _, v := range o.needs {
			i := slices.IndexFunc(r.objects, func(o *object) bool { return r.searcher.answers(o, v.library) })
			if i < 0 || v.weak || r.objects[i].defines == nil || r.objects[i].defines[v.name] {
				continue
			}
			r.lacks(r.objects[i].path, MissingVersion{Version: v.name, NeededBy: o.path})
		}
	}
}

func (r *resolver) lacks(path string, v MissingVersion) {
	for i, l := range r.libraries {
		if l.Path == path && !slices.Contains(l.Versions, v) {
			r.libraries[i].Versions = append(l.Versions, v)
		}
	}
}

// defaultInterpreter is the loader of a shared object, which names none.
func defaultInterpreter(f File) string {
	if f.musl() {
		return fmt.Sprintf("/lib/ld-musl-%s.so.1", f.Machine)
	}
	return map[string]string{
		"x86_64": "/lib64/ld-linux-x86-64.so.2", "i386": "/lib/ld-linux.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1",
		"arm": "/lib/ld-linux-armhf.so.3", "ppc64le": "/lib64/ld64.so.2", "s390x": "/lib/ld64.so.1",
		"riscv64": "/lib/ld-linux-riscv64-lp64d.so.1", "loongarch64": "/lib64/ld-linux-loongarch-lp64d.so.1",
	}[f.Machine]
}
