package procfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree lays out a proc file system: files by path, links as "-> target".
func tree(t testing.TB, files map[string]string) FS {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return New(root)
}

// stat is a line of proc_pid_stat(5) as Linux 6.1 writes it.
func stat(pid int, comm string, ppid int, start uint64) string {
	return fmt.Sprintf("%d (%s) S %d 1 7 0 -1 4194624 1077 0 0 0 0 3 0 0 20 0 1 0 %d 56737792 1386 18446744073709551615 1 1 0 0 0 0 0 "+
		"1073745920 402745863 0 0 0 17 1 0 0 0 0 0 0 0 0 140726000 140726040 140726040 140726100 0\n", pid, comm, ppid, start)
}

// A process may call itself what it likes (prctl): its fields must not move.
func TestStatReadsPastOddNames(t *testing.T) {
	for _, comm := range []string{"nginx", "a) b", "tmux: server", "(sd-pam)", ") S 1 1 1", "x\ny", ""} {
		f := tree(t, map[string]string{"42/stat": stat(42, comm, 7, 9001)})
		got, err := f.Stat(42)
		want := Stat{PID: 42, Comm: comm, State: 'S', PPID: 7, Session: 7, StartTime: 9001, TitleRoom: 100}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got)\n%s", comm, err, diff)
		}
	}
	for _, bad := range []string{"", "42", "42 (nginx", "42 (nginx) S 1", strings.Replace(stat(42, "n", 7, 1), " S 7 ", " S x ", 1)} {
		if s, err := tree(t, map[string]string{"42/stat": bad}).Stat(42); err == nil {
			t.Errorf("%q: read as %+v", bad, s)
		}
	}
	if _, err := tree(t, nil).Stat(42); !Gone(err) {
		t.Errorf("no such process: %v, want one that is Gone", err)
	}
}

func FuzzStat(f *testing.F) {
	f.Add("nginx")
	f.Add("a) R 1 (b")
	f.Fuzz(func(t *testing.T, comm string) {
		got, err := tree(t, map[string]string{"42/stat": stat(42, comm, 7, 9001)}).Stat(42)
		if err != nil || got.Comm != comm || got.PPID != 7 || got.StartTime != 9001 {
			t.Errorf("%q: %+v, %v", comm, got, err)
		}
	})
}

func TestTitleIsOneString(t *testing.T) {
	f := tree(t, map[string]string{
		"1/cmdline": "nginx\x00-c\x00/a b\x00",
		"2/cmdline": "nginx: master process nginx -g daemon on;\x00\x00\x00\x00", // setproctitle pads with NULs
		"3/cmdline": "",
	})
	for pid, want := range map[int]string{1: "nginx -c /a b", 2: "nginx: master process nginx -g daemon on;", 3: ""} {
		if got, err := f.Title(pid); err != nil || got != want {
			t.Errorf("%d: %q, %v, want %q", pid, got, err, want)
		}
	}
	if _, err := f.Title(4); !Gone(err) {
		t.Errorf("no such process: %v", err)
	}
}

func TestChildrenAreFoundWithoutTheKernelsList(t *testing.T) {
	family := map[string]string{
		"10/stat": stat(10, "nginx", 1, 100), "11/stat": stat(11, "nginx", 10, 101), "12/stat": stat(12, "nginx", 10, 102),
		"13/stat": stat(13, "nginx", 11, 103), "self/stat": stat(13, "nginx", 10, 103), "14/comm": "half gone",
	}
	f := tree(t, family)
	if got, err := f.Children(10); err != nil || !slices.Equal(got, []int{11, 12}) {
		t.Errorf("by a walk: %v, %v, want 11 and 12", got, err)
	}
	if _, err := f.Children(99); !Gone(err) {
		t.Errorf("no such process: %v, want one that is Gone", err)
	}
	family["10/task/10/children"] = "12 15 "
	if got, err := tree(t, family).Children(10); err != nil || !slices.Equal(got, []int{12, 15}) {
		t.Errorf("by the kernel's list: %v, %v, want 12 and 15", got, err)
	}
}

func TestCgroupsOfBothVersions(t *testing.T) {
	f := tree(t, map[string]string{
		"1/cgroup": "0::/system.slice/nginx.service\n",
		"2/cgroup": "12:pids:/system.slice/nginx.service\n1:name=systemd:/system.slice/nginx.service\n0::/odd:name\n",
	})
	for pid, want := range map[int][]string{
		1: {"/system.slice/nginx.service"},
		2: {"/system.slice/nginx.service", "/system.slice/nginx.service", "/odd:name"},
	} {
		if got, err := f.Cgroups(pid); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d: %q, %v, want %q", pid, got, err, want)
		}
	}
}

func TestCPUsCountsTheOnlineOnes(t *testing.T) {
	f := tree(t, map[string]string{"stat": "cpu  1 2 3\ncpu0 1 2 3\ncpu2 1 2 3\ncpu11 1 2 3\nintr 5\nctxt 9\n"}) // cpu1 is off
	if n, err := f.CPUs(); err != nil || n != 3 {
		t.Errorf("%d, %v, want 3", n, err)
	}
}

