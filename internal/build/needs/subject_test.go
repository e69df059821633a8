package needs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graft/internal/build/source"
)

// names are those of the rules that apply, without what every build needs.
func names(s subject) string {
	var list []string
	for _, n := range slices.Concat(needs, moduleNeeds) {
		if why := n.why(s); why != "" && why != "every build" {
			list = append(list, n.name)
		}
	}
	return strings.Join(list, ", ")
}

func TestWhatAConfigureLineNeeds(t *testing.T) {
	const bare = "--without-http_rewrite_module --without-http_gzip_module"
	for _, tt := range []struct {
		query     Query
		configure string
		want      string
	}{
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, "", "PCRE2, zlib"},
		{Query{Layout: source.LayoutNginx}, "", "PCRE2, zlib"},
		{Query{Layout: source.LayoutNginx, Nginx: "1.21.4"}, "", "PCRE, zlib"},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, "--without-pcre2", "PCRE, zlib"},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, bare, ""},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, "--without-http", ""},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, "--with-pcre=/src/pcre --with-zlib=/src/zlib --with-openssl=/src/openssl --with-http_ssl_module", ""},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, "--with-pcre-jit --without-pcre " + bare, ""},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, bare + " --with-mail=dynamic --with-mail_ssl_module", "OpenSSL"},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, bare + " --with-stream_ssl_preread_module --with-stream", ""},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, bare + " --with-libatomic=/src/atomic", ""},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, "--with-http_perl_module=dynamic --with-http_geoip_module=dynamic --with-http_image_filter_module=dynamic --with-http_xslt_module=dynamic --with-google_perftools_module --with-libatomic " + bare,
			"Perl, libxml2, libxslt, GD, GeoIP, libatomic_ops, Google perftools, Perl headers"},
		{Query{Layout: source.LayoutNginx, Nginx: "1.26.3"}, "--without-http --with-http_perl_module --with-http_xslt_module --with-http_image_filter_module --with-http_geoip_module", ""},

		{Query{Layout: source.LayoutOpenResty, Nginx: "1.21.4", PCRE1: true}, "", "Perl, Perl's own modules, ldconfig, PCRE, OpenSSL, zlib"},
		{Query{Layout: source.LayoutOpenResty, Nginx: "1.25.3", PCRE1: true}, "", "Perl, Perl's own modules, ldconfig, PCRE, OpenSSL, zlib"},
		{Query{Layout: source.LayoutOpenResty, Nginx: "1.27.1"}, "", "Perl, Perl's own modules, ldconfig, PCRE2, OpenSSL, zlib"},
		{Query{Layout: source.LayoutOpenResty, Nginx: "1.27.1"}, "--without-http_ssl_module", "Perl, Perl's own modules, ldconfig, PCRE2, OpenSSL, zlib"}, // stream's
		{Query{Layout: source.LayoutOpenResty, Nginx: "1.27.1"}, "--without-http_ssl_module --without-stream --with-luajit=/opt/luajit " + bare, "Perl, Perl's own modules"},

		{Query{Layout: source.LayoutDistro, Nginx: "1.22.1", PCRE1: true}, "--with-http_ssl_module", "patch, tar, gzip, xz, dpkg, apt, OpenSSL, zlib"},
		{Query{Layout: source.LayoutDistro, Nginx: "1.26.3"}, "", "patch, tar, gzip, xz, dpkg, apt, PCRE2, zlib"},
	} {
		tt.query.Configure = strings.Fields(tt.configure)
		if got := names(newSubject(tt.query)); got != tt.want {
			t.Errorf("%s %s %q: %q, want %q", tt.query.Layout, tt.query.Nginx, tt.configure, got, tt.want)
		}
	}
}

func TestWhatThirdPartyModulesNeed(t *testing.T) {
	const bare = "--without-http_rewrite_module --without-http_gzip_module "
	for configure, want := range map[string]string{
		"--add-dynamic-module=../modules/auth-pam":                                      "PAM",
		"--add-module=/usr/src/ngx_http_auth_pam_module-1.5.3":                          "PAM",
		"--add-dynamic-module=../modules/geoip2/debian":                                 "libmaxminddb",
		"--add-dynamic-module=/b/ngx_brotli --add-module=/b/zstd-nginx-module":          "Brotli, Zstandard",
		"--add-module=../modules/nginx-rtmp-module":                                     "OpenSSL",
		"--add-module=../modules/auth-ldap --add-dynamic-module=../modules/modsecurity": "ModSecurity, OpenLDAP",
		"--add-module=../modules/headers-more":                                          "",
	} {
		if got := names(newSubject(Query{Nginx: "1.26.3", Configure: strings.Fields(bare + configure)})); got != want {
			t.Errorf("%s: %q, want %q", configure, got, want)
		}
	}
}

// A module's own config file says what of nginx's configure it uses.
func TestWhatAModulesConfigFileAsksFor(t *testing.T) {
	for config, want := range map[string]string{
		"ngx_module_libs=LIBXSLT":                                    "libxml2, libxslt",
		"if test -n x; then\n\tngx_module_libs=\"PCRE OPENSSL\"\nfi": "PCRE2, OpenSSL",
		"USE_OPENSSL=YES":                                            "OpenSSL",
		"CORE_LIBS=\"$CORE_LIBS ZLIB\"":                              "",
		"# ngx_module_libs=LIBGD":                                    "",
		"ngx_module_libs=MYPCRE":                                     "",
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "nginx"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "nginx/config"), []byte(config+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		q := Query{Nginx: "1.26.3", Modules: map[string]string{"some": dir}, Configure: []string{
			"--without-http_rewrite_module", "--without-http_gzip_module", "--add-dynamic-module=../modules/some/nginx"}}
		if got := names(newSubject(q)); got != want {
			t.Errorf("%q: %q, want %q", config, got, want)
		}
	}
}

// The library that a module brings along is not looked for.
func TestBrotliThatIsBundled(t *testing.T) {
	dir := t.TempDir()
	header := filepath.Join(dir, "deps/brotli/c/include/brotli/encode.h")
	if err := os.MkdirAll(filepath.Dir(header), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(header, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	q := Query{Nginx: "1.26.3", Modules: map[string]string{"brotli": dir}, Configure: []string{
		"--without-http_rewrite_module", "--without-http_gzip_module", "--add-module=../modules/brotli"}}
	if got := names(newSubject(q)); got != "" {
		t.Errorf("needs %q", got)
	}
}

// A library that only the module's config file names may not be needed: it is told, and nothing is refused.
func TestLibraryThatAConfigFileNames(t *testing.T) {
	dir := t.TempDir()
	config := "ngx_feature_libs=\"-lgraft-nonesuch -lz -lm\" # -lcomment\nngx_module_libs=\"$ngx_module_libs -lyajl-nonesuch\"\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p := predict(t, Query{Nginx: "1.26.3", Modules: map[string]string{"some": dir}, Configure: []string{
		"--without-http_rewrite_module", "--without-http_gzip_module", "--add-module=../modules/some"}})
	var told []string
	for _, n := range p.Notes {
		told = append(told, n.What)
		if n.Certain || n.Remedy == "" {
			t.Errorf("%+v", n)
		}
	}
	want := []string{
		"the module of --add-module=../modules/some may need -lgraft-nonesuch, which does not link here",
		"the module of --add-module=../modules/some may need -lyajl-nonesuch, which does not link here",
	}
	if !slices.Equal(told, want) || p.Missing() != nil {
		t.Errorf("told %q, missing %v", told, p.Missing())
	}
}
