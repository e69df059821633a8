package needs

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"graft/internal/build/source"
)

const (
	rocky9  = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\""
	rocky10 = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"10.0\""
	fedora  = "ID=fedora\nVERSION_ID=42"
	alpine  = "ID=alpine\nVERSION_ID=3.20.1"
	leap    = "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\""
	arch    = "ID=arch"
)

func TestOneCommandInstallsWhatIsMissing(t *testing.T) {
	s := newSubject(Query{Layout: source.LayoutOpenResty, Nginx: "1.27.1", Configure: []string{"--with-http_xslt_module", "--with-http_perl_module"}})
	for text, want := range map[string]string{
		"ID=debian\nVERSION_ID=12":           "apt-get install perl libpcre2-dev libssl-dev libxml2-dev libxslt1-dev libperl-dev",
		rocky9:                               "dnf install perl pcre2-devel openssl-devel libxml2-devel libxslt-devel perl-devel perl-ExtUtils-Embed",
		"ID=centos\nVERSION_ID=7":            "yum install perl pcre2-devel openssl-devel libxml2-devel libxslt-devel perl-devel perl-ExtUtils-Embed",
		"ID=amzn\nVERSION_ID=2":              "yum install perl pcre2-devel openssl-devel libxml2-devel libxslt-devel perl-devel perl-ExtUtils-Embed",
		alpine:                               "apk add perl pcre2-dev openssl-dev libxml2-dev libxslt-dev perl-dev",
		leap:                                 "zypper install perl pcre2-devel libopenssl-devel libxml2-devel libxslt-devel",
		arch:                                 "pacman -S --needed perl pcre2 openssl libxml2 libxslt",
		"ID=void\nPRETTY_NAME=\"no family\"": "",
	} {
		r := source.ParseOSRelease(text)
		p := Prediction{release: r}
		for _, n := range needs {
			if n.why(s) == "" || !slices.Contains([]string{"Perl", "PCRE2", "OpenSSL", "libxml2", "libxslt", perlHeaders}, n.name) {
				continue
			}
			d := Dependency{Name: n.name, Lacks: "header x.h"}
			d.Package, d.Note = n.pkg(s, r)
			p.Dependencies = append(p.Dependencies, d)
		}
		if err, ok := errors.AsType[*MissingError](p.Missing()); !ok || err.Install != want {
			t.Errorf("%q:\n%s, want\n%s", text, err.Install, want)
		}
	}
}

// Every dependency has a name in every family, but where there is no such package, which is told.
func TestPackageNames(t *testing.T) {
	for _, text := range []string{"ID=debian\nVERSION_ID=12", "ID=debian", "ID=ubuntu\nVERSION_ID=24.04", rocky9, rocky10, fedora, alpine, leap, arch} {
		r := source.ParseOSRelease(text)
		for _, n := range slices.Concat(needs, moduleNeeds, others) {
			pkg, note := n.packages.on(n.name, r)
			distro := n.name == "dpkg" || n.name == "apt"
			switch {
			case distro && r.Family() != source.FamilyDebian, n.name == "patch" && r.Family() == source.FamilyUnknown:
			case n.name == "ModSecurity" && r.Family() == source.FamilySUSE:
			case pkg == "" && note == "":
				t.Errorf("%s: no package for %s, and no word why", r, n.name)
			}
		}
	}
}

// PCRE1 is gone from Debian 13: what to do instead is said, and nothing that cannot be installed.
func TestPackageThatIsGone(t *testing.T) {
	for text, gone := range map[string]bool{
		"ID=debian\nVERSION_ID=12": false, "ID=debian\nVERSION_ID=13": true, "ID=debian\nVERSION_CODENAME=forky": true,
		"ID=ubuntu\nVERSION_ID=24.04": false, rocky9: false, rocky10: true,
	} {
		k, ok := ByName("PCRE", source.ParseOSRelease(text))
		if !ok || gone != (k.Package == "" && k.Install == "" && strings.Contains(k.Note, "--with-pcre=DIR")) {
			t.Errorf("%q: %+v", text, k)
		}
	}
	p := Prediction{release: source.ParseOSRelease("ID=debian\nVERSION_ID=13"), Dependencies: []Dependency{
		{Name: "PCRE", Lacks: "header pcre.h", Note: "debian 13 no longer has PCRE1: build another"},
		{Name: "zlib", Lacks: "library to link with -lz", Package: "zlib1g-dev"}, {Name: "make", Installed: true, Package: "make"},
	}}
	want := "the build needs what is not installed here: PCRE, zlib (zlib1g-dev): no library to link with -lz; install it with: apt-get install zlib1g-dev" +
		"\n  debian 13 no longer has PCRE1: build another"
	if got := p.Missing().Error(); got != want {
		t.Errorf("%s", got)
	}
}

func TestEPELIsNamedWhereItIsNeeded(t *testing.T) {
	for text, want := range map[string]string{rocky9: "GeoIP-devel is in EPEL: dnf install epel-release", fedora: "", alpine: ""} {
		if k, _ := ByName("GeoIP", source.ParseOSRelease(text)); k.Note != want {
			t.Errorf("%q: %q", text, k.Note)
		}
	}
}

func TestCompilerThatAFlagNames(t *testing.T) {
	for cc, want := range map[string]string{"clang": "clang", "/usr/bin/gcc-14": "gcc-14", "ccache gcc": "", "/opt/toolchain/bin/cc1234": "", "cc": "gcc"} {
		s := newSubject(Query{Configure: []string{"--with-cc=" + cc}})
		if pkg, note := needs[0].pkg(s, debian12); pkg != want || (pkg == "") != strings.Contains(note, "--without-flag --with-cc") {
			t.Errorf("%s: %q, %q", cc, pkg, note)
		}
	}
}

func TestWhatHasAHeaderOrALibrary(t *testing.T) {
	for header, want := range map[string]string{
		"libxslt/xsltInternals.h": "libxslt", "gd.h": "GD", "pcre.h": "PCRE", "pcre2.h": "PCRE2", "openssl/engine.h": "OpenSSL", "security/pam_appl.h": "PAM",
		"security/other.h": "", "maxminddb.h": "libmaxminddb", "stdio.h": "C library headers", "abacus.h": "", "libpq-fe.h": "libpq",
	} {
		if k, ok := ByHeader(header, debian12); ok != (want != "") || k.Name != want {
			t.Errorf("%s: %+v", header, k)
		}
	}
	for library, want := range map[string]string{"xslt": "libxslt", "exslt": "libxslt", "ssl": "OpenSSL", "perl": perlHeaders, "yajl": "YAJL", "abacus": ""} {
		if k, ok := ByLibrary(library, debian12); ok != (want != "") || k.Name != want {
			t.Errorf("-l%s: %+v", library, k)
		}
	}
}
