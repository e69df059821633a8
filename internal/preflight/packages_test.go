package preflight

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
	"graft/internal/pkgmanager"
	"graft/internal/procfs"
)

// packageOf makes a real package with the instance's binary in it.
func packageOf(t *testing.T, inst *nginxtest.Instance, version string) (deb string) {
	t.Helper()
	tree := t.TempDir()
	write(t, filepath.Join(tree, inst.Exe), read(t, inst.Binary.Path))
	if err := os.Chmod(filepath.Join(tree, inst.Exe), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(tree, "DEBIAN/control"), "Package: graft-test-nginx\nVersion: "+version+
		"\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a package for one test\n")
	deb = filepath.Join(t.TempDir(), "graft-test-nginx_"+version+"_all.deb")
	command(t, "dpkg-deb", "--root-owner-group", "--build", "-Znone", tree, deb)
	return deb
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// offer puts a package into an archive of its own that apt reads.
func offer(t *testing.T, deb string) {
	t.Helper()
	const source = "/etc/apt/sources.list.d/graft-test.list"
	dir := filepath.Dir(deb)
	data := read(t, deb)
	write(t, filepath.Join(dir, "Packages"), command(t, "dpkg-deb", "--field", deb)+
		fmt.Sprintf("Filename: ./%s\nSize: %d\nSHA256: %x\n", filepath.Base(deb), len(data), sha256.Sum256([]byte(data))))
	removed(t, source)
	write(t, source, "deb [trusted=yes] file:"+dir+" ./\n")
	command(t, "apt-get", "update", "-o", "Dir::Etc::sourcelist="+source, "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Get::List-Cleanup=0",
		"-o", "APT::Sandbox::User=root", "-o", "APT::Update::Post-Invoke-Success::=")
}

func TestPackageManager(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	s := subject(t, inst, hardened(t))
	found(t, run(t, s), "package-manager", OK, "no package owns "+inst.Exe)

	first := packageOf(t, inst, "1.0-1")
	command(t, "dpkg", "--install", first)
	places := []string{"/var/lib/dpkg", "/var/lib/apt", "/var/cache/apt", "/etc/apt"}
	before := nginxtest.Snapshot(t, places...)
	found(t, run(t, s), "package-manager", Note, inst.Exe+" belongs to the package graft-test-nginx 1.0-1 (dpkg)", "nothing upgrades by itself here")
	if diff := cmp.Diff(before, nginxtest.Snapshot(t, places...)); diff != "" {
		t.Errorf("looking changed the databases (-before +after)\n%s", diff)
	}
	owned := askPackages(t.Context(), inst.Exe)
	check := func() Check { return packageManager(&examination{binary: inst.Exe, owned: owned}) }

	t.Run("something upgrades by itself", func(t *testing.T) {
		const wants = "/etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer"
		removed(t, wants, "/usr/bin/unattended-upgrade", "/usr/sbin/needrestart", "/etc/apt/apt.conf.d/20auto-upgrades")
		write(t, "/usr/sbin/needrestart", "")
		wantCheck(t, check(), Note, "without being asked: needrestart")
		if err := os.Remove("/usr/sbin/needrestart"); err != nil {
			t.Fatal(err)
		}
		write(t, wants, "")
		write(t, "/usr/bin/unattended-upgrade", "")
		write(t, "/etc/apt/apt.conf.d/20auto-upgrades", "APT::Periodic::Unattended-Upgrade \"0\";\n")
		wantCheck(t, check(), Note, "nothing upgrades by itself here")
		write(t, "/etc/apt/apt.conf.d/20auto-upgrades", "APT::Periodic::Unattended-Upgrade \"1\";\n")
		c := check()
		wantCheck(t, c, Note, "apt-daily-upgrade.timer")
		if !strings.Contains(c.Remedy, "apt-mark hold graft-test-nginx") {
			t.Errorf("remedy %q", c.Remedy)
		}
	})
	t.Run("an upgrade is pending", func(t *testing.T) {
		again := func() { owned = askPackages(t.Context(), inst.Exe) }
		offer(t, packageOf(t, inst, "2.0-1"))
		again()
		wantCheck(t, check(), Note, "2.0-1 is ready to be installed")

		command(t, "apt-mark", "hold", "graft-test-nginx")
		again()
		wantCheck(t, check(), OK, "held")
		command(t, "apt-mark", "unhold", "graft-test-nginx")

		command(t, "dpkg-divert", "--local", "--no-rename", "--divert", inst.Exe+".distrib", "--add", inst.Exe)
		again()
		wantCheck(t, check(), OK, "goes to "+inst.Exe+".distrib")
		command(t, "dpkg-divert", "--no-rename", "--remove", inst.Exe)
	})

	// dpkg puts its own file back, whatever was put there.
	swap(t, inst, hardened(t))
	command(t, "dpkg", "--install", first)
	sum, err := procfs.SHA256(inst.Exe)
	if err != nil {
		t.Fatal(err)
	}
	if own, err := procfs.SHA256(inst.Binary.Path); err != nil || sum != own {
		t.Errorf("the target is still there: %v", err)
	}
}

func TestPackageManagerThatCannotBeAsked(t *testing.T) {
	for _, unknown := range []ownership{{}, {err: fmt.Errorf("ask dpkg-query: %w", os.ErrPermission)}} {
		c := packageManager(&examination{binary: "/usr/sbin/nginx", owned: unknown})
		if c.Severity != Warning || !strings.Contains(c.Remedy, "dpkg -S /usr/sbin/nginx") {
			t.Errorf("%v: %s (%s)", c.Severity, c.Evidence, c.Remedy)
		}
	}
}

func TestPackageManagerOfRPM(t *testing.T) {
	e := &examination{binary: "/usr/sbin/nginx", owned: ownership{known: true, Owner: &pkgmanager.Owner{Manager: pkgmanager.RPM, Package: "nginx", Version: "1.20.1-14"}}}
	wantCheck(t, packageManager(e), Warning, "nginx 1.20.1-14 (rpm)")
	if c := packageManager(e); !strings.HasPrefix(c.Remedy, "dnf versionlock add nginx ") {
		t.Errorf("remedy %q", c.Remedy)
	}
	removed(t, "/etc/dnf")
	for file, held := range map[string]bool{
		"[main]\nexclude=kernel* nginx\n": true, "[main]\nexclude=nginx-mod\n": false, "[main]\ngpgcheck=1\n": false,
	} {
		write(t, "/etc/dnf/dnf.conf", file)
		if excluded("nginx") != held {
			t.Errorf("%q: held %v", file, !held)
		}
	}
}
