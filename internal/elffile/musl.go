package elffile

import (
	"path"
	"slices"
	"strings"
)

// musl searches as ldso/dynlink.c of musl does: the search paths of the object and of all that loaded it,
// whether RPATH or RUNPATH, and then the directories of a file of its own.
type musl struct {
	host        host
	interpreter string
	expander    expander
	dirs        []string // read at first use
}

func isMuslLoader(path string) bool {
	return strings.HasPrefix(path[strings.LastIndexByte(path, '/')+1:], "ld-musl-")
}

func (m *musl) preloads() []string { return nil }

// answers: musl does not look at DT_SONAME.
func (m *musl) answers(o *object, name string) bool { return slices.Contains(o.names, name) }

// muslNames are libraries that exist in musl's one file only.
var muslNames = []string{"c", "pthread", "rt", "m", "dl", "util", "xnet"}

// own: the loader is the C library, too.
func (m *musl) own(name string) bool {
	rest, ok := strings.CutPrefix(name, "lib")
	stem, _, dot := strings.Cut(rest, ".")
	return ok && dot && slices.Contains(muslNames, stem) || name == path.Base(m.interpreter)
}

// checksVersions: musl takes a symbol of any version.
func (m *musl) checksVersions() bool { return false }

func (m *musl) search(name string, needer *object, try func(string) bool) {
	if strings.Contains(name, "/") {
		if !strings.HasPrefix(name, "/") {
			name = beneath(m.expander.dir, name)
		}
		try(name)
		return
	}
	for o := needer; o != nil; o = o.loader {
		dirs := o.dynamic.runpath
		if dirs == nil {
			dirs = o.dynamic.rpath
		}
		for _, dir := range dirs {
			if try(beneath(m.expander.expand(dir, o), name)) {
				return
			}
		}
	}
	if m.dirs == nil {
		m.dirs = m.systemDirs()
	}
	for _, dir := range m.dirs {
		if try(beneath(dir, name)) {
			return
		}
	}
}

// systemDirs reads the file that names the directories, which lies beside the loader's own: /etc for a
// loader in /lib.
func (m *musl) systemDirs() []string {
	base := strings.TrimPrefix(path.Base(m.interpreter), "ld-musl-")
	arch, _, _ := strings.Cut(base, ".so")
	prefix := path.Dir(path.Dir(m.interpreter))
	data, err := m.host.text(path.Join(prefix, "/etc", "ld-musl-"+arch+".path"), maxPaths)
	if err != nil {
		return []string{"/lib", "/usr/local/lib", "/usr/lib"}
	}
	return strings.FieldsFunc(string(data), func(c rune) bool { return c == '\n' || c == ':' })
}
