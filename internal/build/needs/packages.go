package needs

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"graft/internal/build/source"
)

// packages are the names of what to install, by family; words apart by spaces.
type packages struct {
	debian, rhel, alpine, suse, arch string
	epel                             bool // RHEL itself does not have it, EPEL does; Fedora does
}

// everywhere is a package that all call by one name.
func everywhere(name string) packages {
	return packages{debian: name, rhel: name, alpine: name, suse: name, arch: name}
}

func (p packages) of(f source.Family) string {
	return map[source.Family]string{
		source.FamilyDebian: p.debian, source.FamilyRHEL: p.rhel, source.FamilyAlpine: p.alpine,
		source.FamilySUSE: p.suse, source.FamilyArch: p.arch,
	}[f]
}

// compilerName fits the commands that are packages of their own: clang, gcc-14, clang-19.
var compilerName = regexp.MustCompile(`^(gcc|clang)(-[0-9.]+)?$`)

// pkg names the package of a need on a distribution, and what to know about it.
func (n need) pkg(s subject, r source.OSRelease) (name, note string) {
	if n.compiles {
		if cc := path.Base(s.compiler()[0]); s.value("--with-cc") != "" && cc != "cc" {
			if !compilerName.MatchString(cc) {
				return "", "--with-cc names " + s.compiler()[0] + ": install that, or leave it out with --without-flag --with-cc"
			}
			return cc, ""
		}
	}
	return n.packages.on(n.name, r)
}

// on names the package on a distribution, and what to know about it.
func (p packages) on(name string, r source.OSRelease) (pkg, note string) {
	pkg = p.of(r.Family())
	switch {
	case name == "PCRE" && pcre1Gone(r):
		return "", r.String() + " no longer has PCRE1: " + withoutPCRE1
	case name == "OpenLDAP" && (r.ID() == "debian" && before(r, 11) || r.ID() == "ubuntu" && before(r, 20)):
		pkg = "libldap2-dev" // its name until 2.4.57
	case p.epel && r.Family() == source.FamilyRHEL && r.ID() != "fedora":
		note = pkg + " is in EPEL: " + installer(r) + " install epel-release"
	}
	return pkg, note
}

const withoutPCRE1 = "build OpenResty 1.25.3.1 or newer, whose Lua module uses PCRE2, or unpack PCRE 8.45's source and give --flag=--with-pcre=DIR"

func before(r source.OSRelease, major int) bool { return !r.Rolling() && r.Major() < major }

// pcre1Gone tells of distributions that dropped PCRE1: Debian with release 13, RHEL with 10.
func pcre1Gone(r source.OSRelease) bool {
	switch r.ID() {
	case "debian":
		return !before(r, 13)
	case "rhel", "rocky", "almalinux", "centos", "ol":
		return !before(r, 10)
	}
	return false
}

// installer is the package manager of a distribution, as it is called; empty if it is not known.
func installer(r source.OSRelease) string {
	switch r.Family() {
	case source.FamilyDebian:
		return "apt-get"
	case source.FamilyRHEL:
		// dnf came with RHEL 8 and Amazon Linux 2023.
		if r.ID() == "amzn" && (r.Major() == 2 || r.Major() == 2018) || slices.Contains([]string{"rhel", "centos", "ol", "scientific"}, r.ID()) && before(r, 8) {
			return "yum"
		}
		return "dnf"
	case source.FamilyAlpine:
		return "apk"
	case source.FamilySUSE:
		return "zypper"
	case source.FamilyArch:
		return "pacman"
	}
	return ""
}

// installCommand is one command that installs packages; empty if there are none or it is not known.
func installCommand(r source.OSRelease, packages []string) string {
	verb := map[string]string{"apt-get": "install", "dnf": "install", "yum": "install", "apk": "add", "zypper": "install", "pacman": "-S --needed"}
	name := installer(r)
	if name == "" || len(packages) == 0 {
		return ""
	}
	return name + " " + verb[name] + " " + strings.Join(packages, " ")
}

// Known is a dependency by its name, on a distribution: what to tell of one that turns out to be missing.
type Known struct {
	Name, Package, Note string
	Install             string // one command; empty if it is not known
}

// ByName finds a dependency; false if there is none of that name.
func ByName(name string, r source.OSRelease) (Known, bool) {
	return known(r, func(n need) bool { return n.name == name })
}

// ByHeader finds the dependency that has a header, as a source file includes it: "libxslt/xslt.h".
func ByHeader(header string, r source.OSRelease) (Known, bool) {
	return known(r, func(n need) bool {
		return slices.ContainsFunc(n.have, func(l library) bool {
			return slices.ContainsFunc(l.headers, func(h string) bool {
				// By its directory, if it has one that is its own: libxslt/ has more than one header.
				dir, _, ok := strings.Cut(h, "/")
				return h == header || ok && dir != "security" && strings.HasPrefix(header, dir+"/") || path.Base(h) == header
			})
		})
	})
}

// ByLibrary finds the dependency that has a library, as the linker is given it: "xslt" of -lxslt.
func ByLibrary(name string, r source.OSRelease) (Known, bool) {
	if name == "perl" {
		return ByName(perlHeaders, r)
	}
	return known(r, func(n need) bool {
		return slices.ContainsFunc(n.have, func(l library) bool { return slices.Contains(l.links, "-l"+name) })
	})
}

func known(r source.OSRelease, fits func(need) bool) (Known, bool) {
	all := slices.Concat(needs, moduleNeeds, others)
	at := slices.IndexFunc(all, fits)
	if at < 0 {
		return Known{}, false
	}
	k := Known{Name: all[at].name}
	k.Package, k.Note = all[at].packages.on(k.Name, r)
	k.Install = installCommand(r, strings.Fields(k.Package))
	return k, true
}
