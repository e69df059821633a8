package modules

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/nginxtest"
)

func TestMain(m *testing.M) { nginxtest.Main(m, fetchPackages) }

// The distribution's dynamic modules, some of their sources, and its nginx for another machine. All is
// unpacked below the user's cache, nothing is installed.
var (
	binaryPackages = []string{
		"nginx", "libnginx-mod-http-auth-pam", "libnginx-mod-http-brotli-filter", "libnginx-mod-http-brotli-static",
		"libnginx-mod-http-cache-purge", "libnginx-mod-http-dav-ext", "libnginx-mod-http-echo",
		"libnginx-mod-http-fancyindex", "libnginx-mod-http-geoip", "libnginx-mod-http-geoip2",
		"libnginx-mod-http-headers-more-filter", "libnginx-mod-http-image-filter", "libnginx-mod-http-js",
		"libnginx-mod-http-lua", "libnginx-mod-http-modsecurity", "libnginx-mod-http-ndk", "libnginx-mod-http-perl",
		"libnginx-mod-http-set-misc", "libnginx-mod-http-srcache-filter", "libnginx-mod-http-subs-filter",
		"libnginx-mod-http-uploadprogress", "libnginx-mod-http-upstream-fair", "libnginx-mod-http-xslt-filter",
		"libnginx-mod-mail", "libnginx-mod-nchan", "libnginx-mod-rtmp", "libnginx-mod-stream",
		"libnginx-mod-stream-geoip", "libnginx-mod-stream-geoip2", "libgeoip1",
	}
	foreignPackages = []string{"nginx", "libnginx-mod-http-geoip", "libnginx-mod-stream"}
	sourcePackages  = []string{
		"libnginx-mod-http-brotli", "libnginx-mod-http-dav-ext", "libnginx-mod-http-echo",
		"libnginx-mod-http-fancyindex", "libnginx-mod-http-geoip2", "libnginx-mod-http-headers-more-filter",
		"libnginx-mod-http-lua", "libnginx-mod-http-modsecurity", "libnginx-mod-http-ndk",
		"libnginx-mod-http-set-misc", "libnginx-mod-http-srcache-filter", "libnginx-mod-http-subs-filter",
		"libnginx-mod-http-upstream-fair", "libnginx-mod-rtmp",
	}
)

// foreign is a machine that is not likely the one the tests run on.
const foreign = "arm64"

func packagesDir() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "graft", "test", "nginx-modules-1"), err
}

// unpacked is a path below the packages of that kind: "native", "foreign" or "source".
func unpacked(t testing.TB, kind string, path ...string) string {
	t.Helper()
	dir, err := packagesDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{dir, kind}, path...)...)
}

// dynamicModules lists the distribution's dynamic modules.
func dynamicModules(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(unpacked(t, "native", "usr/lib/nginx/modules/*.so"))
	if err != nil || len(files) < 25 {
		t.Fatalf("dynamic modules: %v, %v", files, err)
	}
	return files
}

// fetchPackages runs before the sandbox is entered.
func fetchPackages(ctx context.Context) error {
	dir, err := packagesDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "nginx-modules-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	script := filepath.Join(tmp, "fetch.sh")
	if err := os.WriteFile(script, []byte(fetchScript), 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-eu", script, foreign)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "LC_ALL=C", "BINARY="+strings.Join(binaryPackages, " "),
		"FOREIGN="+strings.Join(foreignPackages, " "), "SOURCE="+strings.Join(sourcePackages, " "))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch the distribution's modules: %w\n%s", err, out)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// fetchScript is given the foreign architecture. apt-get gets lists and sources of its own, on the
// mirror of this machine's own release.
const fetchScript = `
. /etc/os-release
mirror=$(apt-get update --print-uris | sed -n "s,^'\(.*\)/dists/$VERSION_CODENAME/InRelease'.*,\1,p" | head -n 1)
native=$(dpkg --print-architecture)
mkdir -p apt/lists/partial apt/cache/archives/partial native foreign source debs
cat > apt/own.sources <<END
Types: deb deb-src
URIs: $mirror
Suites: $VERSION_CODENAME
Components: main
Architectures: $native $1
Signed-By: /usr/share/keyrings/$ID-archive-keyring.gpg
END
cat > apt/conf <<END
#clear APT::Update;
APT::Architectures { "$native"; "$1"; }
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Dir::Etc::sourcelist "$PWD/apt/own.sources";
Dir::Etc::sourceparts "-";
Dir::State::lists "$PWD/apt/lists/";
Dir::Cache "$PWD/apt/cache/";
END
export APT_CONFIG="$PWD/apt/conf"
apt-get -q update
cd debs
apt-get -q download $BINARY
for p in $FOREIGN; do apt-get -q download $p:$1; done
for p in $SOURCE; do apt-get -q source --download-only --only-source --tar-only $p; done
cd ..
for deb in debs/*_$native.deb debs/*_all.deb; do [ ! -f $deb ] || dpkg-deb -x $deb native; done
for deb in debs/*_$1.deb; do dpkg-deb -x $deb foreign; done
for tar in debs/*.orig.tar.*z; do
	name=${tar#debs/}; mkdir -p source/${name%%_*}
	tar -xf $tar -C source/${name%%_*} --strip-components=1 --no-same-owner
done
rm -r apt debs
`
