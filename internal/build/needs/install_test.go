package needs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/build/job"
	"graft/internal/build/source"
	"graft/internal/nginxtest"
	"graft/internal/sandbox"
)

func sh(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-ec", script)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// packagesDir keeps what apt-get downloads in sandboxes.
func packagesDir(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "graft", "test", "packages")
	if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := job.Lock(t.Context(), dir+".lock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	conf := filepath.Join(dir, "apt.conf")
	if err := os.WriteFile(conf, []byte("Dir::Cache::archives \""+dir+"/\";\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("APT_CONFIG", conf)
	return dir
}

// What apt-get installs from the distribution's mirror is what configure missed.
func TestInstallFromTheDistributionsMirror(t *testing.T) {
	opts := sandbox.Options{HostNetwork: true, Binds: []string{packagesDir(t)}}
	q := Query{Layout: source.LayoutNginx, Nginx: "1.26.3", Configure: []string{
		"--with-http_xslt_module=dynamic", "--with-http_geoip_module", "--with-http_perl_module", "--with-libatomic", "--with-google_perftools_module"}}
	s := inside(t, opts, installArg, nginxtest.Source(t, "1.26.3"), "", q)
	if s.Error != "" || !s.Configured {
		t.Errorf("afterwards: %s\n%s", s.Error, s.Configure)
	}
}

func install(t *testing.T, q Query) any {
	names := "libxml2-dev libxslt1-dev libgeoip-dev libperl-dev libatomic-ops-dev libgoogle-perftools-dev"
	sh(t, `apt-get -q -y purge $(dpkg-query -W -f '${binary:Package}\n' `+names+` 2>/dev/null)`)
	err, ok := errors.AsType[*MissingError](predict(t, q).Missing())
	if !ok || strings.Join(packagesOf(err.Missing), " ") != "libxml2-dev libxslt1-dev libgeoip-dev libatomic-ops-dev libgoogle-perftools-dev libperl-dev" {
		t.Fatalf("before: %v", err)
	}
	sh(t, "ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || apt-get -q update")
	p, refused := err.Propose(t.Context(), job.Silent(), debian12)
	if refused != nil {
		t.Fatal(refused)
	}
	for name := range strings.FieldsSeq(names) {
		if !slices.Contains(p.Installs, name) || !strings.Contains(p.String(), name) {
			t.Errorf("%s is not proposed: %s", name, p)
		}
	}
	// As on a new machine: no list names any package.
	sh(t, "rm -rf /var/lib/apt/lists/*")
	if p, refused = err.Propose(t.Context(), job.Silent(), debian12); refused != nil {
		t.Fatal(refused)
	}
	if !strings.HasPrefix(p.String(), "apt-get -q -o DPkg::Lock::Timeout=300 update, then ") {
		t.Errorf("without lists: %s", p)
	}
	if failed := p.Run(t.Context(), job.Silent()); failed != nil {
		t.Fatal(failed)
	}
	return look(t, q)
}

// In an archive of its own, apt-get is asked for what it must not do.
func TestInstallChangesNothingElse(t *testing.T) {
	inside(t, sandbox.Options{}, offlineArg, t.TempDir(), "", Query{})
}

// archive builds packages and makes them all that apt-get knows; each is a name, a version and further
// lines of its control file.
func archive(t *testing.T, packages ...[3]string) {
	t.Helper()
	sh(t, `mkdir -p /tmp/archive && cd /tmp/archive && rm -rf * && touch Packages
		rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/*
		echo "deb [trusted=yes] file:/tmp/archive ./" >/etc/apt/sources.list`)
	for _, p := range packages {
		control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: test <test@localhost>\nDescription: test\n%s", p[0], p[1], p[2])
		sh(t, fmt.Sprintf(`cd /tmp/archive && rm -rf new && mkdir -p new/DEBIAN
			cat >new/DEBIAN/control <<'END'
%[1]s
END
			if [ %[2]s = graft-test-slow ]; then
				printf '#!/bin/sh\ntouch /tmp/began; sleep 1; touch /tmp/ended\n' >new/DEBIAN/postinst && chmod 755 new/DEBIAN/postinst
			fi
			dpkg-deb -b new %[2]s_%[3]s.deb >/dev/null
			{ sed '/^$/d' new/DEBIAN/control; echo "Filename: ./%[2]s_%[3]s.deb"; echo "Size: $(stat -c %%s %[2]s_%[3]s.deb)"
			  echo "SHA256: $(sha256sum %[2]s_%[3]s.deb | cut -d' ' -f1)"; echo; } >>Packages`, control, p[0], p[1]))
	}
	sh(t, "apt-get -q update")
}

func missingPackage(names string) *MissingError {
	return &MissingError{Missing: []Dependency{{Name: "what the test needs", Package: names}}, Install: "apt-get install " + names}
}

func status(t *testing.T, name string) string {
	t.Helper()
	return sh(t, "dpkg-query -W -f '${db:Status-Status} ${Version}' "+name+" 2>/dev/null || true")
}

func offline(t *testing.T, _ Query) any {
	lib1, lib2 := [3]string{"graft-test-lib", "1", ""}, [3]string{"graft-test-lib", "2", ""}
	archive(t, lib1)
	sh(t, "apt-get -q -y install graft-test-lib")
	archive(t, lib2,
		[3]string{"graft-test-dev", "2", "Depends: graft-test-lib (= 2)"},
		[3]string{"graft-test-enemy", "1", "Conflicts: graft-test-lib"},
		[3]string{"graft-test-other", "1", "Depends: nginx-graft-test"},
		[3]string{"nginx-graft-test", "1", ""},
		[3]string{"graft-test-slow", "1", ""})
	propose := func(names string) (Proposal, error) {
		return missingPackage(names).Propose(t.Context(), job.Silent(), debian12)
	}
	for names, want := range map[string]string{
		"graft-test-enemy":    "would remove or downgrade graft-test-lib",
		"graft-test-other":    "would change nginx-graft-test",
		"graft-test-nonesuch": "", // may be in newer lists
	} {
		p, err := propose(names)
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) || want == "" && err != nil {
			t.Errorf("%s: %v, want %q", names, err, want)
		}
		if want == "" {
			if err := p.Run(t.Context(), job.Silent()); err == nil || !strings.Contains(err.Error(), "Unable to locate package") {
				t.Errorf("%s, with fresh lists: %v", names, err)
			}
		}
	}

	p, err := propose("graft-test-dev")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Installs, []string{"graft-test-dev"}) || !slices.Equal(p.Upgrades, []string{"graft-test-lib"}) {
		t.Errorf("proposed: %s", p)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(canceled, job.Silent()); err == nil || status(t, "graft-test-dev") != "" {
		t.Errorf("interrupted before it began: %v, %s", err, status(t, "graft-test-dev"))
	}
	// What was agreed to may have become something else meanwhile.
	archive(t, lib2, [3]string{"graft-test-dev", "2", "Depends: graft-test-lib (= 2), nginx-graft-test"}, [3]string{"nginx-graft-test", "1", ""})
	if err := p.Run(t.Context(), job.Silent()); err == nil || !strings.Contains(err.Error(), "would change nginx-graft-test") {
		t.Errorf("with another archive than agreed to: %v", err)
	}
	// The archive moved on: what the lists name is gone from it.
	archive(t, lib2, [3]string{"graft-test-dev", "2", "Depends: graft-test-lib (= 2)"})
	sh(t, `cp -a /var/lib/apt/lists /tmp/lists`)
	archive(t, [3]string{"graft-test-lib", "3", ""}, [3]string{"graft-test-dev", "3", "Depends: graft-test-lib (= 3)"})
	sh(t, `rm -rf /var/lib/apt/lists && mv /tmp/lists /var/lib/apt/lists`)
	if err := p.Run(t.Context(), job.Silent()); err != nil || status(t, "graft-test-dev") != "installed 3" || status(t, "graft-test-lib") != "installed 3" {
		t.Errorf("with old lists: %v, %s", err, status(t, "graft-test-dev"))
	}

	// An interruption in the middle leaves nothing half installed.
	archive(t, [3]string{"graft-test-slow", "1", ""})
	if p, err = propose("graft-test-slow"); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for range 1000 {
			if _, err := os.Stat("/tmp/began"); err == nil {
				interrupt()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	err = p.Run(ctx, job.Silent())
	if _, ended := os.Stat("/tmp/ended"); err != nil || ended != nil || ctx.Err() == nil || status(t, "graft-test-slow") != "installed 1" {
		t.Errorf("interrupted in the middle: %v, %s", err, status(t, "graft-test-slow"))
	}
	return seen{}
}

// Without root it is sudo, if that lets; what to run as root is said where it does not.
func TestInstallBySudo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a sandbox without root has no other users")
	}
	opts := sandbox.Options{HostNetwork: true, Binds: []string{packagesDir(t)}}
	// sudo comes before the archive is replaced.
	prepare := `apt-get -q -y --no-install-recommends install sudo >/tmp/apt 2>&1 ||
		{ apt-get -q update && apt-get -q -y --no-install-recommends install sudo; } >/tmp/apt 2>&1 || { cat /tmp/apt; exit 1; }
	echo 'nobody ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/test
	unset APT_CONFIG`
	inside(t, opts, sudoArg, t.TempDir(), prepare, Query{})
}

func bySudo(t *testing.T, q Query) any {
	if os.Geteuid() == 0 {
		archive(t, [3]string{"graft-test-dev", "1", ""})
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		sh(t, "cp "+exe+" /usr/local/bin/asnobody && cd / && chmod 1777 /tmp && setpriv --reuid=65534 --regid=65534 --clear-groups /usr/local/bin/asnobody -test.run='^TestInside$'")
		if got := status(t, "graft-test-dev"); got != "installed 1" {
			t.Errorf("installed by sudo: %q", got)
		}
		sh(t, "rm /etc/sudoers.d/test && apt-get -q -y purge graft-test-dev")
		out := sh(t, "cd / && setpriv --reuid=65534 --regid=65534 --clear-groups /usr/local/bin/asnobody -test.run='^TestInside$' 2>&1 || true")
		if !strings.Contains(out, "sudo does not let this user without a password; run as root: apt-get ") || !strings.Contains(out, "install graft-test-dev") {
			t.Errorf("sudo forbidden: %s", out)
		}
		sh(t, "mv /usr/bin/sudo /usr/bin/sudo.away")
		out = sh(t, "cd / && setpriv --reuid=65534 --regid=65534 --clear-groups /usr/local/bin/asnobody -test.run='^TestInside$' 2>&1 || true")
		if !strings.Contains(out, "only root can; run as root: apt-get install graft-test-dev") {
			t.Errorf("without sudo: %s", out)
		}
		return seen{}
	}
	p, err := missingPackage("graft-test-dev").Propose(t.Context(), job.Silent(), debian12)
	if err == nil {
		err = p.Run(t.Context(), job.Silent())
	}
	if err != nil {
		t.Fatal(err)
	}
	return seen{}
}
