package preflight

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

// runbookUnit is the unit of the runbook's own ending: no -c in the command.
const runbookUnit = `[Unit]
Description=nginx

[Service]
Type=forking
PIDFile=/run/nginx.pid
# the shape that distributions ship
ExecStart=%s \
    -g 'daemon on;'
`

const unitFile = "/etc/systemd/system/nginx.service"

// removed undoes what a test wrote to the sandbox's own /etc.
func removed(t *testing.T, paths ...string) {
	t.Helper()
	t.Cleanup(func() {
		for _, p := range paths {
			if err := os.RemoveAll(p); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestColdStartDiffers(t *testing.T) {
	inst := startPackaged(t, packaged+"\n#\n", "-c", "/etc/nginx/nginx.conf")
	s := subject(t, inst, nginxtest.Foreign(t))
	found(t, run(t, s), "cold-start-differs", Note, "neither a systemd unit nor an init script")

	t.Run("no -c in the unit", func(t *testing.T) {
		removed(t, unitFile, unitFile+".d")
		write(t, unitFile, fmt.Sprintf(runbookUnit, inst.Exe))
		found(t, run(t, s), "cold-start-differs", Blocker, unitFile+":8", "/usr/local/openresty/nginx/conf/nginx.conf instead of /etc/nginx/nginx.conf")
		found(t, run(t, subject(t, inst, hardened(t))), "cold-start-differs", OK, unitFile+":8")

		write(t, unitFile+".d/graft.conf", "[Service]\nExecStart=\nExecStart="+inst.Exe+" -p /usr/share/nginx -c /etc/nginx/nginx.conf -g 'pid /run/nginx.pid;'\n")
		found(t, run(t, s), "cold-start-differs", OK, unitFile+".d/graft.conf:3")
	})
	t.Run("another PIDFile", func(t *testing.T) {
		removed(t, unitFile)
		write(t, unitFile, strings.Replace(fmt.Sprintf(runbookUnit, inst.Exe), "/run/nginx.pid", "/run/web.pid", 1))
		found(t, run(t, subject(t, inst, hardened(t))), "cold-start-differs", Blocker, "PIDFile=/run/web.pid", unitFile+":6")
	})
	t.Run("another nginx's unit", func(t *testing.T) {
		removed(t, unitFile)
		write(t, unitFile, fmt.Sprintf(runbookUnit, "/opt/other/sbin/nginx"))
		found(t, run(t, s), "cold-start-differs", Note, "/opt/other/sbin/nginx", "not this instance")
		s := s
		s.Instance.Supervisor.Kind, s.Instance.Supervisor.Unit = "systemd", "nginx.service"
		found(t, run(t, s), "cold-start-differs", Warning, "a restart would not start the target")
	})
	t.Run("a command with variables", func(t *testing.T) {
		removed(t, unitFile)
		write(t, unitFile, fmt.Sprintf(runbookUnit, inst.Exe+" $OPTIONS"))
		found(t, run(t, s), "cold-start-differs", Warning, "variables", "$OPTIONS")
	})
	t.Run("an init script", func(t *testing.T) {
		removed(t, "/etc/init.d/nginx", "/etc/default/nginx")
		write(t, "/etc/init.d/nginx", "#!/bin/sh\nPATH=/sbin:/bin\nDAEMON="+inst.Exe+"\n. /etc/default/nginx\n$DAEMON $DAEMON_OPTS\n")
		found(t, run(t, s), "cold-start-differs", Blocker, "/etc/init.d/nginx:3", "/usr/local/openresty/nginx/conf/nginx.conf")
		write(t, "/etc/default/nginx", "DAEMON_OPTS=\"-p /usr/share/nginx -c /etc/nginx/nginx.conf -g 'pid /run/nginx.pid;'\"\n")
		found(t, run(t, s), "cold-start-differs", OK, "/etc/default/nginx:1")
	})
}

func TestSplitExec(t *testing.T) {
	for value, want := range map[string][]string{
		`/usr/sbin/nginx -g 'daemon on; master_process on;'`: {"/usr/sbin/nginx", "-g", "daemon on; master_process on;"},
		`-/usr/sbin/nginx -c "/a b/n.conf"`:                  {"/usr/sbin/nginx", "-c", "/a b/n.conf"},
		`@/usr/sbin/nginx web -g daemon\ on;`:                {"/usr/sbin/nginx", "-g", "daemon on;"},
		`/usr/sbin/nginx  -g  ""`:                            {"/usr/sbin/nginx", "-g", ""},
		`/usr/sbin/nginx -g 'daemon on;`:                     nil,
		`@/usr/sbin/nginx`:                                   nil,
		``:                                                   nil,
	} {
		got, err := splitExec(value)
		if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (want == nil) {
			t.Errorf("%s: %v (-want +got)\n%s", value, err, diff)
		}
	}
}

func TestListenChanged(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	edit(t, inst, "listen "+inst.Addr("http")+";", "listen 127.0.0.1:9;")
	found(t, run(t, subject(t, inst, hardened(t))), "listen-changed", Warning,
		"nobody listens on 127.0.0.1:9 ("+inst.Conf+":", inst.Addr("http")+" (inode")
}

func TestListenChangedKnowsNginxsWildcards(t *testing.T) {
	config := strings.Replace(nginxtest.Realistic, "server {", `server {
        listen {{.Port "wild"}};
        listen 127.0.0.1:{{.Port "wild"}};
        listen [::]:{{.Port "wild"}};
        listen [::1]:{{.Port "wild"}};
        listen *:{{.Port "star"}} reuseport;`, 1)
	inst := nginxtest.Start(t, nginxtest.Options{Config: config})
	found(t, run(t, subject(t, inst, hardened(t))), "listen-changed", OK)
}

func TestReuseportBlackhole(t *testing.T) {
	t.Run("with reuseport", func(t *testing.T) {
		config := strings.Replace(nginxtest.Realistic, `listen 127.0.0.1:{{.Port "http"}};`, `listen 127.0.0.1:{{.Port "http"}} reuseport;`, 1)
		inst := nginxtest.Start(t, nginxtest.Options{Config: config})
		found(t, run(t, subject(t, inst, hardened(t))), "reuseport-blackhole", OK)
		edit(t, inst, "worker_processes 2;", "worker_processes 1;")
		found(t, run(t, subject(t, inst, hardened(t))), "reuseport-blackhole", Blocker, "2 workers run", "would start 1", inst.Conf+":2", inst.Addr("http"))
		showBlackhole(t, inst)
	})
	t.Run("without", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		edit(t, inst, "worker_processes 2;", "worker_processes 3;")
		found(t, run(t, subject(t, inst, hardened(t))), "reuseport-blackhole", Note, "would start 3")
	})
	t.Run("auto", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{Config: strings.Replace(nginxtest.Realistic, "worker_processes 2;", "worker_processes auto;", 1)})
		found(t, run(t, subject(t, inst, hardened(t))), "reuseport-blackhole", OK, "auto")
	})
}

// showBlackhole parks the old master: the new one's only worker accepts on one socket of two.
func showBlackhole(t *testing.T, inst *nginxtest.Instance) {
	t.Helper()
	upgrade(t, inst, 1)
	inst.Signal(t, inst.MasterPID, syscall.SIGWINCH)
	eventually(t, "the old workers are gone", func() bool {
		workers, err := inst.Workers(inst.MasterPID)
		return err == nil && len(workers) == 0
	})
	const clients = 40
	var hung atomic.Int32
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			if get(t, inst.Addr("http"), "/page.txt") == "" {
				hung.Add(1)
			}
		})
	}
	wg.Wait()
	if n := hung.Load(); n == 0 || n == clients {
		t.Errorf("%d of %d requests were not answered, want some", n, clients)
	}
}

