package pkgmanager_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/nginxtest"
	"graft/internal/pkgmanager"
)

// site is an installation, and graft's directory for one migration of its nginx.
type site struct {
	t    testing.TB
	root nginxtest.Root
	host pkgmanager.Host
	dir  string
}

// ownPolicy is the administrator's.
const ownPolicy = "#!/bin/sh\n[ \"$1\" = other ] && exit 101\necho asked >>/run/asked\nexit 101\n"

func newSite(t testing.TB) *site {
	t.Helper()
	root := nginxtest.BareRoot(t)
	s := &site{t: t, root: root, host: pkgmanager.Host{Root: root.Dir}, dir: t.TempDir()}
	s.write("/usr/sbin/policy-rc.d", ownPolicy, 0o700)
	if err := os.MkdirAll(s.path("/etc/needrestart/conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.root.Dir, name) }

func (s *site) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	beside := s.path(name) + ".new"
	if err := errors.Join(os.WriteFile(beside, []byte(text), mode), os.Rename(beside, s.path(name))); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *site) protect() pkgmanager.Guard {
	s.t.Helper()
	g := s.host.Consider(s.t.Context(), binary, "")
	if err := s.host.Protect(s.t.Context(), s.dir, g, time.Second); err != nil {
		s.t.Fatal(err)
	}
	return g
}

func (s *site) lift() pkgmanager.Lifted {
	s.t.Helper()
	l, err := s.host.Lift(s.t.Context(), s.dir, time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// swap puts another binary at the path, as a migration does, and returns how to put the old one back.
func (s *site) swap() (back func()) {
	s.t.Helper()
	old := s.read(binary)
	s.write(binary, "another binary", 0o755)
	return func() { s.write(binary, old, 0o755) }
}

// lock takes dpkg's lock, as an apt at work does.
func (s *site) lock() (unlock func()) {
	s.t.Helper()
	f, err := os.OpenFile(s.path("/var/lib/dpkg/lock-frontend"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		s.t.Fatal(err)
	}
	// The lock of an open file, which is another's even for this process.
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		s.t.Fatal(err)
	}
	return func() { f.Close() }
}

// state is all that a guard touches.
func (s *site) state() string {
	s.t.Helper()
	var text strings.Builder
	for _, dir := range []string{"/usr/sbin", "/etc/needrestart/conf.d"} {
		entries, err := os.ReadDir(s.path(dir))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintln(&text, dir, e.Name())
		}
	}
	info, err := os.Stat(s.path("/usr/sbin/policy-rc.d"))
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(&text, "%s\n%s %s inode %d\n", s.read("/var/lib/dpkg/diversions"), s.read("/usr/sbin/policy-rc.d"), info.Mode(), info.Sys().(*syscall.Stat_t).Ino)
	return text.String()
}

// agrees: dpkg has no complaint about its nginx.
func (s *site) agrees() {
	s.t.Helper()
	for _, args := range [][]string{{"dpkg", "-V", "nginx", "nginx-common"}, {"dpkg", "--audit"}} {
		if out := chroot(s.t, s.root, args...); out != "" {
			s.t.Errorf("%s:\n%s", strings.Join(args, " "), out)
		}
	}
}

// guarded: an update of the package leaves the path alone, and dpkg agrees with what is where.
func (s *site) guarded() {
	s.t.Helper()
	before := s.read(binary)
	chroot(s.t, s.root, "apt-get", "-q", "-y", "install", "--reinstall", "nginx")
	if s.read(binary) != before {
		s.t.Error("dpkg has overwritten the file at the path")
	}
	s.agrees()
}

// upgrade installs a newer version of the package, whose binary is another one.
func (s *site) upgrade() (content string) { return s.upgradeTo("upgraded") }

// upgradeTo installs the package with the word added to its version and its binary.
func (s *site) upgradeTo(word string) (content string) {
	s.t.Helper()
	deb, err := rebuilt(word, s.path(nginxtest.RootArchive))
	if err == nil {
		err = errors.Join(os.MkdirAll(s.path("/tmp"), 0o755), os.WriteFile(s.path("/tmp/new.deb"), deb.file, 0o600))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	chroot(s.t, s.root, "dpkg", "-i", "/tmp/new.deb")
	return deb.binary
}

// deb is a package, and the binary in it.
type deb struct {
	file   []byte
	binary string
}

var (
	debs     = map[string]deb{} // by the word: packing takes long
	debsLock sync.Mutex
)

func rebuilt(word, archive string) (deb, error) {
	debsLock.Lock()
	defer debsLock.Unlock()
	if d, ok := debs[word]; ok {
		return d, nil
	}
	dir, err := os.MkdirTemp("", "rebuilt")
	if err != nil {
		return deb{}, err
	}
	defer os.RemoveAll(dir)
	out, err := exec.Command("sh", "-ec", `dpkg-deb -R "$1"/nginx_*.deb "$2/tree"; cd "$2/tree"
		sed -i "s/^Version: .*/&+$3/" DEBIAN/control; echo "$3" >>usr/sbin/nginx
		find . -type f ! -path './DEBIAN/*' -printf '%P\n' | xargs md5sum >DEBIAN/md5sums
		dpkg-deb -Znone -b . ../new.deb`, "sh", archive, dir, word).CombinedOutput()
	if err != nil {
		return deb{}, fmt.Errorf("rebuild nginx: %w\n%s", err, out)
	}
	file, err := os.ReadFile(filepath.Join(dir, "new.deb"))
	if err != nil {
		return deb{}, err
	}
	binary, err := os.ReadFile(filepath.Join(dir, "tree/usr/sbin/nginx"))
	debs[word] = deb{file, string(binary)}
	return debs[word], err
}

func TestPackageManagerFindsWhatItKnowsOnceTheGuardIsLifted(t *testing.T) {
	s := newSite(t)
	before, content := s.state(), s.read(binary)
	s.protect()
	s.protect() // once more changes nothing
	back := s.swap()
	s.guarded()
	if text := s.read("/etc/needrestart/conf.d/graft.conf"); !strings.Contains(text, "qr{^/usr/sbin/nginx$}") {
		t.Errorf("needrestart is told:\n%s", text)
	}
	back()
	if l := s.lift(); l.String() != "" {
		t.Errorf("%+v", l)
	}
	s.lift() // once more changes nothing
	if after := s.state(); after != before || s.read(binary) != content {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	s.agrees()
}

// The package has /bin/login, and /bin is a link to /usr/bin: what dpkg must be told is its own name.
func TestPackageManagerDivertsTheNameThatItHas(t *testing.T) {
	s := newSite(t)
	const file = "/usr/bin/login"
	content, diversions := s.read(file), s.read("/var/lib/dpkg/diversions")
	g := s.host.Consider(t.Context(), file, "")
	if g.Owner.Path != "/bin/login" {
		t.Fatalf("%+v", g)
	}
	if err := s.host.Protect(t.Context(), s.dir, g, time.Second); err != nil {
		t.Fatal(err)
	}
	s.write(file, "another binary", 0o755)
	chroot(t, s.root, "apt-get", "-q", "-y", "install", "--reinstall", "login")
	if s.read(file) != "another binary" {
		t.Error("dpkg has overwritten the file at the path")
	}
	s.write(file, content, 0o755)
	s.lift()
	if out := chroot(t, s.root, "dpkg", "-V", "login"); out != "" || s.read("/var/lib/dpkg/diversions") != diversions {
		t.Errorf("%s%s", out, s.read("/var/lib/dpkg/diversions"))
	}
}

func TestPackageManagerGetsItsPlaceBackAfterAnUpgrade(t *testing.T) {
	s := newSite(t)
	before := s.state()
	s.protect()
	back := s.swap()
	upgraded := s.upgrade()
	s.guarded()
	back()
	if l := s.lift(); !strings.Contains(l.Upgraded, "+upgraded") {
		t.Errorf("it is not told that the package was upgraded: %+v", l)
	}
	if s.read(binary) != upgraded {
		t.Error("the upgraded package's binary is not at the path")
	}
	if after := s.state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	s.agrees()
}

func TestPackageManagerRemovedThePackageMeanwhile(t *testing.T) {
	s := newSite(t)
	s.protect()
	back := s.swap()
	chroot(t, s.root, "dpkg", "--force-depends", "--remove", "nginx")
	back()
	content := s.read(binary)
	s.lift()
	if s.read(binary) != content {
		t.Error("the binary that serves is gone with its package")
	}
	if left, _ := filepath.Glob(s.path("/usr/sbin/*graft*")); left != nil {
		t.Errorf("left: %q", left)
	}
}

func TestPackageManagerScriptsAreDeniedOneServiceOnly(t *testing.T) {
	s := newSite(t)
	ask := func(args ...string) int {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "chroot", append([]string{s.root.Dir, "/usr/sbin/policy-rc.d"}, args...)...)
		var exit *exec.ExitError
		if out, err := cmd.CombinedOutput(); err != nil && !errors.As(err, &exit) {
			t.Fatalf("%v\n%s", err, out)
		}
		return cmd.ProcessState.ExitCode()
	}
	s.write("/usr/sbin/policy-rc.d", "#!/bin/sh\n[ \"$*\" != \"--quiet other.service stop\" ] || exit 42\nexit 104\n", 0o755)
	s.protect()
	for _, tt := range []struct {
		args string
		want int
	}{
		{"nginx restart", 101}, {"nginx.service restart", 101}, {"--quiet nginx upgrade 5", 101}, {"nginx reload", 101},
		{"nginx start", 101}, {"nginx stop", 101}, {"--quiet nginx status", 104},
		{"other.service restart", 104}, {"nginx-other restart", 104}, {"--quiet other.service stop", 42},
	} {
		if got := ask(strings.Fields(tt.args)...); got != tt.want {
			t.Errorf("policy-rc.d %s: exit %d, want %d", tt.args, got, tt.want)
		}
	}
	s.lift()
	if err := os.Remove(s.path("/usr/sbin/policy-rc.d")); err != nil {
		t.Fatal(err)
	}
	s.dir = t.TempDir()
	s.protect()
	if got := ask("other", "restart"); got != 104 {
		t.Errorf("without a policy before: exit %d, want 104", got)
	}
	s.lift()
	if _, err := os.Lstat(s.path("/usr/sbin/policy-rc.d")); err == nil {
		t.Error("a policy is left where none was")
	}
}

func TestPackageManagerPolicyThatSomebodyChangedIsLeft(t *testing.T) {
	s := newSite(t)
	s.protect()
	s.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0o755)
	if l := s.lift(); !strings.Contains(l.Left, "policy-rc.d") {
		t.Errorf("%+v", l)
	}
	if s.read("/usr/sbin/policy-rc.d") != "#!/bin/sh\nexit 0\n" || s.read("/usr/sbin/policy-rc.d.graft-kept") != ownPolicy {
		t.Error("somebody's policy, or the one before, is lost")
	}
}

func TestPackageManagerDiversionOfOthersIsRespected(t *testing.T) {
	s := newSite(t)
	chroot(t, s.root, "dpkg-divert", "--local", "--no-rename", "--divert", "/usr/sbin/nginx.mine", "--add", binary)
	before := s.state()
	g := s.protect()
	if g.Divert != "" || !strings.Contains(g.Note, "/usr/sbin/nginx.mine") {
		t.Errorf("%+v", g)
	}
	s.guarded()
	s.lift()
	// The reinstalled package's file is where the diversion says.
	if err := os.Remove(s.path("/usr/sbin/nginx.mine")); err != nil {
		t.Fatal(err)
	}
	if after := s.state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// A migration on top of a finished one leaves it its guard.
func TestPackageManagerGuardOfAnEarlierMigrationStays(t *testing.T) {
	s := newSite(t)
	before := s.state()
	s.protect()
	back := s.swap()
	if err := s.host.Relax(s.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.path("/etc/needrestart/conf.d/graft.conf")); err == nil {
		t.Error("needrestart is not told that it may look again")
	}
	finished := s.state()
	first := s.dir
	s.dir = t.TempDir()
	if g := s.protect(); g.Divert != "" || !strings.Contains(g.Note, "earlier migration") {
		t.Errorf("%+v", g)
	}
	s.lift()
	if after := s.state(); after != finished {
		t.Errorf("the first migration's:\n%s\nafter the second:\n%s", finished, after)
	}
	s.guarded()
	back()
	s.dir = first
	s.lift()
	if after := s.state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	s.agrees()
}

func TestPackageManagerAtWorkIsWaitedFor(t *testing.T) {
	s := newSite(t)
	unlock := s.lock()
	before := s.state()
	g := s.host.Consider(t.Context(), binary, "")
	err := s.host.Protect(t.Context(), s.dir, g, 200*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "package manager is at work") || s.state() != before {
		t.Errorf("%v\n%s", err, s.state())
	}
	go func() {
		time.Sleep(100 * time.Millisecond)
		unlock()
	}()
	if err := s.host.Protect(t.Context(), s.dir, g, 20*time.Second); err != nil {
		t.Error(err)
	}
}

func TestPackageManagerThatCannotBeAskedIsANoteAndNoFailure(t *testing.T) {
	s := newSite(t)
	if err := unix.Mount(s.path("/var/lib/dpkg"), s.path("/var/lib/dpkg"), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(s.path("/var/lib/dpkg"), 0)
	if err := unix.Mount("", s.path("/var/lib/dpkg"), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]pkgmanager.Host{"cannot be written": s.host, "database": {Root: t.TempDir()}} {
		g := h.Consider(t.Context(), binary, "")
		if !g.Empty() || !strings.Contains(g.Note, name) {
			t.Errorf("%+v", g)
		}
		if err := h.Protect(t.Context(), s.dir, g, time.Second); err != nil {
			t.Error(err)
		}
	}
	if g := s.host.Consider(t.Context(), "/usr/local/sbin/nginx", ""); !g.Empty() || g.Note != "" {
		t.Errorf("a file of no package: %+v", g)
	}
}
