package nginxtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestABareRootIsPrivateAndItsPackagesInstallWithoutANetwork(t *testing.T) {
	root, other := BareRoot(t), BareRoot(t)
	binary := "usr/sbin/nginx"
	before, err := os.ReadFile(filepath.Join(other.Dir, binary))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root.Dir, binary), []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(filepath.Join(other.Dir, binary)); err != nil || string(now) != string(before) {
		t.Errorf("what one copy changed shows in another (%v)", err)
	}
	// As in any chroot, no service is to be started.
	policy := filepath.Join(root.Dir, "usr/sbin/policy-rc.d")
	if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "chroot", root.Dir, "apt-get", "-q", "install", "--reinstall", "-y", "nginx")
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if now, err := os.ReadFile(filepath.Join(root.Dir, binary)); err != nil || string(now) != string(before) {
		t.Errorf("the reinstalled nginx is not the package's (%v)", err)
	}
	sources, err := os.ReadFile(filepath.Join(root.Dir, "etc/apt/sources.list"))
	if err != nil || strings.Contains(string(sources), "://") {
		t.Errorf("the root knows a mirror (%v):\n%s", err, sources)
	}
}
