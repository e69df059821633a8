package nginxtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"graft/internal/sandbox"
)

// Binary is an nginx in the cache. Copy it before it is run or replaced, as
// [Start] does.
type Binary struct {
	Path    string // the executable
	Version string // "1.22.1"
	Modules string // directory of its dynamic modules (*.so)
	Root    string // root of the unpacked packages (etc/nginx, …); "" if built here
}

// debianPackages make up the distribution's own nginx, with a few dynamic
// modules that need no library of their own.
var debianPackages = []string{
	"nginx", "nginx-common",
	"libnginx-mod-stream", "libnginx-mod-http-echo", "libnginx-mod-http-headers-more-filter",
}

type release struct{ version, suite string }

// releases are the versions of nginx whose source some release of Debian has,
// oldest first.
var releases = []release{
	{"1.18.0", "bullseye"},
	{"1.22.1", "bookworm"},
	{"1.26.3", "trixie"},
}

// Flags configure a build like the distribution's own: the same paths and a
// modest set of modules.
func Flags() []string {
	return []string{
		"--prefix=/usr/share/nginx",
		"--conf-path=/etc/nginx/nginx.conf",
		"--error-log-path=/var/log/nginx/error.log",
		"--http-log-path=/var/log/nginx/access.log",
		"--pid-path=/run/nginx.pid",
		"--lock-path=/var/lock/nginx.lock",
		"--http-client-body-temp-path=/var/lib/nginx/body",
		"--http-proxy-temp-path=/var/lib/nginx/proxy",
		"--http-fastcgi-temp-path=/var/lib/nginx/fastcgi",
		"--http-uwsgi-temp-path=/var/lib/nginx/uwsgi",
		"--http-scgi-temp-path=/var/lib/nginx/scgi",
		"--with-http_ssl_module",
		"--with-http_v2_module",
		"--with-http_realip_module",
		"--with-http_stub_status_module",
		"--with-stream",
		"--with-compat",
		// Old sources meet newer compilers and OpenSSL 3 than they knew.
		"--with-cc-opt=-O1 -Wno-error",
	}
}

// Foreign is a target as OpenResty's own defaults make it: other prefix, conf path and pid path.
func Foreign(t testing.TB) Binary {
	t.Helper()
	moved := []string{
		"--prefix=/usr/local/openresty/nginx",
		"--conf-path=/usr/local/openresty/nginx/conf/nginx.conf",
		"--pid-path=/usr/local/openresty/nginx/logs/nginx.pid",
	}
	flags := slices.DeleteFunc(Flags(), func(flag string) bool {
		name, _, _ := strings.Cut(flag, "=")
		return slices.ContainsFunc(moved, func(m string) bool { return strings.HasPrefix(m, name+"=") })
	})
	return Build(t, Source(t, "1.22.1"), append(flags, moved...)...)
}

// Debian is this distribution's own nginx, unpacked from its packages.
func Debian(t testing.TB) Binary {
	t.Helper()
	bin, err := FetchDebian(t.Context())
	if err != nil {
		t.Fatalf("nginxtest: %v", err)
	}
	return bin
}

// FetchDebian is [Debian] for programs that are no tests. Outside a sandbox it
// brings the packages into the cache first.
func FetchDebian(ctx context.Context) (Binary, error) {
	dir, err := fetchDebian(ctx)
	if err != nil {
		return Binary{}, fmt.Errorf("the distribution's nginx: %w", err)
	}
	path := filepath.Join(dir, "usr/sbin/nginx")
	out, err := exec.CommandContext(ctx, path, "-v").CombinedOutput()
	if err != nil {
		return Binary{}, fmt.Errorf("the distribution's nginx does not start (are its libraries installed?): %w\n%s", err, out)
	}
	_, version, ok := strings.Cut(string(out), "nginx/")
	if !ok {
		return Binary{}, fmt.Errorf("the distribution's nginx: odd version %q", out)
	}
	return Binary{
		Path:    path,
		Version: strings.Fields(version)[0],
		Modules: filepath.Join(dir, "usr/lib/nginx/modules"),
		Root:    dir,
	}, nil
}

// Release is nginx of that version (1.18.0, 1.22.1 or 1.26.3), compiled with
// [Flags].
func Release(t testing.TB, version string) Binary {
	t.Helper()
	return Build(t, Source(t, version), Flags()...)
}

// EveryProtocol is an nginx that serves HTTP/3 and TLS in stream, too.
func EveryProtocol(t testing.TB) Binary {
	t.Helper()
	return Build(t, Source(t, "1.26.3"), append(Flags(), "--with-http_v3_module", "--with-stream_ssl_module")...)
}

// Source is the directory of nginx's unpacked source. It is shared: copy it
// before changing it.
func Source(t testing.TB, version string) string {
	t.Helper()
	dir, err := fetchSource(t.Context(), version)
	if err != nil {
		t.Fatalf("nginxtest: source of nginx %s: %v", version, err)
	}
	return dir
}

// Build compiles the source tree of an nginx, which it leaves unchanged, with
// the given configure flags. The same tree and flags are compiled once.
func Build(t testing.TB, tree string, flags ...string) Binary {
	t.Helper()
	bin, err := build(t.Context(), tree, flags)
	if err != nil {
		t.Fatalf("nginxtest: build %s: %v", tree, err)
	}
	return bin
}

// Install lays the distribution's packages over the sandbox's root: nginx then
// lies where a host has it, with its own configuration and directories. It is
// refused where that root is the machine's.
func Install(t testing.TB, bin Binary) {
	t.Helper()
	if err := LayOver(t.Context(), bin); err != nil {
		t.Fatalf("nginxtest: Install: %v", err)
	}
}

