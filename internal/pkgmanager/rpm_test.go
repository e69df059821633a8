package pkgmanager_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graft/internal/pkgmanager"
)

// The distribution's own rpm, on a database and with a package of the test's. What dnf does was not tried.
func TestPackageManagerKnowsTheOwnerByRPM(t *testing.T) {
	home, host := t.TempDir(), pkgmanager.Host{Root: "/"}
	t.Setenv("HOME", home) // Debian's rpm has its database there
	const file = "/usr/sbin/nginx-of-rpm"
	if g := host.Consider(t.Context(), file, ""); g.Note != "" {
		t.Errorf("without a database: %+v", g)
	}
	if left, _ := os.ReadDir(home); len(left) > 0 {
		t.Errorf("asking has made %v", left)
	}
	spec := filepath.Join(home, "nginx.spec")
	text := `Name: nginx-of-rpm
Version: 1.24.0
Release: 4
Summary: for a test
License: none
BuildArch: noarch
%description
For a test.
%install
mkdir -p %{buildroot}/usr/sbin
echo binary > %{buildroot}` + file + `
%files
` + file + "\n"
	if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"rpmbuild --quiet -bb " + spec, "rpm --install --nodeps --force-debian " + home + "/rpmbuild/RPMS/noarch/*.rpm"} {
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	for _, name := range []string{file, "/sbin/nginx-of-rpm"} { // one directory
		o := owner(t, host, name)
		if o == nil || o.Manager != pkgmanager.RPM || o.Package != "nginx-of-rpm" || o.Version != "1.24.0-4" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	if o := owner(t, host, "/usr/sbin/nobodys"); o != nil {
		t.Errorf("%+v", o)
	}
	g := host.Consider(t.Context(), file, "")
	if !g.Empty() || !strings.Contains(g.Note, "dnf versionlock add nginx-of-rpm") {
		t.Errorf("%+v", g)
	}
}
