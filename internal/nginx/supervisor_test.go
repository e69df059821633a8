package nginx

import (
	"os"
	"path/filepath"
	"testing"

	"graft/internal/procfs"
)

func TestFindSupervisorByCgroupAndParent(t *testing.T) {
	const id = "3f1c0b7e5a9d2c4e6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6"
	for _, tt := range []struct {
		name, cgroup, parent, mnt string
		want                      Supervisor
	}{
		{"systemd, cgroup v2", "0::/system.slice/nginx.service\n", "systemd", "", Supervisor{"systemd", "nginx.service"}},
		{"systemd, cgroup v1", "11:pids:/system.slice/nginx.service\n1:name=systemd:/system.slice/nginx.service\n", "systemd", "", Supervisor{"systemd", "nginx.service"}},
		{"systemd, a template in a slice of its own", "0::/web.slice/nginx@shop.service\n", "systemd", "", Supervisor{"systemd", "nginx@shop.service"}},
		{"a unit whose name speaks of containers", "0::/system.slice/docker-registry-nginx.service\n", "systemd", "", Supervisor{"systemd", "docker-registry-nginx.service"}},
		{"a user's own unit", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service\n", "systemd", "", Supervisor{"systemd", "nginx.service"}},
		{"a login session", "0::/user.slice/user-1000.slice/session-3.scope\n", "systemd", "", Supervisor{Kind: "none"}},
		{"a terminal of a desktop session", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n", "systemd", "", Supervisor{Kind: "none"}},
		{"docker, cgroup v1", "4:memory:/docker/" + id + "\n", "containerd-shim", "", Supervisor{"container", id}},
		{"docker, cgroup v2", "0::/system.slice/docker-" + id + ".scope\n", "containerd-shim", "", Supervisor{"container", "docker-" + id + ".scope"}},
		{"kubernetes", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-" + id + ".scope\n", "containerd-shim", "", Supervisor{"container", "cri-containerd-" + id + ".scope"}},
		{"podman", "0::/machine.slice/libpod-" + id + ".scope\n", "conmon", "", Supervisor{"container", "libpod-" + id + ".scope"}},
		{"a container whose cgroup shows nothing", "0::/\n", "tini-static", "mnt:[2]", Supervisor{Kind: "container"}},
		{"supervisord, itself a unit", "0::/system.slice/supervisor.service\n", "supervisord", "", Supervisor{"supervisord", "supervisord"}},
		{"runit", "0::/\n", "runsv", "", Supervisor{"runit", "runsv"}},
		{"by hand", "0::/\n", "init", "", Supervisor{Kind: "none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.mnt == "" {
				tt.mnt = "mnt:[1]"
			}
			root := t.TempDir()
			for path, content := range map[string]string{
				"10/stat":   "10 (nginx) S 5 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 100 0\n",
				"5/stat":    "5 (" + tt.parent + ") S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 50 0\n",
				"10/cgroup": tt.cgroup,
			} {
				write(t, filepath.Join(root, path), content)
			}
			for path, target := range map[string]string{"10/ns/mnt": tt.mnt, "self/ns/mnt": "mnt:[1]"} {
				link := filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(target, link); err != nil {
					t.Fatal(err)
				}
			}
			got, err := FindSupervisor(procfs.New(root), 10)
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
