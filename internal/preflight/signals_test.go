package preflight

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

func TestUsr2Ignored(t *testing.T) {
	t.Run("daemon off in the configuration", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{Config: "daemon off;\n" + nginxtest.Realistic})
		found(t, run(t, subject(t, inst, hardened(t))), "usr2-ignored", Blocker, "daemon off", inst.Conf+":1", "ignores USR2")
		showIgnored(t, inst)
	})
	t.Run("daemon off on the command line", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{
			Args: []string{"{{.Exe}}", "-p", "{{.Prefix}}", "-c", "{{.Conf}}", "-g", "daemon off;"},
		})
		found(t, run(t, subject(t, inst, hardened(t))), "usr2-ignored", Blocker, "-g on the command line")
		showIgnored(t, inst)
	})
}

func showIgnored(t *testing.T, inst *nginxtest.Instance) {
	t.Helper()
	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	eventually(t, "nginx says that it ignores USR2", func() bool {
		return strings.Contains(inst.ErrorLogText(t), "the changing binary signal is ignored")
	})
	if masters, err := inst.Masters(); err != nil || len(masters) != 1 {
		t.Errorf("masters %v: %v", masters, err)
	}
}

func TestUsr2IgnoredByParent(t *testing.T) {
	root := t.TempDir()
	const master, parent = 700, 77
	stat := func(pid, ppid int, comm string) {
		write(t, filepath.Join(root, fmt.Sprint(pid), "stat"),
			fmt.Sprintf("%d (%s) S %d %s\n", pid, comm, ppid, strings.Repeat("0 ", 48)))
	}
	for _, tt := range []struct {
		name, version string
		flavor        nginx.Flavor
		ppid          int
		comm, kind    string
		want          Severity
	}{
		{"init", "1.22.1", "nginx", 1, "", "none", OK},
		{"init of an old release", "1.10.3", "nginx", 1, "", "none", OK},
		{"a user's systemd", "1.22.1", "nginx", parent, "systemd", "none", OK},
		{"a user's systemd, before 1.13.8", "1.13.7", "nginx", parent, "systemd", "none", Blocker},
		{"OpenResty before 1.13.8", "1.13.6.2", "openresty", parent, "systemd", "none", Blocker},
		{"Tengine 2.2 is made of nginx 1.8", "2.2.3", "tengine", parent, "systemd", "none", Blocker},
		{"Tengine 2.3 is made of nginx 1.15", "2.3.0", "tengine", parent, "systemd", "none", OK},
		{"Angie's versions are its own", "1.5.1", "angie", parent, "systemd", "none", OK},
		{"supervisord", "1.22.1", "nginx", parent, "supervisord", "supervisord", Blocker},
		{"anything else", "1.22.1", "nginx", parent, "bash", "none", Warning},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stat(master, tt.ppid, "nginx")
			stat(parent, 1, tt.comm)
			e := &examination{Subject: Subject{FS: procfs.New(root), Instance: nginx.Instance{
				Master: nginx.Process{PID: master}, MasterProcess: true, Daemonized: true, Argv: []string{"/usr/sbin/nginx"},
				Build: nginx.Build{Flavor: tt.flavor, Version: tt.version}, Supervisor: nginx.Supervisor{Kind: tt.kind},
			}}}
			if c := usr2Ignored(e); c.Severity != tt.want {
				t.Errorf("%v, want %v: %s", c.Severity, tt.want, c.Evidence)
			}
		})
	}
}

// A container's first process never daemonized, whatever the files say: that forks.
func TestUsr2IgnoredByProcessOne(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "1/stat"), fmt.Sprintf("1 (nginx) S 0 %s\n", strings.Repeat("0 ", 48)))
	e := &examination{Subject: Subject{FS: procfs.New(root), Instance: nginx.Instance{
		Master: nginx.Process{PID: 1}, MasterProcess: true, Daemonized: true, Argv: []string{"/usr/sbin/nginx"},
		Build: nginx.Build{Flavor: nginx.FlavorNginx, Version: "1.22.1"},
	}}}
	for _, look := range []func(*examination) Check{usr2Ignored, winchIgnored} {
		if c := look(e); c.Severity != Blocker || !strings.Contains(c.Evidence, "process 1") {
			t.Errorf("%v: %s", c.Severity, c.Evidence)
		}
	}
}