func TestDiskSpace(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	s := subject(t, inst, hardened(t))
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	s.StateDir = filepath.Join(small, "graft") // not there yet
	found(t, run(t, s), "disk-space", Blocker, small, "1.0 MiB")

	mountReadOnly(t, filepath.Dir(inst.Exe))
	checks := run(t, s)
	found(t, checks, "disk-space", Blocker, "read-only")
	found(t, checks, "permissions", Blocker, "read-only")
}

// netBind is cap_net_bind_service=ep, version 2.
var netBind = []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

func TestFileAttributes(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	if err := unix.Setxattr(inst.Exe, "security.capability", netBind, 0); err != nil {
		t.Skipf("this file system takes no capabilities: %v", err)
	}
	found(t, run(t, subject(t, inst, hardened(t))), "file-attributes", Note, "security.capability")
}

func TestFileAttributesThatTheFileSystemRefuses(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	if err := unix.Setxattr(inst.Exe, "user.origin", []byte("package"), 0); err != nil {
		t.Skipf("this file system takes no extended attributes: %v", err)
	}
	s := subject(t, inst, hardened(t))
	e, err := examine(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	proc := t.TempDir() // ramfs has neither: a binary moved there would lose the attribute
	if err := unix.Mount("ramfs", proc, "ramfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(proc, 0); err != nil {
			t.Error(err)
		}
	})
	e.binary = filepath.Join(proc, "nginx")
	c := fileAttributes(e)
	if c.Severity != Blocker || !strings.Contains(c.Evidence, "user.origin") {
		t.Errorf("%v: %s", c.Severity, c.Evidence)
	}
}

