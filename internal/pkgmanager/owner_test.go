package pkgmanager_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graft/internal/cli/clitest"
	"graft/internal/nginxtest"
	"graft/internal/pkgmanager"
)

// The tests here work on the database of a whole installation of the distribution, by its own dpkg.
func TestMain(m *testing.M) {
	nginxtest.Main(m, nginxtest.FetchRoot, clitest.BuildGraft, clitest.BuildOpenResty)
}

const binary = "/usr/sbin/nginx"

// chroot runs a program in the root and returns all that it printed.
func chroot(t testing.TB, root nginxtest.Root, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "chroot", append([]string{root.Dir}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func owner(t testing.TB, h pkgmanager.Host, path string) *pkgmanager.Owner {
	t.Helper()
	o, err := h.OwnerOf(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestPackageManagerKnowsTheOwner(t *testing.T) {
	root := nginxtest.BareRoot(t)
	h := pkgmanager.Host{Root: root.Dir}
	version := strings.TrimSpace(chroot(t, root, "dpkg-query", "-Wf", "${Version}", "nginx"))

	t.Run("by the name that dpkg has", func(t *testing.T) {
		o := owner(t, h, binary)
		if o == nil || o.Manager != pkgmanager.Dpkg || o.Package != "nginx" || o.Version != version || o.Path != binary || o.Held || o.DivertedTo != "" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("by another name of the directory", func(t *testing.T) {
		if o := owner(t, h, "/sbin/nginx"); o == nil || o.Path != binary {
			t.Errorf("/sbin is a link to /usr/sbin: %+v", o)
		}
		// As packages have it that are older than the link.
		list := filepath.Join(root.Dir, "var/lib/dpkg/info/login.list")
		if o := owner(t, h, "/usr/bin/login"); o == nil || o.Path != "/bin/login" {
			text, _ := os.ReadFile(list)
			t.Errorf("%+v; its package lists:\n%s", o, text)
		}
	})
	t.Run("no package", func(t *testing.T) {
		for _, path := range []string{"/usr/local/sbin/nginx", "/usr/sbin/ngin?", "/usr/sbin/*"} {
			if o := owner(t, h, path); o != nil {
				t.Errorf("%s: %+v", path, o)
			}
		}
	})
	t.Run("held", func(t *testing.T) {
		chroot(t, root, "apt-mark", "hold", "nginx")
		if o := owner(t, h, binary); !o.Held {
			t.Errorf("%+v", o)
		}
		chroot(t, root, "apt-mark", "unhold", "nginx")
	})
	t.Run("diverted", func(t *testing.T) {
		chroot(t, root, "dpkg-divert", "--package", "dpkg", "--no-rename", "--divert", "/usr/sbin/nginx.other", "--add", binary)
		if o := owner(t, h, binary); o.Package != "nginx" || o.DivertedTo != "/usr/sbin/nginx.other" || o.DivertedBy != "dpkg" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("a database that is missing is an error", func(t *testing.T) {
		if o, err := (pkgmanager.Host{Root: t.TempDir()}).OwnerOf(t.Context(), binary); err == nil {
			t.Errorf("%+v", o)
		}
	})
}
