package flags

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/artifact"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// nothingHere is a build machine that has none of the old build's files.
func nothingHere(string) bool { return false }

// openResty1214 is OpenResty 1.21.4.1 as the target, its sources not at hand.
func openResty1214() Target {
	return Target{Layout: source.LayoutOpenResty, Nginx: "1.21.4", Prefix: "/usr/local/openresty", Exists: nothingHere}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The manual procedure's own pair: Ubuntu 16.04's nginx 1.10.3 and the line that a person wrote for
// OpenResty 1.21.4.1 from it.
func TestRunbooksOwnPair(t *testing.T) {
	like, err := nginx.ParseBuild(readText(t, "testdata/ubuntu1604-nginx.txt"), "")
	if err != nil {
		t.Fatal(err)
	}
	byHand, err := nginx.LexConfigure(readText(t, "testdata/ubuntu1604-openresty.txt"))
	if err != nil {
		t.Fatal(err)
	}
	got := Translate(like, openResty1214())

	want := map[string]string{ // what differs from the line written by hand, and the word the reason must have
		"+--with-cc-opt=-include graft-paths.h -g -O2 -fPIE -fstack-protector-strong -Wformat -Werror=format-security -Wdate-time -D_FORTIFY_SOURCE=2": "/usr/share/nginx/",
		"+--with-ld-opt=-Wl,-Bsymbolic-functions -fPIE -pie -Wl,-z,relro -Wl,-z,now":                                                                   "hardening",
		"+--prefix=/usr/local/openresty": "/usr/share/nginx/",
		"---with-debug":                  "assertions",
		"---with-ipv6":                   "1.11.5",
		// The person added three modules that the old binary does not have, and gave no reason.
		"---with-stream_ssl_preread_module": "",
		"---with-http_secure_link_module":   "",
		"---with-http_random_index_module":  "",
	}
	differs := map[string]string{}
	for _, arg := range got.Configure {
		if !slices.Contains(byHand, arg) {
			differs["+"+arg] = reasonOf(got.Flags, arg)
		}
	}
	for _, arg := range byHand {
		if !slices.Contains(got.Configure, arg) {
			differs["-"+arg] = reasonOf(got.Flags, arg)
		}
	}
	for d, reason := range differs {
		word, expected := want[d]
		if !expected || !strings.Contains(reason, word) {
			t.Errorf("differs: %s (%s)", d, reason)
		}
		delete(want, d)
	}
	for d := range want {
		t.Errorf("does not differ: %s", d)
	}
	if got.Header != "#define NGX_PREFIX \"/usr/share/nginx/\"\n" {
		t.Errorf("header: %q", got.Header)
	}
	if len(got.Flags) != len(like.Configure) {
		t.Errorf("%d arguments, the fate of %d told", len(like.Configure), len(got.Flags))
	}
}

func reasonOf(flags []artifact.Flag, arg string) string {
	for _, f := range flags {
		if f.To == arg || f.Flag == arg {
			return f.Reason
		}
	}
	return ""
}

func TestFateOfOneFlag(t *testing.T) {
	here := func(paths ...string) func(Target) Target {
		return func(t Target) Target {
			t.Exists = func(p string) bool { return slices.Contains(paths, p) }
			return t
		}
	}
	same := func(t Target) Target { return t }
	distro := func(t Target) Target { t.Layout = source.LayoutDistro; return t }
	plain := func(t Target) Target { t.Layout = source.LayoutNginx; return t }
	loads := func(so string) func(Target) Target {
		return func(t Target) Target { t.Loaded = []string{so}; return t }
	}
	old := func(t Target) Target { t.Nginx = "1.9.9"; return t }
	for _, tt := range []struct {
		flag   string
		target func(Target) Target
		want   artifact.Action
		to     string
	}{
		{"--with-threads", same, artifact.Keep, ""},
		{"--with-http_nonesuch_module", same, artifact.Keep, ""}, // unknown: kept and said
		{"--with-debug", same, artifact.Drop, ""},
		{"--build=Ubuntu", same, artifact.Drop, ""},
		{"--with-ipv6", same, artifact.Drop, ""},
		{"--with-ipv6", old, artifact.Keep, ""},
		{"--with-md5-asm", same, artifact.Drop, ""},
		{"--with-sha1=/usr/include", same, artifact.Drop, ""},
		{"--with-imap_ssl_module", same, artifact.Rewrite, "--with-mail_ssl_module"},
		{"--with-http_spdy_module", same, artifact.Rewrite, "--with-http_v2_module"},
		{"--with-compat", same, artifact.Keep, ""},
		{"--with-compat", old, artifact.Drop, ""}, // a downgrade
		{"--with-http_v3_module", same, artifact.Drop, ""},

		{"--with-stream=dynamic", same, artifact.Rewrite, "--with-stream"},
		{"--with-mail=dynamic", distro, artifact.Rewrite, "--with-mail"},
		{"--with-http_geoip_module=dynamic", same, artifact.Drop, ""},
		{"--with-http_geoip_module=dynamic", loads("ngx_http_geoip_module.so"), artifact.Rewrite, "--with-http_geoip_module"},
		{"--with-http_geoip_module=dynamic", loads("ngx_http_geoip2_module.so"), artifact.Drop, ""},

		{"--add-dynamic-module=/build/nginx/debian/modules/http-lua", same, artifact.Drop, ""},
		{"--add-module=../headers-more-nginx-module-0.33", same, artifact.Drop, ""},
		{"--add-dynamic-module=/build/nginx/debian/modules/http-geoip2", same, artifact.Drop, ""},
		{"--add-module=/opt/geoip2", here("/opt/geoip2"), artifact.Keep, ""},

		{"--with-pcre=../pcre-8.45", same, artifact.Rewrite, "--with-pcre"},
		{"--with-pcre=/src/pcre", here("/src/pcre"), artifact.Keep, ""},
		{"--with-openssl=/build/openssl-1.1.1w", same, artifact.Drop, ""},
		{"--with-openssl-opt=enable-tls1_3", same, artifact.Drop, ""},

		{"--sbin-path=/usr/sbin/nginx", same, artifact.Drop, ""},
		{"--sbin-path=/usr/sbin/nginx", plain, artifact.Keep, ""},
		{"--modules-path=/usr/lib/nginx/modules", same, artifact.Keep, ""},

		{"--with-cc-opt=-O2 -ffile-prefix-map=/build/x=. -fcf-protection", plain, artifact.Rewrite, "--with-cc-opt=-O2 -fcf-protection"},
		{"--with-cc-opt=-fdebug-prefix-map=/build/x=.", plain, artifact.Drop, ""},
		{"--with-cc-opt=-specs=/usr/lib/rpm/redhat/redhat-hardened-cc1 -m64", plain, artifact.Rewrite, "--with-cc-opt=-fPIE -m64"},
		{"--with-ld-opt=-Wl,-z,relro -specs=/usr/lib/rpm/redhat/redhat-hardened-ld", plain, artifact.Rewrite, "--with-ld-opt=-Wl,-z,relro -pie"},
		{"--with-cc-opt=-DX='a b' -O2", plain, artifact.Keep, ""},
		{"--with-ld-opt=-Wl,-rpath,/usr/local/openresty/luajit/lib", same, artifact.Drop, ""},
	} {
		t.Run(tt.flag, func(t *testing.T) {
			like := nginx.Build{Prefix: "/usr/local/openresty/nginx/", Configure: []string{tt.flag}}
			got := Translate(like, tt.target(openResty1214()))
			if len(got.Flags) == 0 || got.Flags[0].Flag != tt.flag {
				t.Fatalf("the fate of %s is not told: %v", tt.flag, got.Flags)
			}
			f := got.Flags[0]
			if f.Action != tt.want || f.To != tt.to || f.Reason == "" {
				t.Errorf("%s %s: %s, want %s %s", f.Action, f.To, f.Reason, tt.want, tt.to)
			}
			if in := slices.Contains(got.Configure, tt.flag); in != (tt.want == artifact.Keep) {
				t.Errorf("configure line: %q", got.Configure)
			}
			if tt.to != "" && !slices.Contains(got.Configure, tt.to) {
				t.Errorf("configure line lacks %s: %q", tt.to, got.Configure)
			}
		})
	}
}

func TestQuoteCannotPassOpenRestysConfigure(t *testing.T) {
	like := nginx.Build{Prefix: "/usr/local/openresty/nginx/", Configure: []string{`--with-cc-opt=-O2 -DX='a b' -g`}}
	got := Translate(like, openResty1214())
	if want := []string{"--with-cc-opt=-O2 -g", "--prefix=/usr/local/openresty"}; !slices.Equal(got.Configure, want) {
		t.Errorf("%q, want %q", got.Configure, want)
	}
}

func TestOptionTheTargetDoesNotHaveIsDroppedAndSaid(t *testing.T) {
	target := openResty1214()
	target.Options = map[string]bool{"--with-threads": true}
	got := Translate(nginx.Build{Prefix: "/usr/", Configure: []string{"--with-threads", "--with-http_concat_module"}}, target)
	if f := got.Flags[1]; f.Action != artifact.Drop || !strings.Contains(f.Reason, "no such option") {
		t.Errorf("%+v", f)
	}
}

func TestGivenModuleTakesThePlaceOfTheOldOne(t *testing.T) {
	target := openResty1214()
	target.Modules = []string{"/src/ngx_http_geoip2_module-3.4"}
	got := Translate(nginx.Build{Prefix: "/usr/local/openresty/nginx/", Configure: []string{"--add-dynamic-module=/build/nginx-1.18.0/debian/modules/http-geoip2"}}, target)
	want := []artifact.Action{artifact.Drop, artifact.Add, artifact.Add}
	actions := []artifact.Action{}
	for _, f := range got.Flags {
		actions = append(actions, f.Action)
	}
	if !slices.Equal(actions, want) || !slices.Contains(got.Configure, "--add-module=/src/ngx_http_geoip2_module-3.4") {
		t.Errorf("%v %q", got.Flags, got.Configure)
	}
}

// Translating for a target what was built for it changes nothing: OpenResty to OpenResty.
func TestTranslationOfItsOwnResult(t *testing.T) {
	like, err := nginx.ParseBuild(readText(t, "testdata/debian12-nginx.txt"), "")
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Layout: source.LayoutDistro, Nginx: "1.22.1", Prefix: "/usr/local/openresty", PCRE1: true, Exists: nothingHere}
	target.FitDistro()
	once := Translate(like, target)
	like.Configure = once.Configure
	twice := Translate(like, target)
	slices.Sort(once.Configure)
	slices.Sort(twice.Configure)
	if diff := cmp.Diff(once.Configure, twice.Configure); diff != "" {
		t.Error(diff)
	}
}

func TestModuleNameIsTheSameForAllWhoPackageIt(t *testing.T) {
	for dir, want := range map[string]string{
		"../ngx_lua-0.10.20":                      "lua",
		"/opt/lua-nginx-module-0.10.26":           "lua",
		"/build/nginx/debian/modules/http-lua":    "lua",
		"../ngx_devel_kit-0.3.1":                  "devel-kit",
		"debian/modules/http-headers-more-filter": "headers-more",
		"../headers-more-nginx-module-0.33":       "headers-more",
		"../redis2-nginx-module-0.15":             "redis2",
		"../ngx_stream_lua-0.0.11":                "stream-lua",
		"/src/ngx_http_geoip2_module-3.4":         "geoip2",
		"/src/ngx_brotli":                         "brotli",
	} {
		if got := moduleName(dir); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}
