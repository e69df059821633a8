package build

import (
	"graft/internal/artifact"
	"graft/internal/nginx"
	"os"
	"strings"
	"testing"
)

func TestSourceThatIsNoneSaysWhatToGive(t *testing.T) {
	like := nginx.Build{Version: "1.22.1", Prefix: "/usr/share/nginx/"}
	state, err := artifact.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":                 "give a version",
		"/nonesuch.tar.gz": "no such file",
		t.TempDir():        "src/core/nginx.h",
		"nginx-1.26.3":     "give the URL of nginx's tarball",
	} {
		_, err := Build(t.Context(), Request{Like: like, Source: name, CacheDir: t.TempDir()}, state, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("source %q: %v, want %q", name, err, want)
		}
	}
}

// A dry run of a named version needs nothing at hand.
func TestPlanOfANamedVersion(t *testing.T) {
	like, err := nginx.ParseBuild(readText(t, "flags/testdata/ubuntu1604-nginx.txt"), "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Plan(t.Context(), Request{Like: like, Source: "openresty-1.21.4.1", CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]string{}
	for _, d := range p.Dependencies {
		packages[d.Name] = d.Package
	}
	for name, want := range map[string]string{"OpenSSL": "libssl-dev", "GD": "libgd-dev", "GeoIP": "libgeoip-dev", "libxslt": "libxslt1-dev", "libxml2": "libxml2-dev", "Perl": "perl"} {
		if packages[name] != want {
			t.Errorf("%s: package %q, want %q", name, packages[name], want)
		}
	}
	if len(p.Flags) != len(like.Configure) || len(p.Configure) == 0 {
		t.Errorf("%d flags, configure %q", len(p.Flags), p.Configure)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCompileCallsAreCounted(t *testing.T) {
	for line, want := range map[string]int{
		"cc -c -pipe -O2 -o objs/src/core/nginx.o \\":    1,
		"\t-o objs/src/core/ngx_log.o \\":                1,
		"CC        lj_gc.o":                              1,
		"cc -o objs/nginx objs/src/core/nginx.o -lcrypt": 0,
		"checking for zlib library ... found":            0,
		"g++ -c x.cc -o 'a.o'":                           1,
	} {
		if got := compiles([]byte(line)); got != want {
			t.Errorf("%q: %d, want %d", line, got, want)
		}
	}
}
