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
	return Target{Layout: source.LayoutOpenResty, Nginx: "1.21.4", Prefix: "/usr/local/openresty",
		ModulesPath: "/usr/local/openresty/nginx/modules", LoadModule: "../graft-load-module", Exists: nothingHere, DefaultPIE: true}
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
	builds := func(name string) func(Target) Target {
		return func(t Target) Target {
			t.Modules = []Module{{Name: name, Dir: "../modules/" + name, Dynamic: true, Reason: "found"}}
			return t
		}
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
		{"--with-stream=dynamic", distro, artifact.Keep, ""},
		{"--with-mail=dynamic", same, artifact.Keep, ""}, // what is loaded is not known
		{"--with-mail=dynamic", loads("ngx_mail_module.so"), artifact.Keep, ""},
		{"--with-mail=dynamic", old, artifact.Rewrite, "--with-mail"},
		{"--with-http_geoip_module=dynamic", loads("ngx_http_geoip_module.so"), artifact.Keep, ""},
		{"--with-http_geoip_module=dynamic", loads("ngx_http_geoip2_module.so"), artifact.Drop, ""},
		{"--with-http_xslt_module=dynamic", loads("ngx_http_xslt_filter_module.so"), artifact.Keep, ""},

		{"--add-dynamic-module=/build/nginx/debian/modules/http-lua", same, artifact.Drop, ""},
		{"--add-module=../headers-more-nginx-module-0.33", same, artifact.Drop, ""},
		{"--add-dynamic-module=/build/nginx/debian/modules/http-geoip2", same, artifact.Drop, ""},
		{"--add-dynamic-module=/opt/geoip2", builds("geoip2"), artifact.Drop, ""},

		{"--with-pcre=../pcre-8.45", same, artifact.Rewrite, "--with-pcre"},
		{"--with-pcre=/src/pcre", here("/src/pcre"), artifact.Keep, ""},
		{"--with-openssl=/build/openssl-1.1.1w", same, artifact.Drop, ""},
		{"--with-openssl-opt=enable-tls1_3", same, artifact.Drop, ""},

		{"--sbin-path=/usr/sbin/nginx", same, artifact.Drop, ""},
		{"--sbin-path=/usr/sbin/nginx", plain, artifact.Keep, ""},
		{"--modules-path=/usr/lib/nginx/modules", same, artifact.Keep, ""},
		{"--modules-path=/usr/lib/nginx/modules", builds("geoip2"), artifact.Rewrite, "--modules-path=/usr/local/openresty/nginx/modules"},
		{"--with-cc-opt=-g -fPIE", builds("geoip2"), artifact.Rewrite, "--with-cc-opt=-g -fPIC"}, // recompile with -fPIC
		{"--with-ld-opt=-fPIE -pie", builds("geoip2"), artifact.Keep, ""},

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
	target.Modules = []Module{{Name: "geoip2", Dir: "../modules/ngx_http_geoip2_module-3.4", Reason: "asked for"}}
	target.Loaded = []string{}
	got := Translate(nginx.Build{Prefix: "/usr/local/openresty/nginx/", Configure: []string{"--add-dynamic-module=/build/nginx-1.18.0/debian/modules/http-geoip2"}}, target)
	want := []artifact.Action{artifact.Drop, artifact.Add, artifact.Add}
	actions := []artifact.Action{}
	for _, f := range got.Flags {
		actions = append(actions, f.Action)
	}
	if !slices.Equal(actions, want) || !slices.Contains(got.Configure, "--add-module=../modules/ngx_http_geoip2_module-3.4") {
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
		"ngx_http_headers_more_filter_module":     "headers-more",
		"ngx_http_lua_module":                     "lua",
		"ngx_http_geoip2_module":                  "geoip2",
		"ndk_http_module":                         "ndk-http",
	} {
		if got := ModuleName(dir); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}

func TestUsersOwnWordIsLast(t *testing.T) {
	like := nginx.Build{Prefix: "/usr/local/openresty/nginx/", Configure: []string{
		"--with-debug", "--with-threads", "--http-log-path=/a.log", "--with-cc-opt=-O2", "--with-http_v2_module"}}
	target := openResty1214()
	target.With = []string{"--with-debug", "--http-log-path=/b.log", "--with-http_slice_module", "--with-cc-opt=-Wno-error"}
	target.Without = []string{"--with-threads", "--with-http_v2_module", "--nonesuch"}
	got := Translate(like, target)
	want := []string{"--with-debug", "--with-cc-opt=-O2 -Wno-error", "--prefix=/usr/local/openresty", "--http-log-path=/b.log", "--with-http_slice_module"}
	if diff := cmp.Diff(want, got.Configure); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(got.Unmatched, []string{"--nonesuch"}) {
		t.Errorf("unmatched: %q", got.Unmatched)
	}
	for _, f := range got.Flags {
		if slices.Contains([]string{"--with-debug", "--with-threads", "--http-log-path=/a.log", "--with-http_slice_module"}, f.Flag) &&
			!strings.Contains(f.Reason, "--flag") && !strings.Contains(f.Reason, "--without-flag") {
			t.Errorf("%s: %s", f.Flag, f.Reason)
		}
	}
}

// What the compiler of the old build did by itself is in no flag.
func TestHardeningOfTheRunningBinaryIsCarriedOver(t *testing.T) {
	target := openResty1214()
	target.Hardening = Hardening{PIE: true, RELRO: true, Now: true, StackProtector: true, Fortify: true, CET: true}
	target.DefaultPIE = false
	got := Translate(nginx.Build{Prefix: "/usr/local/openresty/nginx/", Configure: []string{"--with-cc-opt=-O2 -fstack-protector"}}, target)
	want := []string{
		"--with-cc-opt=-fPIE -D_FORTIFY_SOURCE=2 -fcf-protection -O2 -fstack-protector",
		"--prefix=/usr/local/openresty",
		"--with-ld-opt=-pie -Wl,-z,relro -Wl,-z,now",
	}
	if diff := cmp.Diff(want, got.Configure); diff != "" {
		t.Error(diff)
	}
}

func TestLoadModuleLinesKeepTheirMeaning(t *testing.T) {
	like := nginx.Build{Prefix: "/usr/share/nginx/", Configure: []string{"--with-mail=dynamic", "--with-http_perl_module=dynamic"}}
	for name, tt := range map[string]struct {
		loaded []string
		want   []string
	}{
		"not known":    {nil, []string{"--with-mail=dynamic", "--with-http_perl_module=dynamic", "--modules-path=/usr/local/openresty/nginx/modules", "--with-perl_modules_path=/usr/local/openresty/nginx/perl", "--add-module=../graft-load-module"}},
		"none":         {[]string{}, []string{}},
		"mail":         {[]string{"ngx_mail_module.so"}, []string{"--with-mail=dynamic", "--modules-path=/usr/local/openresty/nginx/modules", "--add-module=../graft-load-module"}},
		"one built in": {[]string{"ngx_http_lua_module.so"}, []string{"--add-module=../graft-load-module"}},
	} {
		t.Run(name, func(t *testing.T) {
			target := openResty1214()
			target.Loaded = tt.loaded
			got := slices.DeleteFunc(Translate(like, target).Configure, func(arg string) bool {
				return strings.HasPrefix(arg, "--prefix=") || strings.HasPrefix(arg, "--with-cc-opt=")
			})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
