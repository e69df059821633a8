package needs

import "graft/internal/build/source"

// need is a dependency as a rule: when it is needed, how it is recognised, who packages it.
type need struct {
	name     string
	why      func(subject) string // what needs it; empty: nothing does
	have     []library            // any one of them will do
	tools    []string             // programs, all of them, in PATH
	modules  []string             // Perl modules, all of them
	compiles bool                 // it is the compiler itself
	packages packages
}

// library is one way to have what is needed. nginx's configure compiles and links a small program
// that uses it; this is the same in two steps.
type library struct {
	headers []string // the header, by any one of these names
	version string   // header with its version in macros, if that can be included alone
	define  string   // what has to be defined before that
	links   []string // words for the linker
	symbol  string   // a function of it; empty: it may have none to link with
}

// programs are those that a need wants in PATH.
func (n need) programs(s subject) []string {
	if n.compiles {
		return s.compiler()[:1]
	}
	return n.tools
}

func always(subject) string { return "every build" }

func option(names ...string) func(subject) string {
	return func(s subject) string { return s.arg(names...) }
}

// httpOption is an option that means nothing without http. uses is the name by which modules ask for
// the same library.
func httpOption(uses string, names ...string) func(subject) string {
	return func(s subject) string {
		if arg := s.arg(names...); arg != "" && s.http() {
			return arg
		}
		return s.uses(uses)
	}
}

func geoIP(s subject) string {
	if arg := s.arg("--with-http_geoip_module"); arg != "" && s.http() {
		return arg
	}
	if arg := s.arg("--with-stream_geoip_module"); arg != "" && (s.openResty() || s.arg("--with-stream") != "") {
		return arg
	}
	return s.uses("GEOIP")
}

// perl returns what runs Perl while it builds.
func perl(s subject) string {
	if s.openResty() {
		return "OpenResty's configure is written in it"
	}
	return perlModule(s)
}

func perlModule(s subject) string {
	if arg := s.arg("--with-http_perl_module"); arg != "" && s.http() {
		return arg
	}
	return s.uses("PERL")
}

func luaJIT(s subject) string {
	if s.openResty() && s.value("--with-luajit") == "" {
		return "OpenResty's configure looks for it when it builds LuaJIT"
	}
	return ""
}

func distro(s subject) string {
	if s.Layout == source.LayoutDistro {
		return "the distribution's source packages"
	}
	return ""
}

// libatomic returns the bare option: with a value the library is built from its source.
func libatomic(s subject) string {
	if s.value("--with-libatomic") == "" {
		return s.arg("--with-libatomic")
	}
	return ""
}

var (
	pcre1Library = library{headers: []string{"pcre.h", "pcre/pcre.h"}, version: "pcre.h", links: []string{"-lpcre"}, symbol: "pcre_compile"}
	pcre2Library = library{headers: []string{"pcre2.h"}, version: "pcre2.h", define: "PCRE2_CODE_UNIT_WIDTH 8", links: []string{"-lpcre2-8"}, symbol: "pcre2_compile_8"}
)

