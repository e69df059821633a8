package nginxtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/sandbox"
)

// Root is the root directory of a whole installation of this machine's
// distribution, with systemd, dbus and nginx as their packages install them.
// [Boot] starts it.
type Root struct {
	Dir string
}

// rootPackages are installed beside the essential ones; [Release] is linked to libpcre3.
var rootPackages = []string{"systemd", "systemd-sysv", "dbus", "nginx", "procps", "iproute2", "libpcre3"}

// RootArchive is a directory of a [Root]: an archive of all its packages, the
// only one that its apt knows. So apt-get works there without a network, and a
// test can add packages of its own (dpkg-deb, then [IndexArchive]).
const RootArchive = "/srv/packages"

// rootRecipe is raised when what fillRoot does changes.
const rootRecipe = "1"

// BareRoot is a private copy of the distribution's installation. The TestMain
// must have [FetchRoot] as a prepare function. Where no such root can be made
// (without root, in a chroot), the test is skipped.
func BareRoot(t testing.TB) Root {
	t.Helper()
	if !sandbox.Inside() {
		t.Fatal("nginxtest: BareRoot: refused: this is not a sandbox (have TestMain call nginxtest.Main)")
	}
	if reason := os.Getenv(noRootVariable); reason != "" {
		t.Skipf("nginxtest: NOT TESTED: %s", reason)
	}
	name, err := rootName()
	if err != nil {
		t.Fatalf("nginxtest: BareRoot: %v", err)
	}
	cache, err := cacheDir()
	if err != nil {
		t.Fatalf("nginxtest: BareRoot: %v", err)
	}
	lower := filepath.Join(cache, name)
	if _, err := os.Stat(lower); err != nil {
		t.Fatalf("nginxtest: BareRoot: %v (have TestMain prepare nginxtest.FetchRoot)", err)
	}
	root, err := copyRoot(lower, t.TempDir())
	if err != nil {
		t.Fatalf("nginxtest: BareRoot: %v", err)
	}
	t.Cleanup(func() {
		// What still runs in it keeps the mount busy: it goes with the last of them.
		if err := unix.Unmount(root.Dir, unix.MNT_DETACH); err != nil {
			t.Errorf("nginxtest: BareRoot: unmount %s: %v", root.Dir, err)
		}
	})
	return root
}

// copyRoot shows lower copy-on-write below dir.
func copyRoot(lower, dir string) (Root, error) {
	upper, work, merged := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "root")
	for _, d := range []string{upper, work, merged} {
		// The merged directory has the upper one's mode.
		if err := errors.Join(os.Mkdir(d, 0o755), os.Chmod(d, 0o755)); err != nil {
			return Root{}, err
		}
	}
	options := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return Root{}, fmt.Errorf("mount overlay (%s) on %s: %w", options, merged, err)
	}
	return Root{Dir: merged}, nil
}

// noRootVariable tells the tests, inside the sandbox, why FetchRoot made no
// root.
const noRootVariable = "GRAFT_TEST_NO_ROOT"

// FetchRoot makes, with debootstrap, the installation that [BareRoot] copies,
// if the cache has none. It is a prepare function for [Main].
func FetchRoot(ctx context.Context) error {
	chrooted, err := inChroot()
	if err != nil {
		return fmt.Errorf("bare root: %w", err)
	}
	reason := ""
	switch {
	case os.Geteuid() != 0:
		reason = "an installation of its own can only be made by root: run the tests as root"
	case chrooted:
		reason = "this is a chroot, in which no installation of its own can be made and booted: run the tests on a host or in a container"
	}
	if reason != "" {
		fmt.Fprintf(os.Stderr, "nginxtest: tests that need a bare root are skipped: %s\n", reason)
		return os.Setenv(noRootVariable, reason)
	}
	name, err := rootName()
	if err != nil {
		return fmt.Errorf("bare root: %w", err)
	}
	if _, err := cached(name, func(dir string) error { return fillRoot(ctx, dir) }); err != nil {
		return fmt.Errorf("bare root: %w", err)
	}
	return nil
}

// inChroot tells whether the root directory is no mount point, hence not the
// root of this mount namespace.
func inChroot() (bool, error) {
	root, err := statx("/")
	if err != nil {
		return false, err
	}
	return root.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0, nil
}

func statx(path string) (unix.Statx_t, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BASIC_STATS, &st); err != nil {
		return st, fmt.Errorf("statx %s: %w", path, err)
	}
	if st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return st, fmt.Errorf("statx %s: this kernel does not tell mount points (Linux 5.8 does)", path)
	}
	return st, nil
}

