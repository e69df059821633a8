// Package explain tells what a failed configure, compiler or linker means, and what helps: the messages are
// those of nginx's auto/*, OpenResty's configure, gcc, clang, ld and make.
package explain

import (
	"regexp"
	"strings"

	"graft/internal/build/job"
	"graft/internal/build/needs"
	"graft/internal/build/source"
)

// Explanation is what a person needs to know of a failure.
type Explanation struct {
	What   string // one sentence without its full stop
	Remedy string // the exact command, argument of graft build, or thing to do
}

// failure is one known way to fail.
type failure struct {
	text   *regexp.Regexp // of one line
	what   string         // $1 is the first group
	remedy func(subject string, r source.OSRelease) string
}

// Failure explains the lines that a failed program left; false if none of them is known. The first row
// that fits any line decides: causes stand before what follows from them.
func Failure(tool *job.ToolError, release source.OSRelease) (Explanation, bool) {
	for _, f := range failures {
		for _, line := range tool.Lines {
			m := f.text.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			subject := ""
			if len(m) > 1 {
				subject = m[1]
			}
			return Explanation{strings.ReplaceAll(f.what, "$1", subject), f.remedy(subject, release)}, true
		}
	}
	return Explanation{}, false
}

func say(remedy string) func(string, source.OSRelease) string {
	return func(subject string, _ source.OSRelease) string { return strings.ReplaceAll(remedy, "$1", subject) }
}

// install names what installs some dependencies, as needs knows them.
func install(names ...string) func(string, source.OSRelease) string {
	return func(_ string, r source.OSRelease) string {
		command := ""
		for _, name := range names {
			k, ok := needs.ByName(name, r)
			switch {
			case !ok || k.Install == "":
				return strings.TrimSpace("install " + strings.Join(names, " and ") + ", with headers; " + k.Note)
			case command == "":
				command = k.Install
			default:
				command += " " + k.Package
			}
		}
		return command
	}
}

func installHeader(header string, r source.OSRelease) string {
	if k, ok := needs.ByHeader(header, r); ok && k.Install != "" {
		return k.Install
	}
	return "install the package that has " + header
}

func installLibrary(name string, r source.OSRelease) string {
	if k, ok := needs.ByLibrary(name, r); ok && k.Install != "" {
		return k.Install
	}
	return "install the package that has lib" + name + ".so"
}

const (
	elsewhere = "make room there, or let XDG_CACHE_HOME name a directory with more"
	newer     = "build a newer source"
)

