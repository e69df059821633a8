package needs

import (
	"strings"
	"testing"

	"graft/internal/build/source"
	"graft/internal/nginxtest"
	"graft/internal/sandbox"
)

// Scripts that hide things in a sandbox; what is not on this machine is hidden already.
const (
	hideZlib    = "rm -f /usr/include/zlib.h\n"
	hidePCRE    = "rm -f /usr/include/pcre.h /usr/include/pcre2.h\n"
	hideOpenSSL = "rm -rf /usr/include/openssl /usr/include/*/openssl\n"
)

// hideLibrary leaves the headers, and what runs, alone: only the linker misses it.
func hideLibrary(name string) string {
	return "find /usr/lib /usr/local/lib /lib -name lib" + name + ".so -delete -o -name lib" + name + ".a -delete 2>/dev/null || true\n"
}

// What is predicted to be missing is what the real configure stops at, and what is not predicted it does
// not miss: header or library gone, in the compiler's own directories or in those that flags name.
func TestPredictionAgreesWithConfigure(t *testing.T) {
	tree := nginxtest.Source(t, "1.26.3")
	const bare = "--without-http_rewrite_module --without-http_gzip_module"
	for name, tt := range map[string]struct {
		hide      string
		configure string
		lack      string // what the prediction tells, "NAME: what"; empty: nothing is missing
		stops     string // what configure says; empty: it goes on
	}{
		"nothing hidden":                   {"", "", "", ""},
		"zlib's header":                    {hideZlib, "--without-http_rewrite_module", "zlib: header zlib.h", "gzip module requires the zlib library"},
		"zlib's library":                   {hideLibrary("z"), "--without-http_rewrite_module", "zlib: library to link with -lz", "gzip module requires the zlib library"},
		"zlib for gunzip alone":            {hideZlib, bare + " --with-http_gunzip_module", "zlib: header zlib.h", "requires the zlib library"},
		"PCRE, both":                       {hidePCRE, "", "PCRE2: header pcre2.h or pcre.h", "rewrite module requires the PCRE library"},
		"PCRE's library":                   {hideLibrary("pcre") + hideLibrary("pcre2-8"), "", "PCRE2: library to link with", "rewrite module requires the PCRE library"},
		"PCRE1 where PCRE2 is not allowed": {hidePCRE + ": >/usr/include/pcre2.h", "--without-pcre2", "PCRE: header pcre.h", "rewrite module requires the PCRE library"},
		"PCRE2 without its library, PCRE1": {": >/usr/include/pcre2.h\n" + hideLibrary("pcre2-8"), "", "", ""},
		"PCRE asked for, no rewrite":       {hidePCRE, bare + " --with-pcre", "PCRE2: header pcre2.h or pcre.h", "PCRE library"},
		"OpenSSL's headers":                {hideOpenSSL, bare + " --with-http_ssl_module", "OpenSSL: header openssl/ssl.h", "SSL modules require the OpenSSL library"},
		"OpenSSL's library, dynamic":       {hideLibrary("crypto"), bare + " --with-stream=dynamic --with-stream_ssl_module", "OpenSSL: library to link with -lssl -lcrypto", "SSL modules require the OpenSSL library"},
		"OpenSSL for HTTP/3":               {hideOpenSSL, bare + " --with-http_v3_module", "OpenSSL: header openssl/ssl.h", "SSL modules require the OpenSSL library"},
		"TLS of modules that are not built": {hideOpenSSL + hideZlib + hidePCRE,
			"--without-http --with-http_ssl_module --with-mail_ssl_module --with-stream_ssl_module", "", ""},
		"libxslt":                     {"rm -rf /usr/include/libxslt", bare + " --with-http_xslt_module=dynamic", "libxslt: header libxslt/xslt.h", "XSLT module requires the libxml2/libxslt"},
		"GD":                          {"rm -f /usr/include/gd.h", bare + " --with-http_image_filter_module=dynamic", "GD: header gd.h", "image filter module requires the GD library"},
		"GeoIP":                       {"rm -f /usr/include/GeoIP.h", bare + " --with-stream --with-stream_geoip_module", "GeoIP: header GeoIP.h", "GeoIP module requires the GeoIP library"},
		"GeoIP of a stream not built": {"rm -f /usr/include/GeoIP.h", bare + " --with-stream_geoip_module", "", ""},
		"libatomic_ops":               {"rm -f /usr/include/atomic_ops.h", bare + " --with-libatomic", "libatomic_ops: header atomic_ops.h", "libatomic_ops library was not found"},
		"perftools":                   {hideLibrary("profiler"), bare + " --with-google_perftools_module", "Google perftools: library to link with -lprofiler", "requires the Google perftools"},
		"Perl's module":               {`rm -f "$(perl -MExtUtils::Embed -e 'print $INC{"ExtUtils/Embed.pm"}')"`, bare + " --with-http_perl_module", "Perl headers: Perl module ExtUtils::Embed", "perl module ExtUtils::Embed is required"},
		"a compiler that is not here": {"", bare + " --with-cc=/opt/nonesuch/cc", "C compiler: program /opt/nonesuch/cc", "C compiler /opt/nonesuch/cc is not found"},
		"a compiler that does not link": {"find /usr/lib -name crt1.o -delete -o -name Scrt1.o -delete", bare,
			"C compiler: a compiler that makes programs", "C compiler cc is not found"},
		"a compiler without its innards": {"find /usr/lib /usr/libexec -name cc1 -delete", bare, "C compiler: a compiler that works", "C compiler cc is not found"},
		"libraries in directories that flags name": {
			"mkdir -p /opt/z/include /opt/z/lib; mv /usr/include/zlib.h /usr/include/zconf.h /opt/z/include/; mv $(find /usr/lib -name 'libz.so') /opt/z/lib/\n",
			"--without-http_rewrite_module --with-cc-opt=-g_-I_/opt/z/include --with-ld-opt=-L/opt/z/lib", "", ""},
		"a compiler before __has_include": {hideZlib, "--with-cc=gcc_-U__has_include", "zlib: header zlib.h", "requires the zlib library"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var args []string
			for arg := range strings.FieldsSeq(tt.configure) {
				if strings.HasPrefix(arg, "--with-cc-opt=") || strings.HasPrefix(arg, "--with-cc=") {
					arg = strings.ReplaceAll(arg, "=-g_-I_", "=-g -I ")
					arg = strings.ReplaceAll(arg, "gcc_-U", "gcc -U")
				}
				args = append(args, arg)
			}
			q := Query{Layout: source.LayoutNginx, Nginx: "1.26.3", Configure: args}
			s := inside(t, sandbox.Options{}, lookArg, tree, tt.hide, q)
			var lacks []string
			for _, d := range s.Missing {
				lacks = append(lacks, d.Name+": "+d.Lacks)
				if d.Package == "" && d.Name != "C compiler" || d.Why == "" {
					t.Errorf("%+v names no package or no reason", d)
				}
			}
			got := strings.Join(lacks, "; ")
			if (tt.lack == "") != (got == "") || !strings.Contains(got, tt.lack) {
				t.Errorf("predicted to be missing: %q, want %q", got, tt.lack)
			}
			if s.Configured != (tt.stops == "") || !strings.Contains(strings.Join(strings.Fields(s.Configure), " "), tt.stops) {
				t.Errorf("configured: %v, want it to say %q:\n%s", s.Configured, tt.stops, s.Configure)
			}
		})
	}
}