func rootName() (string, error) {
	release, err := osRelease()
	if err != nil {
		return "", err
	}
	h := sha256.Sum256([]byte(rootRecipe + strings.Join(rootPackages, " ")))
	return release["VERSION_CODENAME"] + "-root-" + runtime.GOARCH + "-" + hex.EncodeToString(h[:])[:8], nil
}

// fillRoot makes the installation in dir.
func fillRoot(ctx context.Context, dir string) error {
	release, err := osRelease()
	if err != nil {
		return err
	}
	suite := release["VERSION_CODENAME"]
	for _, tool := range []string{"debootstrap", "systemd-nspawn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w (scripts/install-deps installs it)", err)
		}
	}
	uri, err := mirror(ctx, suite)
	if err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	// The packages outlive this root: another list of packages is made fast.
	debs := filepath.Join(cache, suite+"-debs-"+runtime.GOARCH)
	if err := os.MkdirAll(debs, 0o755); err != nil {
		return err
	}
	proxy, err := aptProxy(ctx)
	if err != nil {
		return err
	}
	// In a mount namespace of its own: what debootstrap mounts must not stay in
	// there if it fails, because what failed is removed.
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "debootstrap", "--variant=minbase",
		"--include="+strings.Join(rootPackages, ","), "--cache-dir="+debs,
		"--keyring=/usr/share/keyrings/"+release["ID"]+"-archive-keyring.gpg", suite, dir, uri)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Env = append(cmd.Env, proxy...)
	if _, err := output(cmd); err != nil {
		return err
	}
	return rootArchive(ctx, dir)
}

// aptProxy is the proxy that this machine's apt uses, as environment variables
// for debootstrap, which only knows those.
func aptProxy(ctx context.Context) ([]string, error) {
	out, err := output(exec.CommandContext(ctx, "apt-config", "shell",
		"http_proxy", "Acquire::http::Proxy", "https_proxy", "Acquire::https::Proxy"))
	if err != nil {
		return nil, fmt.Errorf("read the machine's apt configuration: %w", err)
	}
	var env []string
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if value = strings.Trim(value, "'"); value != "" && value != "DIRECT" {
			env = append(env, name+"="+value)
		}
	}
	return env, nil
}

// rootArchive turns the packages that debootstrap left into the archive of the
// root's apt, and removes what it copied from this machine.
func rootArchive(ctx context.Context, root string) error {
	archive := filepath.Join(root, RootArchive)
	if err := os.MkdirAll(archive, 0o755); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(root, "var/cache/apt/archives/*.deb"))
	if err != nil || len(debs) == 0 {
		return errors.Join(errors.New("debootstrap left no packages"), err)
	}
	for _, deb := range debs {
		// apt would take the escaped colon of a version for part of an URI.
		name := strings.ReplaceAll(filepath.Base(deb), "%3a", "_")
		if err := os.Rename(deb, filepath.Join(archive, name)); err != nil {
			return err
		}
	}
	lists, err := filepath.Glob(filepath.Join(root, "var/lib/apt/lists/*_*"))
	if err != nil {
		return err
	}
	for _, file := range append(lists, filepath.Join(root, "etc/hostname"), filepath.Join(root, "etc/resolv.conf")) {
		if err := os.RemoveAll(file); err != nil {
			return err
		}
	}
	sources := "deb [trusted=yes] file:" + RootArchive + " ./\n"
	if err := os.WriteFile(filepath.Join(root, "etc/apt/sources.list"), []byte(sources), 0o644); err != nil {
		return err
	}
	return IndexArchive(ctx, root)
}

// IndexArchive writes the index of the archive of the installation below root,
// and has its apt read it.
func IndexArchive(ctx context.Context, root string) error {
	archive := filepath.Join(root, RootArchive)
	debs, err := filepath.Glob(filepath.Join(archive, "*.deb"))
	if err != nil {
		return err
	}
	var index strings.Builder
	for _, deb := range debs {
		control, err := output(exec.CommandContext(ctx, "dpkg-deb", "--field", deb))
		if err != nil {
			return fmt.Errorf("index %s: %w", RootArchive, err)
		}
		data, err := os.ReadFile(deb)
		if err != nil {
			return fmt.Errorf("index %s: %w", RootArchive, err)
		}
		fmt.Fprintf(&index, "%s\nFilename: ./%s\nSize: %d\nSHA256: %x\n\n",
			strings.TrimSpace(control), filepath.Base(deb), len(data), sha256.Sum256(data))
	}
	if err := os.WriteFile(filepath.Join(archive, "Packages"), []byte(index.String()), 0o644); err != nil {
		return fmt.Errorf("index %s: %w", RootArchive, err)
	}
	cmd := exec.CommandContext(ctx, "chroot", root, "apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("index %s: %w", RootArchive, err)
	}
	return nil
}
