package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	{name: "openresty-1.21.4.1/configure", mode: 0o111,
		text: "#!/usr/bin/env perl\n    } elsif ($opt eq '--with-no-pool-patch') {\n    } elsif ($opt =~ /^--with-luajit-xcflags=(.*)/) {\n"},
	{name: "openresty-1.21.4.1/bundle/nginx-1.21.4/src/core/nginx.h",
		text: "#define NGINX_VERSION      \"1.21.4\"\n#define NGINX_VER          \"openresty/\" NGINX_VERSION \".1\"\n"},
	{name: "openresty-1.21.4.1/bundle/nginx-1.21.4/auto/options",
		text: "        --prefix=*)                NGX_PREFIX=\"$value\" ;;\n        --with-threads)      USE_THREADS=YES ;;\n"},
	{name: "openresty-1.21.4.1/bundle/ngx_lua-0.10.21/config", text: "ngx_addon_name=ngx_http_lua_module\n"},
}

func TestTarballIsRecognisedByItsFiles(t *testing.T) {
	s, err := findTarball(t.Context(), tarball(t, openRestyEntries...), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.Layout != LayoutOpenResty || s.Version != "1.21.4.1" || s.Nginx != "1.21.4" || s.Lua != "0.10.21" || !s.PCRE1() {
		t.Errorf("%+v, PCRE1 %v", s.Facts, s.PCRE1())
	}
	if !s.Options["--with-threads"] || s.Options["--with-http_v3_module"] || !s.Options["--with-luajit-xcflags"] || !s.Options["--with-no-pool-patch"] {
		t.Errorf("options: %v", s.Options)
	}
	dir := t.TempDir()
	l, err := s.Unpack(t.Context(), nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(l.Top, "configure"))
	if err != nil || info.Mode().Perm()&0o100 == 0 || !info.ModTime().Equal(time.Unix(1e9, 0)) {
		t.Errorf("configure: %v, %v", info, err)
	}
	// The same tree unpacked by the user is the same source.
	tree, err := findTree(t.Context(), l.Top)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Facts, tree.Facts, cmp.AllowUnexported(Facts{})); diff != "" {
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
			s, err := findTarball(t.Context(), file, t.TempDir())
			if err == nil {
				_, err = s.Unpack(t.Context(), nil, dir)
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

// The members of the family tell themselves apart in src/core: their own headers, in their own words.
func TestMembersOfTheFamilyAreToldApart(t *testing.T) {
	const nginx = "#define NGINX_VERSION      \"1.27.2\"\n"
	for want, files := range map[string]map[string]string{
		"nginx 1.27.2":     {"nginx.h": nginx + "#define NGINX_VER          \"nginx/\" NGINX_VERSION\n"},
		"freenginx 1.27.2": {"nginx.h": nginx + "#define NGINX_NAME         \"freenginx\"\n#define NGINX_VER          NGINX_NAME \"/\" NGINX_VERSION\n"},
		"tengine 3.1.0": {"nginx.h": nginx + "#define NGINX_VER          \"nginx/\" NGINX_VERSION\n" +
			"#define TENGINE            \"Tengine\"\n#define TENGINE_VERSION    \"3.1.0\"\n#define TENGINE_VER        TENGINE \"/\" TENGINE_VERSION\n"},
		"angie 1.8.0": {"nginx.h": nginx + "#define NGINX_VER          \"nginx/\" NGINX_VERSION\n",
			"angie.h": "#define ANGIE_VERSION      \"1.8.0\"\n#define ANGIE_VER          \"Angie/\" ANGIE_VERSION\n"},
	} {
		t.Run(want, func(t *testing.T) {
			entries := []entry{{name: "top/auto/options", text: "        --with-threads)      USE_THREADS=YES ;;\n"}}
			for name, text := range files {
				entries = append(entries, entry{name: "top/src/core/" + name, text: text})
			}
			s, err := findTarball(t.Context(), tarball(t, entries...), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Name + " " + s.Version; got != want || s.Nginx != "1.27.2" || s.Layout != LayoutNginx {
				t.Errorf("%s, nginx %s, %s", got, s.Nginx, s.Layout)
			}
		})
	}
}

// compressWith makes another file of a gzipped tarball: "cat" leaves it a plain tar.
func compressWith(t *testing.T, tool, gzipped string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "source.tar.any")
	script := `gzip -dc "$1" | ` + tool + ` >"$2"`
	if text, err := exec.Command("sh", "-c", script, "sh", gzipped, out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}
