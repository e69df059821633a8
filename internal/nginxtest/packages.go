package nginxtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// libraries are what the Lua module needs and a machine with nginx may lack. Of two LuaJITs the
// first that the distribution has is taken, as its packages want it.
var libraries = []string{"lua-resty-core", "lua-resty-lrucache", "libpcre3"}

// Packages is the root of all packages that the distribution makes of nginx, unpacked together:
// nginx in its editions, every module, the documentation, and the libraries of the Lua module. A
// TestMain that has FetchPackages prepare it may ask for it inside the sandbox.
func Packages(t testing.TB) string {
	t.Helper()
	dir, err := fetchPackages(t.Context())
	if err != nil {
		t.Fatalf("nginxtest: the distribution's packages of nginx: %v", err)
	}
	return dir
}

// FetchPackages brings what [Packages] gives into the cache.
func FetchPackages(ctx context.Context) error {
	_, err := fetchPackages(ctx)
	return err
}

// WithLua is the distribution's nginx with its Lua module: the load_module lines that a
// configuration begins with, lua_package_path for its http block, and the environment that the
// program needs to find the libraries.
func WithLua(t testing.TB) (bin Binary, load, packagePath string, env []string) {
	t.Helper()
	root := Packages(t)
	bin = Debian(t)
	modules := filepath.Join(root, "usr/lib/nginx/modules")
	for _, name := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
		load += "load_module " + filepath.Join(modules, name) + ";\n"
	}
	found, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("nginxtest: no libraries in %s: %v", root, err)
	}
	pcre, err := filepath.Glob(filepath.Join(root, "lib/*-linux-gnu*"))
	if err != nil {
		t.Fatal(err)
	}
	return bin, load, "lua_package_path '" + filepath.Join(root, "usr/share/lua/5.1/?.lua") + ";;';",
		[]string{"LD_LIBRARY_PATH=" + strings.Join(append(found, pcre...), ":")}
}

func fetchPackages(ctx context.Context) (string, error) {
	release, err := osRelease()
	if err != nil {
		return "", err
	}
	suite := release["VERSION_CODENAME"]
	return cached(suite+"-all-packages-"+runtime.GOARCH, func(dir string) error {
		apt, done, err := temporaryApt(ctx, suite)
		if err != nil {
			return err
		}
		defer done()
		names, err := apt.names(ctx)
		if err != nil {
			return err
		}
		return apt.unpack(ctx, dir, ofNginx(names)...)
	})
}

// ofNginx picks nginx's packages, and the libraries, out of all names.
func ofNginx(names []string) []string {
	editions := []string{"nginx", "nginx-common", "nginx-core", "nginx-light", "nginx-full", "nginx-extras", "nginx-doc"}
	var picked []string
	for _, name := range names {
		if slices.Contains(editions, name) || slices.Contains(libraries, name) || strings.HasPrefix(name, "libnginx-mod-") {
			picked = append(picked, name)
		}
	}
	for _, luajit := range []string{"libluajit2-5.1-2", "libluajit-5.1-2"} {
		if slices.Contains(names, luajit) {
			return append(picked, luajit)
		}
	}
	return picked
}

// names lists the packages of the archive.
func (a apt) names(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, "apt-cache", "pkgnames")
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.config, "LC_ALL=C")
	out, err := output(cmd)
	if err != nil {
		return nil, fmt.Errorf("list the archive's packages: %w", err)
	}
	return strings.Fields(out), nil
}

// unpack downloads packages and lays their files below dir.
func (a apt) unpack(ctx context.Context, dir string, packages ...string) error {
	debs := filepath.Join(a.dir, "debs")
	if err := os.Mkdir(debs, 0o755); err != nil {
		return err
	}
	if err := a.get(ctx, debs, append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := output(exec.CommandContext(ctx, "dpkg-deb", "-x", f, dir)); err != nil {
			return err
		}
	}
	return nil
}