func TestUsr2Poison(t *testing.T) {
	t.Run("missing pid file", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		if err := os.Remove(inst.PidFile); err != nil {
			t.Fatal(err)
		}
		found(t, run(t, subject(t, inst, hardened(t))), "usr2-poison", Blocker, inst.PidFile, "no such file")
		showPoison(t, inst)
	})
	t.Run("read-only directory", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		mountReadOnly(t, filepath.Dir(inst.PidFile))
		found(t, run(t, subject(t, inst, hardened(t))), "usr2-poison", Blocker, filepath.Dir(inst.PidFile), "read-only")
		showPoison(t, inst)
	})
	t.Run("pid file of another process", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		write(t, inst.PidFile, fmt.Sprintln(os.Getpid()))
		found(t, run(t, subject(t, inst, hardened(t))), "usr2-poison", Blocker, inst.PidFile, fmt.Sprint(os.Getpid()), "not master")
	})
	t.Run("empty pid file, as nginx -t leaves it", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		write(t, inst.PidFile, "")
		found(t, run(t, subject(t, inst, hardened(t))), "usr2-poison", Blocker, "is empty")
	})
	t.Run("immutable directory", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		dir := filepath.Dir(inst.PidFile)
		chattr(t, "+i", dir)
		found(t, run(t, subject(t, inst, hardened(t))), "usr2-poison", Blocker, "immutable", dir)
	})
	t.Run("a directory in the way of .oldbin", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		if err := os.Mkdir(nginx.OldBin(inst.PidFile), 0o755); err != nil {
			t.Fatal(err)
		}
		found(t, run(t, subject(t, inst, hardened(t))), "usr2-poison", Blocker, ".oldbin is a directory")
	})
}

// showPoison sends USR2, sees the rename fail, and then every HUP adding workers.
func showPoison(t *testing.T, inst *nginxtest.Instance) {
	t.Helper()
	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	eventually(t, "the pid file's rename fails", func() bool {
		return strings.Contains(inst.ErrorLogText(t), "[alert]") && strings.Contains(inst.ErrorLogText(t), "rename()")
	})
	for want := 4; want <= 6; want += 2 {
		inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
		eventually(t, fmt.Sprintf("%d workers, where the configuration asks for 2", want), func() bool {
			workers, err := inst.Workers(inst.MasterPID)
			return err == nil && len(workers) == want
		})
	}
}

func mountReadOnly(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

func chattr(t *testing.T, flag, path string) {
	t.Helper()
	if out, err := exec.Command("chattr", flag, path).CombinedOutput(); err != nil {
		t.Skipf("this file system has no such flag: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("chattr", strings.Replace(flag, "+", "-", 1), path).CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
	})
}

func TestCanCreate(t *testing.T) {
	root := owner{uid: 0}
	full := t.TempDir()
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "nr_inodes=1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(full, 0); err != nil {
			t.Error(err)
		}
	})
	if err := canCreate(full, root); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("a file system without inodes: %v", err)
	}
	if err := canCreate(filepath.Join(full, "missing"), root); err == nil {
		t.Error("a missing directory passes")
	}
	dir := t.TempDir()
	if err := canCreate(dir, root); err != nil {
		t.Errorf("root: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the trial left %v: %v", left, err)
	}
	for mode, want := range map[os.FileMode]bool{0o755: false, 0o757: true, 0o775: true, 0o777: true, 0o772: true} {
		if err := os.Chown(dir, 0, 900); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		member := owner{uid: 901, groups: []int{901, 900}}
		if mode == 0o757 {
			member.groups = nil
		}
		if mode == 0o772 { // the group's bits decide for a member, the others' for the rest; 2 without search is not enough
			member.groups, want = nil, false
		}
		if err := canCreate(dir, member); (err == nil) != want {
			t.Errorf("mode %o: %v, want success %t", mode, err, want)
		}
	}
}

func TestUpgradeUnderWay(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	target := hardened(t)
	stale := nginx.OldBin(inst.PidFile)
	write(t, stale, "999999\n")
	found(t, run(t, subject(t, inst, target)), "upgrade-under-way", Warning, stale, "999999")
	if err := os.Remove(stale); err != nil {
		t.Fatal(err)
	}

	old := inst.MasterPID
	young := upgrade(t, inst, 2)
	checks := run(t, subject(t, inst, target))
	found(t, checks, "upgrade-under-way", Blocker, fmt.Sprint(old), fmt.Sprint(young))
	found(t, checks, "usr2-ignored", Blocker, "already started")
	inst.MasterPID = young
	checks = run(t, subject(t, inst, target))
	found(t, checks, "upgrade-under-way", Blocker, fmt.Sprint(old), fmt.Sprint(young))
	found(t, checks, "usr2-ignored", Blocker, "still lives")
	showIgnoredWhileUpgrading(t, inst, young)
}

// showIgnoredWhileUpgrading: the second USR2 is lost, and no third master comes.
func showIgnoredWhileUpgrading(t *testing.T, inst *nginxtest.Instance, young int) {
	t.Helper()
	inst.Signal(t, young, syscall.SIGUSR2)
	eventually(t, "nginx says that it ignores USR2", func() bool {
		return strings.Contains(inst.ErrorLogText(t), "the changing binary signal is ignored")
	})
	if masters, err := inst.Masters(); err != nil || len(masters) != 2 {
		t.Errorf("masters %v: %v", masters, err)
	}
}