var failures = []failure{
	// The machine.
	{regexp.MustCompile(`No space left on device`), "the file system that the build works in is full", say(elsewhere)},
	{regexp.MustCompile(`Disk quota exceeded`), "the user's disk quota is used up", say(elsewhere)},
	{regexp.MustCompile(`Killed signal terminated program|virtual memory exhausted|cannot allocate memory|[Oo]ut of memory|signal: killed`),
		"the compiler was killed, or given no memory", say("use fewer compilers at once: --jobs 1, or a machine or cgroup with more memory")},
	{regexp.MustCompile(`(?:\./configure|autotest|/compilers/[^ :]*|/install|/buildvm|/minilua).*[Pp]ermission denied`),
		"programs in the build's work directory may not be run: its file system is mounted noexec", say("let XDG_CACHE_HOME name a directory on another file system")},
	{regexp.MustCompile(`C compiler .* is not found|cc: (?:command )?not found|compiler cannot create executables`),
		"there is no compiler that makes programs", install("C compiler", "C library headers")},
	{regexp.MustCompile(`need to have ldconfig in your PATH`), "OpenResty's configure looks for ldconfig, which is in /sbin", say("add /sbin to PATH")},
	{regexp.MustCompile(`Can't locate (\S+\.pm) in @INC`), "Perl has no $1", func(_ string, r source.OSRelease) string { return install("Perl headers")("", r) }},
	{regexp.MustCompile(`Clock skew detected|modification time .* in the future`), "the files' times are in the future", say("set the clock right")},

	// nginx's configure: a library is missing.
	{regexp.MustCompile(`the HTTP XSLT module requires`), "--with-http_xslt_module needs libxml2 and libxslt", install("libxml2", "libxslt")},
	{regexp.MustCompile(`the HTTP image filter module requires`), "--with-http_image_filter_module needs GD", install("GD")},
	{regexp.MustCompile(`the GeoIP module requires`), "--with-http_geoip_module and --with-stream_geoip_module need GeoIP", install("GeoIP")},
	{regexp.MustCompile(`the HTTP rewrite module requires`), "nginx needs PCRE", install("PCRE2")},
	{regexp.MustCompile(`SSL modules require|the HTTP (?:SSL|v3|cache) module requires|requires the OpenSSL`), "TLS needs OpenSSL", install("OpenSSL")},
	{regexp.MustCompile(`the HTTP gzip module(?:s)? requires?`), "gzip needs zlib", install("zlib")},
	{regexp.MustCompile(`libatomic_ops (?:library|was not found)|requires? .*libatomic_ops|libatomic_ops`), "--with-libatomic needs libatomic_ops", install("libatomic_ops")},
	{regexp.MustCompile(`the Google perftools module requires`), "--with-google_perftools_module needs gperftools", install("Google perftools")},
	{regexp.MustCompile(`perl module ExtUtils::Embed is required|perl .* ExtUtils`), "--with-http_perl_module needs Perl's headers", install("Perl headers")},
	{regexp.MustCompile(`requires the Lua library|LUAJIT_LIB|unsupported LuaJIT version`),
		"the Lua module finds no LuaJIT, or one that it cannot use", say("build OpenResty, which brings its own, or --source distro")},
	{regexp.MustCompile(`invalid option "(--[^"=]+)`), "this source's configure does not know $1", say("leave it out: --without-flag=$1")},

	// The compiler.
	{regexp.MustCompile(`struct crypt_data.*current_salt|current_salt`), "this nginx is older than the C library allows (nginx 1.15.9 mended it)", say(newer)},
	{regexp.MustCompile(`fatal error: (pcre\.h): No such file|pcre_fullinfo|ngx_regex_compile_t.*captures`),
		"a Lua module older than 0.10.26 can only use PCRE1", install("PCRE")},
	{regexp.MustCompile(`recompile with -fPIC`), "code compiled for a program alone (-fPIE) does not link into a .so module", say("--flag=--with-cc-opt=-fPIC")},
	{regexp.MustCompile(`modules/([^/\s:]+)/.*(?:has no member named|incompatible.*pointer|too (?:few|many) arguments|undeclared)`),
		"the module $1 does not know this nginx", say("give a newer version of it with --add-module DIR, or leave the module out")},
	{regexp.MustCompile(`\[-Werror=(deprecated-declarations)\]`), "this source calls functions that the installed OpenSSL declares deprecated, and is compiled with -Werror",
		say("--flag=--with-cc-opt=-Wno-error=$1, or build a newer source (nginx 1.21.2 knows OpenSSL 3)")},
	{regexp.MustCompile(`\[-Werror=([a-z0-9+-]+)`), "the compiler warns of what it did not when this source was written, and the source is compiled with -Werror",
		say("--flag=--with-cc-opt=-Wno-error=$1, or build a newer source")},
	{regexp.MustCompile(`(?:implicit declaration of function|undefined reference to).*(SSL_|ERR_GET_FUNC|FIPS_mode|EVP_|CRYPTO_|RAND_pseudo)`),
		"this source does not know the installed OpenSSL", say("build a newer source, or give an OpenSSL that it knows: --flag=--with-openssl=DIR")},
	{regexp.MustCompile(`fatal error: ([^:]+): No such file or directory`), "the header $1 is not installed", installHeader},
	{regexp.MustCompile(`cannot find -l(\S+?)(?::|$)`), "the library lib$1 is not installed for the linker", installLibrary},
	{regexp.MustCompile(`Hunk #\d+ FAILED|patch does not apply`), "a patch of the distribution's does not fit its source: the downloads do not belong together",
		say("fetch them anew: --refresh")},
}