func TestSameNamespaceComparesWithTheReaders(t *testing.T) {
	f := tree(t, map[string]string{"self/ns/mnt": "-> mnt:[1]", "5/ns/mnt": "-> mnt:[1]", "6/ns/mnt": "-> mnt:[2]"})
	for pid, want := range map[int]bool{5: true, 6: false} {
		if got, err := f.SameNamespace(pid, "mnt"); err != nil || got != want {
			t.Errorf("%d: %v, %v, want %v", pid, got, err, want)
		}
	}
}

// The rest of this file asks the kernel itself.

var proc = New("/proc")

// running starts a copy of sleep(1) and returns its pid and the copy's path.
func running(t *testing.T) (pid int, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sleeper")
	data, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the test's context has ended it
	return cmd.Process.Pid, path
}

// The trap text-file-busy: what runs is known by device and inode, wherever its path leads by now.
func TestExeOfABinaryThatWasReplacedMovedOrRemoved(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(path string) error
		moved   string
		deleted bool
	}{
		{"in its place", func(string) error { return nil }, "", false},
		{"replaced by a rename", func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("other"), 0o755), os.Rename(path+".new", path))
		}, "", true},
		{"removed", os.Remove, "", true},
		{"moved away", func(path string) error { return os.Rename(path, path+".old") }, ".old", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pid, path := running(t)
			id, err := Identify(path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := SHA256(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.change(path); err != nil {
				t.Fatal(err)
			}
			got, err := proc.Exe(pid)
			if err != nil || got != (Exe{FileID: id, Path: path + tt.moved, Deleted: tt.deleted}) {
				t.Errorf("%+v, %v, want %s%s of %+v, deleted: %v", got, err, path, tt.moved, id, tt.deleted)
			}
			if sum, err := SHA256(proc.Path(pid, "exe")); err != nil || sum != want {
				t.Errorf("hash of what runs: %s, %v, want %s", sum, err, want)
			}
			if pids, err := proc.Running(id); err != nil || !slices.Equal(pids, []int{pid}) {
				t.Errorf("running it: %v, %v, want %d", pids, err, pid)
			}
		})
	}
}

func TestRunningLeavesZombiesOut(t *testing.T) {
	pid, path := running(t)
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Nobody has waited for it: it stays as a zombie.
	for {
		s, err := proc.Stat(pid)
		if err != nil {
			t.Fatal(err)
		}
		if s.State == 'Z' {
			break
		}
	}
	if pids, err := proc.Running(id); err != nil || len(pids) > 0 {
		t.Errorf("running it: %v, %v, want none", pids, err)
	}
	if title, err := proc.Title(pid); err != nil || title != "" {
		t.Errorf("title %q, %v, want none", title, err)
	}
}

func TestMappingFindsWhoUsesADirectory(t *testing.T) {
	pid, path := running(t)
	dir := filepath.Dir(path)
	if pids, err := proc.Mapping(dir); err != nil || !slices.Equal(pids, []int{pid}) {
		t.Errorf("%v, %v, want %d", pids, err, pid)
	}
	if pids, err := proc.Mapping(dir + "/"); err != nil || !slices.Equal(pids, []int{pid}) {
		t.Errorf("with a slash: %v, %v, want %d", pids, err, pid)
	}
	if pids, err := proc.Mapping(dir[:len(dir)-1]); err != nil || len(pids) > 0 {
		t.Errorf("a part of the name: %v, %v, want none", pids, err)
	}
	// It still uses what was removed.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if pids, err := proc.Mapping(dir); err != nil || !slices.Equal(pids, []int{pid}) {
		t.Errorf("removed: %v, %v, want %d", pids, err, pid)
	}
}

func TestStatOfThisProcess(t *testing.T) {
	pid := os.Getpid()
	s, err := proc.Stat(pid)
	if err != nil || s.PPID != os.Getppid() || s.StartTime == 0 {
		t.Errorf("%+v, %v, want the parent %d", s, err, os.Getppid())
	}
	room := 0
	for _, text := range slices.Concat(os.Args, os.Environ()) {
		room += len(text) + 1
	}
	if s.TitleRoom < uint64(room)*9/10 || s.TitleRoom > uint64(room)+4096 {
		t.Errorf("room for a title: %d bytes, arguments and environment have %d", s.TitleRoom, room)
	}
	if pids, err := proc.PIDs(); err != nil || !slices.Contains(pids, pid) || !slices.IsSorted(pids) {
		t.Errorf("pids %v, %v, want this one among them, sorted", pids, err)
	}
}

func TestChildrenAreTheSameWithAndWithoutTheKernelsList(t *testing.T) {
	// A shell has one thread: the kernel lists children by thread.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "sleep 60 & sleep 60 & echo started; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	walked, err := proc.childrenByWalk(cmd.Process.Pid)
	if err != nil || len(walked) != 2 {
		t.Errorf("by a walk: %v, %v, want two", walked, err)
	}
	if listed, err := proc.Children(cmd.Process.Pid); err != nil || !slices.Equal(listed, walked) {
		t.Errorf("by the kernel's list: %v, %v, want %v", listed, err, walked)
	}
	for _, pid := range walked {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	_ = cmd.Wait() // the shell ends with its children
}
