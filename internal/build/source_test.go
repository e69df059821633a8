package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"graft/internal/artifact"
	"graft/internal/nginx"
)

const ubuntuList = `# See the manual page
deb http://mirror.example/ubuntu jammy main restricted
deb [signed-by=/usr/share/keyrings/a.gpg arch=amd64,arm64] http://mirror.example/ubuntu jammy-updates main universe # comment
deb http://mirror.example/ubuntu jammy-backports main
deb-src http://mirror.example/ubuntu jammy main
deb http://ppa.example/someone/ppa focal main
deb cdrom:[Ubuntu] jammy main
`

const debianSources = `Types: deb
# pinned
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: https://elsewhere.example/node_20.x
Suites: nodistro
Components: main

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-security
Components: main
Enabled: no
`

// apt is asked for the distribution's own archives alone, with the keys they are signed by.
func TestAptSourcesOfTheDistributionAlone(t *testing.T) {
	own := func(sources []aptSource, codename string) string {
		var kept []aptSource
		for _, s := range sources {
			if s, ok := s.ofDistribution(codename); ok {
				kept = append(kept, s)
			}
		}
		return writeAptSources(kept)
	}
	wantUbuntu := `Types: deb deb-src
URIs: http://mirror.example/ubuntu
Suites: jammy
Components: main

Types: deb deb-src
URIs: http://mirror.example/ubuntu
Suites: jammy-updates
Components: main universe
Signed-By: /usr/share/keyrings/a.gpg
Architectures: amd64 arm64

`
	if diff := cmp.Diff(wantUbuntu, own(parseOneLine(ubuntuList), "jammy")); diff != "" {
		t.Error(diff)
	}
	wantDebian := `Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: 
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----

`
	if diff := cmp.Diff(wantDebian, own(parseDeb822(debianSources), "bookworm")); diff != "" {
		t.Error(diff)
	}
}

func TestUpstreamVersion(t *testing.T) {
	for version, want := range map[string]string{"1:0.10.23-1+deb12u1": "0.10.23", "2.1-20230119-1": "2.1-20230119", "1.22.1-9+deb12u11": "1.22.1", "1.0": "1.0"} {
		if got := upstreamVersion(version); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}

// entry is one member of a tarball made by a test.
type entry struct {
	name, text, link string
	mode             int64
}

func tarball(t *testing.T, entries ...entry) string {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644 | e.mode, Size: int64(len(e.text)), Typeflag: tar.TypeReg, ModTime: time.Unix(1e9, 0)}
		if e.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "source.tar.gz")
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

var openRestyEntries = []entry{
	{name: "openresty-1.21.4.1/configure", text: "#!/usr/bin/env perl\n", mode: 0o111},
	{name: "openresty-1.21.4.1/bundle/nginx-1.21.4/src/core/nginx.h",
		text: "#define NGINX_VERSION      \"1.21.4\"\n#define NGINX_VER          \"openresty/\" NGINX_VERSION \".1\"\n"},
	{name: "openresty-1.21.4.1/bundle/nginx-1.21.4/auto/options",
		text: "        --prefix=*)                NGX_PREFIX=\"$value\" ;;\n        --with-threads)      USE_THREADS=YES ;;\n"},
	{name: "openresty-1.21.4.1/bundle/ngx_lua-0.10.21/config", text: "ngx_addon_name=ngx_http_lua_module\n"},
}

func TestTarballIsRecognisedByItsFiles(t *testing.T) {
	s, err := findTarball(t.Context(), tarball(t, openRestyEntries...))
	if err != nil {
		t.Fatal(err)
	}
	if s.layout != LayoutOpenResty || s.version != "1.21.4.1" || s.nginx != "1.21.4" || s.lua != "0.10.21" || !s.pcre1 {
		t.Errorf("%+v, PCRE1 %v", s.facts, s.pcre1)
	}
	if !s.options["--with-threads"] || s.options["--with-http_v3_module"] || !s.options["--with-luajit-xcflags"] {
		t.Errorf("options: %v", s.options)
	}
	dir := t.TempDir()
	l, err := s.unpack(t.Context(), nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(l.top, "configure"))
	if err != nil || info.Mode().Perm()&0o100 == 0 || !info.ModTime().Equal(time.Unix(1e9, 0)) {
		t.Errorf("configure: %v, %v", info, err)
	}
	// The same tree unpacked by the user is the same source.
	tree, err := findTree(t.Context(), l.top)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.facts, tree.facts, cmp.AllowUnexported(facts{})); diff != "" {
		t.Error(diff)
	}
}

func TestTarballThatLeavesItsDirectoryIsRefused(t *testing.T) {
	for name, bad := range map[string][]entry{
		"dots":       {{name: "openresty-1.21.4.1/../../evil", text: "x"}},
		"absolute":   {{name: "/evil", text: "x"}},
		"by a link":  {{name: "openresty-1.21.4.1/out", link: "../../.."}, {name: "openresty-1.21.4.1/out/evil", text: "x"}},
		"not gzip'd": nil,
	} {
		t.Run(name, func(t *testing.T) {
			file := tarball(t, append(bad, openRestyEntries...)...)
			if bad == nil {
				if err := os.WriteFile(file, []byte("plain text"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Join(t.TempDir(), "a/b/c")
			s, err := findTarball(t.Context(), file)
			if err == nil {
				_, err = s.unpack(t.Context(), nil, dir)
			}
			if err == nil {
				t.Error("accepted")
			}
			if _, err := os.Stat(filepath.Join(dir, "../../evil")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("written outside: %v", err)
			}
		})
	}
}

func TestSourceThatIsNoneSaysWhatToGive(t *testing.T) {
	like := nginx.Build{Version: "1.22.1", Prefix: "/usr/share/nginx/"}
	state, err := artifact.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		"":                   "give a tarball",
		"/nonesuch.tar.gz":   "no such file",
		t.TempDir():          "src/core/nginx.h",
		"openresty-1.21.4.1": "give its tarball",
	} {
		_, err := Build(t.Context(), Request{Like: like, Source: source, CacheDir: t.TempDir()}, state, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("source %q: %v, want %q", source, err, want)
		}
	}
}

// A dry run of a named version needs nothing at hand.
func TestPlanOfANamedVersion(t *testing.T) {
	like, err := nginx.ParseBuild(readText(t, "testdata/ubuntu1604-nginx.txt"), "")
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

// What is missing is said at once, with the command that installs it, not after minutes of compiling.
func TestMissingDependenciesAreToldTogether(t *testing.T) {
	n := buildNeeds{layout: LayoutOpenResty, nginx: "1.21.4", configure: []string{"--with-http_image_filter_module"}, pcre1: true}
	list := dependencies(n, toolchain{met: map[string]bool{"C compiler": true, "C library headers": true, "make": true, "Perl": true, "zlib": true}}, familyDebian)
	err := missing(list, familyDebian)
	want := "the build needs what is not installed here: PCRE (libpcre3-dev), OpenSSL (libssl-dev), GD (libgd-dev); install it with: apt-get install libpcre3-dev libssl-dev libgd-dev"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestInterruptedBuildSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j := &job{progress: func(Progress) {}, log: new(bytes.Buffer)}
	if err := j.run(ctx, command{args: []string{"sleep", "60"}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
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
