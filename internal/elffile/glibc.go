package elffile

import (
	"debug/elf"
	"os"
	"path"
	"slices"
	"strings"
)

// glibc searches as ld.so(8) says: DT_RPATH of the object and of those that loaded it, DT_RUNPATH, the
// cache, the default directories. LD_LIBRARY_PATH, which comes after DT_RPATH, is taken to be empty.
type glibc struct {
	host     host
	expander expander
	cache    socache
	defaults []string
	levels   []string // directories for this processor, best first
}

func newGlibc(h host, interpreter string, im *image, e expander) *glibc {
	g := &glibc{host: h, expander: e, defaults: systemDirs(h, interpreter, im.machine, im.class)}
	if len(g.defaults) > 0 {
		// The first one is the library directory of the loader itself.
		g.expander.lib = strings.TrimPrefix(strings.TrimPrefix(g.defaults[0], "/usr"), "/")
	}
	// Without a cache, or with one that cannot be read, the loader goes on to the default directories.
	if data, err := h.text("/etc/ld.so.cache", maxCache); err == nil {
		if c, err := parseCache(data, im.order); err == nil {
			g.cache = c
		}
	}
	if cpuinfo, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		g.levels = hwcapsLevels(e.platform, string(cpuinfo))
	}
	return g
}

// preloadFile names libraries for every program of the host. One that is not found is passed over.
const preloadFile = "/etc/ld.so.preload"

func (g *glibc) preloads() []string {
	data, err := g.host.text(preloadFile, maxPaths)
	if err != nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		names = append(names, strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" \t\n:", c) })...)
	}
	return names
}

func (g *glibc) own(string) bool { return false }

func (g *glibc) answers(o *object, name string) bool {
	return o.dynamic.soname == name || slices.Contains(o.names, name)
}

func (g *glibc) checksVersions() bool { return true }

func (g *glibc) search(name string, needer *object, try func(string) bool) {
	if strings.Contains(name, "/") || strings.Contains(name, "$") {
		try(g.expander.expand(name, needer))
		return
	}
	for _, dir := range g.before(needer) {
		if g.inDir(dir, name, try) {
			return
		}
	}
	noDefaults := needer.dynamic.flags1&elf.DF_1_NODEFLIB != 0
	for _, p := range g.cache.lookup(name, g.levels) {
		if noDefaults && slices.Contains(g.defaults, path.Dir(p)) {
			continue
		}
		if try(p) {
			return
		}
	}
	if noDefaults {
		return
	}
	for _, dir := range g.defaults {
		if g.inDir(dir, name, try) {
			return
		}
	}
}

// before are the directories that are written into the objects.
func (g *glibc) before(needer *object) []string {
	var dirs []string
	if needer.dynamic.runpath == nil {
		for o := needer; o != nil; o = o.loader {
			if o.dynamic.runpath == nil {
				dirs = g.add(dirs, o.dynamic.rpath, o)
			}
		}
	}
	return g.add(dirs, needer.dynamic.runpath, needer)
}

func (g *glibc) add(dirs, path []string, o *object) []string {
	for _, p := range path {
		dirs = append(dirs, g.expander.expand(p, o))
	}
	return dirs
}

func (g *glibc) inDir(dir, name string, try func(string) bool) bool {
	for _, level := range g.levels {
		if try(beneath(dir, "glibc-hwcaps/"+level+"/"+name)) {
			return true
		}
	}
	return try(beneath(dir, name))
}

// multiarch are the directories of Debian and its kin.
var multiarch = map[elf.Machine]string{
	elf.EM_X86_64: "x86_64-linux-gnu", elf.EM_386: "i386-linux-gnu", elf.EM_AARCH64: "aarch64-linux-gnu",
	elf.EM_ARM: "arm-linux-gnueabihf", elf.EM_RISCV: "riscv64-linux-gnu", elf.EM_PPC64: "powerpc64le-linux-gnu",
	elf.EM_S390: "s390x-linux-gnu", elf.EM_LOONGARCH: "loongarch64-linux-gnu",
}

// systemDirs are the directories that are compiled into the loader, best read from it. Where that does
// not work they are guessed by what the host has.
func systemDirs(h host, interpreter string, m elf.Machine, c elf.Class) []string {
	if data, err := h.text(interpreter, 4<<20); err == nil {
		if dirs := compiledDirs(data); dirs != nil {
			return dirs
		}
	}
	if m := multiarch[m]; m != "" && h.isDir("/usr/lib/"+m) {
		return []string{"/lib/" + m, "/usr/lib/" + m, "/lib", "/usr/lib"}
	}
	if c == elf.ELFCLASS64 && h.isDir("/usr/lib64") {
		return []string{"/lib64", "/usr/lib64"}
	}
	return []string{"/lib", "/usr/lib"}
}