// LayOver is [Install] for programs that are no tests.
func LayOver(ctx context.Context, bin Binary) error {
	if !sandbox.Inside() {
		return errors.New("refused: this is not a sandbox (have TestMain call nginxtest.Main)")
	}
	if bin.Root == "" {
		return fmt.Errorf("%s does not come from packages", bin.Path)
	}
	// As dpkg does, through directories that are links (/lib). The default site
	// is what the packages' postinst makes of it.
	script := `tar -c -C "$1" . | tar -x -C / --keep-directory-symlink --no-overwrite-dir
		ln -sf /etc/nginx/sites-available/default /etc/nginx/sites-enabled/default
		mkdir -p /var/www/html
		cp /usr/share/nginx/html/index.html /var/www/html/index.nginx-debian.html`
	_, err := output(exec.CommandContext(ctx, "sh", "-ec", script, "sh", bin.Root))
	return err
}

// fetchAll brings everything into the cache that cannot be had in a sandbox.
func fetchAll(ctx context.Context) error {
	if _, err := fetchDebian(ctx); err != nil {
		return err
	}
	for _, r := range releases {
		if _, err := fetchSource(ctx, r.version); err != nil {
			return err
		}
	}
	return nil
}

func fetchDebian(ctx context.Context) (string, error) {
	release, err := osRelease()
	if err != nil {
		return "", err
	}
	suite := release["VERSION_CODENAME"]
	return cached(suite+"-packages-"+runtime.GOARCH, func(dir string) error {
		apt, done, err := temporaryApt(ctx, suite)
		if err != nil {
			return err
		}
		defer done()
		return apt.unpack(ctx, dir, debianPackages...)
	})
}

func fetchSource(ctx context.Context, version string) (string, error) {
	at := slices.IndexFunc(releases, func(r release) bool { return r.version == version })
	if at < 0 {
		return "", fmt.Errorf("no release of Debian is known to have it (known: %v)", releases)
	}
	suite := releases[at].suite
	return cached("nginx-"+version, func(dir string) error {
		apt, done, err := temporaryApt(ctx, suite)
		if err != nil {
			return err
		}
		defer done()
		// apt checks the file against the signed index.
		if err := apt.get(ctx, apt.dir, "source", "--download-only", "--tar-only", "nginx"); err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(apt.dir, "nginx_"+version+".orig.tar.*"))
		if err != nil {
			return err
		}
		for _, f := range files {
			if filepath.Ext(f) != ".asc" {
				_, err := output(exec.CommandContext(ctx, "tar", "-xf", f, "-C", dir, "--strip-components=1", "--no-same-owner"))
				return err
			}
		}
		return fmt.Errorf("%s's archive has another version of nginx now", suite)
	})
}

// temporaryApt is an apt that done removes.
func temporaryApt(ctx context.Context, suite string) (a apt, done func(), err error) {
	dir, err := os.MkdirTemp("", "apt")
	if err != nil {
		return apt{}, nil, err
	}
	done = func() { os.RemoveAll(dir) }
	if a, err = openApt(ctx, dir, suite); err != nil {
		done()
		return apt{}, nil, err
	}
	return a, done, nil
}

func build(ctx context.Context, tree string, flags []string) (Binary, error) {
	version, err := sourceVersion(tree)
	if err != nil {
		return Binary{}, err
	}
	key, err := buildKey(tree, flags)
	if err != nil {
		return Binary{}, err
	}
	dir, err := cached("nginx-"+version+"-"+key, func(dir string) error { return compile(ctx, tree, flags, dir) })
	if err != nil {
		return Binary{}, err
	}
	return Binary{Path: filepath.Join(dir, "nginx"), Version: version, Modules: filepath.Join(dir, "modules")}, nil
}

// compile puts nginx and its dynamic modules into dir.
func compile(ctx context.Context, tree string, flags []string, dir string) error {
	work := filepath.Join(dir, "work")
	if err := os.CopyFS(work, os.DirFS(tree)); err != nil {
		return err
	}
	for _, cmd := range []*exec.Cmd{
		exec.CommandContext(ctx, "./configure", flags...),
		exec.CommandContext(ctx, "make", "-s", "-j", fmt.Sprint(runtime.NumCPU())),
	} {
		cmd.Dir = work
		// Under `make test` the outer make's own flags would reach the inner one.
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "LC_ALL=C")
		if _, err := output(cmd); err != nil {
			return err
		}
	}
	if err := os.Rename(filepath.Join(work, "objs/nginx"), filepath.Join(dir, "nginx")); err != nil {
		return err
	}
	modules, err := filepath.Glob(filepath.Join(work, "objs/*.so"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "modules"), 0o755); err != nil {
		return err
	}
	for _, m := range modules {
		if err := os.Rename(m, filepath.Join(dir, "modules", filepath.Base(m))); err != nil {
			return err
		}
	}
	return os.RemoveAll(work)
}

var versionLine = regexp.MustCompile(`(?m)^#define\s+NGINX_VERSION\s+"([^"]+)"`)

func sourceVersion(tree string) (string, error) {
	path := filepath.Join(tree, "src/core/nginx.h")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("not a source tree of nginx: %w", err)
	}
	m := versionLine.FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s: no NGINX_VERSION", path)
	}
	return string(m[1]), nil
}

// buildKey names what a build depends on: the sources, the flags, and the
// distribution, whose libraries it is linked to.
func buildKey(tree string, flags []string) (string, error) {
	release, err := osRelease()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s\n%q\n", release["ID"], release["VERSION_CODENAME"], runtime.GOARCH, flags)
	err = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(tree, path)
		fmt.Fprintf(h, "%q %v %x\n", name, st.Mode(), sha256.Sum256(data))
		return err
	})
	if err != nil {
		return "", errors.Join(errors.New("read the source tree"), err)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}