func TestSameBinary(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	found(t, run(t, subject(t, inst, inst.Binary)), "same-binary", Warning, "same SHA-256")
}

func TestPermissions(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name   string
		euid   int
		master owner
		dir    string
		want   Severity
	}{
		{"root", 0, owner{uid: 33}, dir, OK},
		{"the owner", 33, owner{uid: 33}, dir, OK},
		{"somebody else", 1000, owner{uid: 33}, dir, Blocker},
		{"nobody can write there", 0, owner{uid: 0}, filepath.Join(dir, "missing"), Blocker},
	} {
		if c := permitted(tt.euid, tt.master, "master 1", tt.dir); c.Severity != tt.want {
			t.Errorf("%s: %v, want %v: %s", tt.name, c.Severity, tt.want, c.Evidence)
		}
	}
}

func TestTheRuntimeNeedsARoomThatGraftMayWriteTo(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "openresty")
	m := artifact.Manifest{Prefix: prefix, Binary: "sbin/nginx", Files: []artifact.File{{Path: "sbin/nginx"}, {Path: prefix[1:] + "/lualib/resty/core.lua"}}}
	somebody, member := owner{uid: 1000}, owner{uid: 1000, groups: []int{os.Getegid()}}
	if err := placeable(owner{}, m); err != nil {
		t.Errorf("root: %v", err)
	}
	if err := placeable(somebody, m); err == nil || !strings.Contains(err.Error(), "uid 1000 may not write to "+filepath.Dir(prefix)) {
		t.Errorf("somebody: %v", err)
	}
	if err := placeable(somebody, artifact.Manifest{Binary: "sbin/nginx", Files: m.Files[:1]}); err != nil {
		t.Errorf("a binary alone: %v", err)
	}
	if err := os.Chmod(filepath.Dir(prefix), 0o775); err != nil {
		t.Fatal(err)
	}
	if err := placeable(member, m); err != nil {
		t.Errorf("one of the directory's group: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(prefix, "lualib/resty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := placeable(member, m); err == nil {
		t.Error("below it is a directory of root's, and nobody minds")
	}
	if err := os.WriteFile(filepath.Join(prefix, "lualib/resty/core.lua"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := placeable(somebody, m); err != nil {
		t.Errorf("nothing is left to create: %v", err)
	}
}

func TestMountNamespace(t *testing.T) {
	inst := nginxtest.Prepare(t, nginxtest.Options{})
	cmd, err := inst.Command(nginxtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	unshare := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount"}, cmd.Args...)...)
	unshare.Dir = cmd.Dir
	if out, err := unshare.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "the pid file", func() bool {
		inst.MasterPID, err = nginx.ReadPidFile(inst.PidFile)
		return err == nil
	})
	// nginxtest knows its processes by their paths, which are others from here.
	t.Cleanup(func() {
		if err := syscall.Kill(inst.MasterPID, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		eventually(t, "it has ended", func() bool { return syscall.Kill(inst.MasterPID, 0) != nil })
	})
	s := subject(t, inst, hardened(t))
	checks := run(t, s)
	found(t, checks, "mount-namespace", Blocker, fmt.Sprint(inst.MasterPID))
	for _, entry := range Catalogue() {
		if entry.files {
			found(t, checks, entry.ID, Warning, "not checked")
		}
	}
}

func TestSeverity(t *testing.T) {
	if got := Worst(nil); got != Blocker {
		t.Errorf("no checks: %v, want a blocker", got)
	}
	var zero Severity
	if zero != Blocker {
		t.Errorf("the zero value is %v", zero)
	}
	if got := Worst([]Check{{Severity: OK}, {Severity: Warning}, {Severity: Note}}); got != Warning {
		t.Errorf("worst: %v", got)
	}
	for _, s := range []Severity{OK, Note, Warning, Blocker} {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Severity
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Errorf("%s came back as %v: %v", text, back, err)
		}
	}
	if err := json.Unmarshal([]byte(`"fine"`), new(Severity)); err == nil {
		t.Error("an unknown severity was read")
	}
	if _, err := Run(t.Context(), Subject{}); err == nil {
		t.Error("an empty subject was checked")
	}
}
