package buildtest

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graft/internal/build"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

//go:embed configure.sh
var configure []byte

// Tree is a source tree laid out like OpenResty's, made of the distribution's own sources.
type Tree struct {
	Dir   string // the tree
	Nginx string // version of its nginx core

	// PCRE1, which its Lua module needs and which may not be installed on this machine: Headers
	// belongs into C_INCLUDE_PATH, Libraries into LIBRARY_PATH and into an rpath.
	Headers, Libraries string
}

// OpenRestyTree makes the tree, or finds it made: a top-level configure that takes OpenResty's
// options and prepares build/nginx-VERSION and a Makefile with all and install, and bundle/ with
// nginx (its name changed as OpenResty changes it), ngx_devel_kit, ngx_lua, a LuaJIT that is
// compiled already, lua-resty-core and lua-resty-lrucache.
func OpenRestyTree(t testing.TB) Tree {
	t.Helper()
	sum := sha256.Sum256(configure)
	home := filepath.Join(CacheDir(t), "openresty-tree-"+hex.EncodeToString(sum[:6]))
	unlock := lock(t, home+".lock")
	defer unlock()
	if _, err := os.Stat(home); errors.Is(err, fs.ErrNotExist) {
		makeTree(t, home)
	} else if err != nil {
		t.Fatal(err)
	}
	return Tree{
		Dir: filepath.Join(home, "openresty"), Nginx: nginxVersion(t, filepath.Join(home, "unpacked/nginx")),
		Headers: filepath.Join(home, "unpacked/include"), Libraries: filepath.Join(home, "unpacked/lib"),
	}
}

// makeTree makes everything in a directory beside home and renames it there when it is whole.
func makeTree(t testing.TB, home string) {
	t.Helper()
	const prefix = "/openresty" // any: nothing is compiled here
	beside, err := os.MkdirTemp(filepath.Dir(home), "tree-*")
	must(t, err)
	defer os.RemoveAll(beside)
	from := filepath.Join(beside, "unpacked")
	must(t, build.Unpack(t.Context(), build.Request{
		Like: nginx.Build{Version: "1.22.1"}, Source: source.Distro, Prefix: prefix, CacheDir: CacheDir(t),
	}, from))
	installed := filepath.Join(from, "installed", prefix)
	// The library itself instead of a link into a directory that is about to be renamed.
	pcre, err := filepath.Glob(filepath.Join(installed, "pcre/lib/libpcre.so.3.*"))
	must(t, err)
	if len(pcre) == 1 {
		must(t, os.RemoveAll(filepath.Join(from, "lib/libpcre.so")))
		copyTree(t.Context(), t, pcre[0], filepath.Join(from, "lib/libpcre.so.3"))
		must(t, os.Symlink("libpcre.so.3", filepath.Join(from, "lib/libpcre.so")))
	}

	bundle := filepath.Join(beside, "openresty/bundle")
	version := nginxVersion(t, filepath.Join(from, "nginx"))
	for from, to := range map[string]string{
		filepath.Join(from, "nginx"):                          "nginx-" + version,
		filepath.Join(from, "ngx_devel_kit"):                  "ngx_devel_kit-0.3.2",
		filepath.Join(from, "lua-nginx-module"):               "ngx_lua-" + luaVersion(t, filepath.Join(from, "lua-nginx-module")),
		filepath.Join(installed, "luajit"):                    "LuaJIT-2.1",
		filepath.Join(installed, "lualib/resty/core"):         "lua-resty-core-0.1/lib/resty/core",
		filepath.Join(installed, "lualib/resty/core.lua"):     "lua-resty-core-0.1/lib/resty/core.lua",
		filepath.Join(installed, "lualib/ngx"):                "lua-resty-core-0.1/lib/ngx",
		filepath.Join(installed, "lualib/resty/lrucache"):     "lua-resty-lrucache-0.1/lib/resty/lrucache",
		filepath.Join(installed, "lualib/resty/lrucache.lua"): "lua-resty-lrucache-0.1/lib/resty/lrucache.lua",
	} {
		copyTree(t.Context(), t, from, filepath.Join(bundle, to))
	}
	header := filepath.Join(bundle, "nginx-"+version, "src/core/nginx.h")
	text, err := os.ReadFile(header)
	must(t, err)
	named := strings.Replace(string(text), `"nginx/" NGINX_VERSION`, `"openresty/" NGINX_VERSION ".1"`, 1)
	if named == string(text) {
		t.Fatalf("%s does not define NGINX_VER as expected", header)
	}
	must(t, os.WriteFile(header, []byte(named), 0o644))
	must(t, os.WriteFile(filepath.Join(beside, "openresty/configure"), configure, 0o755))
	must(t, os.Chmod(beside, 0o755))
	must(t, os.Rename(beside, home))
}

var (
	nginxMacro = regexp.MustCompile(`#define NGINX_VERSION +"([0-9.]+)"`)
	luaMacro   = regexp.MustCompile(`#define ngx_http_lua_version +([0-9]+)`)
)

func nginxVersion(t testing.TB, dir string) string {
	t.Helper()
	return match(t, filepath.Join(dir, "src/core/nginx.h"), nginxMacro)
}

// luaVersion reads 10023 as 0.10.23.
func luaVersion(t testing.TB, dir string) string {
	t.Helper()
	var n int
	_, err := fmt.Sscan(match(t, filepath.Join(dir, "src/api/ngx_http_lua_api.h"), luaMacro), &n)
	must(t, err)
	return fmt.Sprintf("%d.%d.%d", n/1_000_000, n/1000%1000, n%1000)
}

func match(t testing.TB, file string, pattern *regexp.Regexp) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	m := pattern.FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s: nothing like %v", file, pattern)
	}
	return string(m[1])
}