// needs are in the order in which a build would miss them. Packages: see TestPackageNames.
var needs = []need{
	{name: "C compiler", why: always, compiles: true, packages: packages{debian: "gcc", rhel: "gcc", alpine: "gcc", suse: "gcc", arch: "gcc"}},
	{name: "C library headers", why: always, have: []library{{headers: []string{"stdio.h"}, links: []string{"-lc"}, symbol: "getpid"}},
		packages: packages{debian: "libc6-dev", rhel: "glibc-devel", alpine: "musl-dev", suse: "glibc-devel", arch: "glibc"}},
	{name: "make", why: always, tools: []string{"make"}, packages: everywhere("make")},
	// Since RHEL 8 the package perl has Perl's own modules, which perl-interpreter lacks.
	{name: "Perl", why: perl, tools: []string{"perl"}, packages: everywhere("perl")},
	{name: "Perl's own modules", why: func(s subject) string {
		if s.openResty() {
			return "OpenResty's configure uses them"
		}
		return ""
	}, modules: []string{"Config", "File::Spec", "File::Temp"}, packages: everywhere("perl")},
	{name: "ldconfig", why: luaJIT, tools: []string{"ldconfig"},
		packages: packages{debian: "libc-bin", rhel: "glibc", alpine: "musl-utils", suse: "glibc", arch: "glibc"}},
	{name: "patch", why: distro, tools: []string{"patch"}, packages: everywhere("patch")},
	{name: "tar", why: distro, tools: []string{"tar"}, packages: everywhere("tar")},
	{name: "gzip", why: distro, tools: []string{"gzip"}, packages: everywhere("gzip")},
	{name: "xz", why: distro, tools: []string{"xz"}, packages: packages{debian: "xz-utils", rhel: "xz", alpine: "xz", suse: "xz", arch: "xz"}},
	{name: "dpkg", why: distro, tools: []string{"dpkg", "dpkg-deb", "dpkg-query"}, packages: packages{debian: "dpkg"}},
	{name: "apt", why: distro, tools: []string{"apt-get", "apt-cache", "apt-config"}, packages: packages{debian: "apt"}},
	{name: "PCRE", why: subject.pcre1, have: []library{pcre1Library},
		packages: packages{debian: "libpcre3-dev", rhel: "pcre-devel", alpine: "pcre-dev", suse: "pcre-devel", arch: "pcre"}},
	{name: "PCRE2", why: subject.pcre2, have: []library{pcre2Library, pcre1Library}, // configure falls back to PCRE1
		packages: packages{debian: "libpcre2-dev", rhel: "pcre2-devel", alpine: "pcre2-dev", suse: "pcre2-devel", arch: "pcre2"}},
	{name: "OpenSSL", why: subject.openSSL, have: []library{{headers: []string{"openssl/ssl.h"}, version: "openssl/opensslv.h", links: []string{"-lssl", "-lcrypto"}, symbol: "SSL_CTX_new"}},
		packages: packages{debian: "libssl-dev", rhel: "openssl-devel", alpine: "openssl-dev", suse: "libopenssl-devel", arch: "openssl"}},
	{name: "zlib", why: subject.zlib, have: []library{{headers: []string{"zlib.h"}, version: "zlib.h", links: []string{"-lz"}, symbol: "deflate"}},
		packages: packages{debian: "zlib1g-dev", rhel: "zlib-devel", alpine: "zlib-dev", suse: "zlib-devel", arch: "zlib"}},
	{name: "libxml2", why: httpOption("LIBXSLT", "--with-http_xslt_module"),
		have:     []library{{headers: []string{"libxml2/libxml/parser.h", "libxml/parser.h"}, links: []string{"-lxml2"}, symbol: "xmlParseChunk"}},
		packages: packages{debian: "libxml2-dev", rhel: "libxml2-devel", alpine: "libxml2-dev", suse: "libxml2-devel", arch: "libxml2"}},
	// Without libexslt configure goes on, and the module's style sheets lose EXSLT in silence.
	{name: "libxslt", why: httpOption("LIBXSLT", "--with-http_xslt_module"),
		have:     []library{{headers: []string{"libxslt/xslt.h"}, links: []string{"-lxslt", "-lexslt"}, symbol: "xsltApplyStylesheet"}},
		packages: packages{debian: "libxslt1-dev", rhel: "libxslt-devel", alpine: "libxslt-dev", suse: "libxslt-devel", arch: "libxslt"}},
	{name: "GD", why: httpOption("LIBGD", "--with-http_image_filter_module"), have: []library{{headers: []string{"gd.h"}, links: []string{"-lgd"}, symbol: "gdImageCreateFromGifPtr"}},
		packages: packages{debian: "libgd-dev", rhel: "gd-devel", alpine: "gd-dev", suse: "gd-devel", arch: "gd"}},
	{name: "GeoIP", why: geoIP, have: []library{{headers: []string{"GeoIP.h"}, links: []string{"-lGeoIP"}, symbol: "GeoIP_open"}},
		packages: packages{debian: "libgeoip-dev", rhel: "GeoIP-devel", epel: true, alpine: "geoip-dev", suse: "libGeoIP-devel", arch: "geoip"}},
	{name: "libatomic_ops", why: libatomic, have: []library{{headers: []string{"atomic_ops.h"}, links: []string{"-latomic_ops"}}},
		packages: packages{debian: "libatomic-ops-dev", rhel: "libatomic_ops-devel", alpine: "libatomic_ops-dev", suse: "libatomic-ops-devel", arch: "libatomic_ops"}},
	// nginx declares its two functions itself: no header is looked for.
	{name: "Google perftools", why: option("--with-google_perftools_module"), have: []library{{links: []string{"-lprofiler"}, symbol: "ProfilerStop"}},
		packages: packages{debian: "libgoogle-perftools-dev", rhel: "gperftools-devel", epel: true, alpine: "gperftools-dev", suse: "gperftools-devel", arch: "gperftools"}},
	// Where its headers and library lie Perl itself tells: see verifyPerl.
	{name: perlHeaders, why: perlModule, modules: []string{"Config", "ExtUtils::Embed"},
		packages: packages{debian: "libperl-dev", rhel: "perl-devel perl-ExtUtils-Embed", alpine: "perl-dev", suse: "perl", arch: "perl"}},
}

// perlHeaders is the need that is looked into by running Perl.
const perlHeaders = "Perl headers"
