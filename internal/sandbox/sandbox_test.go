package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sh runs a shell script in a sandbox and returns what it printed.
func sh(t *testing.T, opts Options, script string) string {
	t.Helper()
	out, err := trySh(t, opts, script)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func trySh(t *testing.T, opts Options, script string) (string, error) {
	t.Helper()
	cmd, err := Command(t.Context(), opts, "sh", "-ec", script)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestChangesStayInside(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, "host")
	t.Chdir(dir)

	mountsBefore := read(t, "/proc/self/mountinfo")
	before := snapshot(t, dir, "/etc", "/run", "/dev", "/usr/local/bin")
	got := sh(t, Options{}, `
		echo sandbox > file; mv file moved; touch new
		echo sandbox >> /etc/passwd; rm /etc/hostname; mkdir /etc/graft-test
		touch /run/graft-test /dev/shm/graft-test /usr/local/bin/graft-test
		! touch /dev/graft-test 2>/dev/null
		! sh -c 'echo 0 > /proc/sys/kernel/panic' 2>/dev/null
		! mkdir /sys/fs/cgroup/graft-test 2>/dev/null
		cat moved; ls /run; tail -n1 /etc/passwd`)
	if want := "sandbox\ngraft-test\nsandbox"; got != want {
		t.Errorf("inside: %q, want %q", got, want)
	}
	if diff := cmp.Diff(before, snapshot(t, dir, "/etc", "/run", "/dev", "/usr/local/bin")); diff != "" {
		t.Errorf("the host's files changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(mountsBefore, read(t, "/proc/self/mountinfo")); diff != "" {
		t.Errorf("the host's mounts changed (-before +after):\n%s", diff)
	}
}

func TestFilesystemsMountedBelowAreClonedToo(t *testing.T) {
	// The outer sandbox is the host here: it may be given odd mounts.
	got := sh(t, Options{}, fmt.Sprintf(`
		mkdir -p '/mnt/a:b,c d' /mnt/hidden/below
		mount -t tmpfs none '/mnt/a:b,c d'
		echo outer > '/mnt/a:b,c d/file'
		echo other > /mnt/hosts; mount --bind /mnt/hosts /etc/hosts
		mount -t tmpfs none /mnt/hidden/below; mount -t tmpfs none /mnt/hidden
		%s sh -ec '
			cat "/mnt/a:b,c d/file"; echo inner > "/mnt/a:b,c d/file"; cat "/mnt/a:b,c d/file"
			echo inner > /etc/hosts; cat /etc/hosts
			touch /mnt/hidden/new'
		cat '/mnt/a:b,c d/file' /etc/hosts; ls -A /mnt/hidden`, nested(t, Options{})))
	if want := "outer\ninner\ninner\nouter\nother"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBindsReachTheHost(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	sh(t, Options{Binds: []string{link}}, "echo kept > "+filepath.Join(link, "file"))
	if got := read(t, filepath.Join(dir, "file")); got != "kept\n" {
		t.Errorf("file after the sandbox: %q", got)
	}
	for _, bad := range []string{"relative", filepath.Join(dir, "missing")} {
		if _, err := Command(t.Context(), Options{Binds: []string{bad}}, "true"); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("bind of %q: error %v does not name it", bad, err)
		}
	}
}

func TestRunIsEmptyOrACopy(t *testing.T) {
	if got := sh(t, Options{}, "ls -A /run"); got != "" {
		t.Errorf("/run holds %q", got)
	}
	// A sandbox in a sandbox, so that the outer /run can be written to.
	got := sh(t, Options{}, fmt.Sprintf(`echo outer > /run/file
		%s sh -ec 'cat /run/file; echo inner > /run/file'
		cat /run/file`, nested(t, Options{KeepRun: true})))
	if want := "outer\nouter"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyItsOwnProcessesAreSeen(t *testing.T) {
	got := sh(t, Options{}, `echo $$ $(ls /proc | grep -c '^[0-9]')`)
	pid, n, _ := strings.Cut(got, " ")
	if pid == "1" || len(pid) > 2 || len(n) > 1 {
		t.Errorf("pid and number of processes: %q", got)
	}
}

func TestInsideIsKnown(t *testing.T) {
	if got := sh(t, Options{}, child(t, insideArg)); got != "true" {
		t.Errorf("inside: %q", got)
	}
}

func TestLoopbackOnly(t *testing.T) {
	host, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	port := host.Addr().(*net.TCPAddr).Port
	// The host's port is free inside, and so is an address no interface has.
	got := sh(t, Options{}, fmt.Sprintf("%s 127.0.0.1:%d 203.0.113.7:80 [::1]:443 [2001:db8::7]:80",
		child(t, listenArg+" tcp"), port))
	want := fmt.Sprintf("127.0.0.1:%d\n203.0.113.7:80\n[::1]:443\n[2001:db8::7]:80", port)
	if got != want {
		t.Errorf("listening: %q, want %q", got, want)
	}
	if got := sh(t, Options{}, "tail -n +3 /proc/net/dev | cut -d: -f1"); strings.TrimSpace(got) != "lo" {
		t.Errorf("interfaces: %q", got)
	}
	if got := sh(t, Options{HostNetwork: true}, child(t, dialArg)+" tcp "+host.Addr().String()); got != "connected" {
		t.Errorf("with the host's network: %q", got)
	}
}

func TestUnixSocketsOfTheHostAreOutOfTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	host, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for _, opts := range []Options{{}, {HostNetwork: true}} {
		got := sh(t, opts, child(t, dialArg)+" unix "+path+" || true; "+child(t, listenArg)+" unix "+path)
		if !strings.HasSuffix(got, "no such file or directory\n"+path) {
			t.Errorf("%+v: %q", opts, got)
		}
	}
	// Where the tree is the host's own, so are its sockets.
	got := sh(t, Options{Binds: []string{filepath.Dir(path)}}, child(t, dialArg)+" unix "+path)
	if got != "connected" {
		t.Errorf("through a bind: %q", got)
	}
}

func TestHostsLines(t *testing.T) {
	got := sh(t, Options{Hosts: []string{"127.0.0.1 upstream.example"}}, "tail -n1 /etc/hosts")
	if got != "127.0.0.1 upstream.example" {
		t.Errorf("last line: %q", got)
	}
	if _, err := Command(t.Context(), Options{Hosts: []string{"a\nb"}}, "true"); err == nil {
		t.Error("a line break was accepted")
	}
}

func TestExitCodeIsTheProgramsOwn(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137} {
		_, err := trySh(t, Options{}, script)
		if got := exitCode(t, err); got != want {
			t.Errorf("%q: exit code %d, want %d", script, got, want)
		}
	}
}

func TestSetupFailureIsToldApart(t *testing.T) {
	cmd, err := Command(t.Context(), Options{}, "no-such-program")
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if got := exitCode(t, err); got != ExitSetup || !strings.Contains(string(out), "no-such-program") {
		t.Errorf("exit code %d, output %q", got, out)
	}
}

func TestFailedMountIsNamed(t *testing.T) {
	// Overlays stack two deep: the third sandbox in one another cannot be had.
	out, err := trySh(t, Options{}, nested(t, Options{})+" "+nested(t, Options{})+" true")
	if got := exitCode(t, err); got != ExitSetup || !strings.Contains(out, "mount overlay on /") {
		t.Errorf("exit code %d, output %q", got, out)
	}
}

func TestSignalsArePassedOn(t *testing.T) {
	cmd, err := Command(t.Context(), Options{}, "sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done")
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := exitCode(t, cmd.Wait()); got != 42 {
		t.Errorf("exit code %d, want the trap's 42", got)
	}
}

func TestOrphansAreReapedAndEndWithTheSandbox(t *testing.T) {
	// The orphan prints its pid and is collected by pid 1: no zombie is left.
	got := sh(t, Options{}, `
		orphan=$(sh -c 'true & echo $!')
		while [ -e /proc/$orphan ]; do sleep 0.01; done
		echo reaped`)
	if got != "reaped" {
		t.Errorf("got %q", got)
	}

	// What is left when the program ends is killed: its pipe closes.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd, err := Command(t.Context(), Options{}, "sh", "-c", "setsid sleep 1000 & exit 0")
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	expectEOF(t, r)
}

func TestCancelEndsEverything(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cmd, err := Command(ctx, Options{}, "sh", "-c", "setsid sleep 1000 & echo ready; wait")
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{w}
	start(t, cmd)
	w.Close()
	cancel()
	_ = cmd.Wait()
	expectEOF(t, r)
}

func TestWithoutRootAUserNamespaceServes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("every other test shows it when not run as root")
	}
	const nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups "
	if out, err := exec.Command("sh", "-c", nobody+"unshare --user true").CombinedOutput(); err != nil {
		t.Skipf("this kernel, container or chroot allows no user namespaces: %s", out)
	}
	before := snapshot(t, "/etc")
	// In a mount namespace, so that the host may be given odd mounts. Below /mnt
	// there is one, so no overlay can cover it, only its parts.
	out, err := exec.Command("unshare", "--mount", "sh", "-ec", `
		mount -t tmpfs -o nosuid,nodev none /mnt
		mkdir -m 1777 /mnt/dir /mnt/mount; mount -t tmpfs none /mnt/mount; mkdir -m 700 /mnt/secret
		echo outer > /mnt/file; echo outer > /mnt/dir/file; ln -s dir /mnt/link; chown -R 65534:65534 /mnt/file /mnt/dir
		cd /; `+nobody+asNobody(t)+" "+nestedArg+` '{}' sh -ec '
			id -u; touch /etc/graft-test /run/graft-test; ls /etc/graft-test; ls /run; head -c5 /etc/passwd
			echo inner > /mnt/link/file; cat /mnt/dir/file; stat -c %a /mnt/dir; cat /mnt/file
			! sh -c "echo inner > /mnt/file" 2>/dev/null'
		cat /mnt/file /mnt/dir/file; ls -A /run/graft-test /etc/graft-test 2>/dev/null || echo clean`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "0\n/etc/graft-test\ngraft-test\nroot:inner\n1777\nouter\nouter\nouter\nclean\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, snapshot(t, "/etc")); diff != "" {
		t.Errorf("the host's files changed (-before +after):\n%s", diff)
	}
}

func TestWithNeitherRootNorUserNamespacesItSaysSo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else in a chroot")
	}
	// The kernel refuses user namespaces in a chroot.
	out, err := trySh(t, Options{}, fmt.Sprintf("mkdir /mnt/root; mount --rbind / /mnt/root; cd /; chroot /mnt/root setpriv --reuid 65534 --regid 65534 --clear-groups %s %s '{}' true",
		asNobody(t), nestedArg))
	if err == nil || !strings.Contains(out, "neither root") {
		t.Errorf("error %v, output %q", err, out)
	}
}

func TestWorksInAPlainChroot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("chroot needs root")
	}
	// The chroot is a directory inside a shared mount: the mount that holds it
	// cannot be named from within, and what is mounted in it would spread.
	got := sh(t, Options{}, fmt.Sprintf(`
		mkdir /mnt/host; mount -t tmpfs none /mnt/host; mount --make-shared /mnt/host
		mkdir /mnt/peer; mount --bind /mnt/host /mnt/peer
		root=/mnt/host/root; mkdir $root; cd $root
		for d in /usr /bin /sbin /lib /lib64 /etc; do
			if [ -L $d ]; then cp -P $d .$d; elif [ -d $d ]; then mkdir .$d; mount --make-private --bind $d .$d; fi
		done
		mkdir proc dev sys run tmp; mount -t proc none proc; mount --rbind /dev dev
		cp %[1]s tmp/exe; echo outer > file
		before=$(cat /proc/self/mountinfo)
		chroot $root /tmp/exe %[2]s '{}' sh -ec 'cat /file; echo inner > /file; cat /file; touch /etc/x /run/x'
		[ "$before" = "$(cat /proc/self/mountinfo)" ] && cat file && ls run`, exePath(t), nestedArg))
	if want := "outer\ninner\nouter"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseMountinfo(t *testing.T) {
	got, err := parseMountinfo(`22 27 0:21 / /proc rw,nosuid,noexec shared:5 - proc proc rw
30 27 0:9 / /a\040b\134c ro,nodev - tmpfs none rw
31 30 0:10 / /proc rw - tmpfs none rw
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []mount{
		{point: "/proc", fstype: "tmpfs"},
		{point: `/a b\c`, flags: syscall.MS_RDONLY | syscall.MS_NODEV, fstype: "tmpfs"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mount{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"1 2 3", "22 27 0:21 / /proc rw shared:5"} {
		if _, err := parseMountinfo(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

// start starts cmd and waits until it prints a line.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := out.Read(line); err != nil || !bytes.HasPrefix(line, []byte("ready")) {
		t.Fatalf("first output %q: %v", line, err)
	}
}

func expectEOF(t *testing.T, r *os.File) {
	t.Helper()
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
		t.Errorf("a process outlived its sandbox: read %d bytes, %v", n, err)
	}
}

// snapshot describes all files below dirs: type, mode, size, time, inode.
func snapshot(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if path == "/dev/pts" {
				return fs.SkipDir // other people's terminals come and go
			}
			st, err := os.Lstat(path)
			if err != nil {
				return err
			}
			inode := st.Sys().(*syscall.Stat_t).Ino
			if st.Mode()&fs.ModeDevice != 0 {
				files[path] = fmt.Sprint(st.Mode(), inode) // their time is that of their last use
			} else {
				files[path] = fmt.Sprint(st.Mode(), st.Size(), st.ModTime().UnixNano(), inode)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A syslog without systemd listens in /dev, which the sandbox shares with the host.
func TestTheHostsSocketsInDevAreOutOfReach(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to lay out a /dev")
	}
	got := sh(t, Options{}, fmt.Sprintf(`
		mkdir /mnt/dev; mount -t tmpfs none /mnt/dev
		cp -a /dev/null /dev/zero /dev/urandom /mnt/dev; mkdir /mnt/dev/shm; mount --bind /mnt/dev /dev
		%s /dev/log sh -ec '
			%s unix /dev/log
			! %s {} %[2]s unix /dev/log'`, child(t, holdArg), child(t, dialArg), child(t, nestedArg)))
	if lines := strings.Split(got, "\n"); len(lines) != 2 || lines[0] != "connected" || !strings.Contains(lines[1], "refused") {
		t.Errorf("%q: the socket is to answer outside of the sandbox alone", got)
	}
}

func TestRoomBoundsWhatIsWritten(t *testing.T) {
	out, err := trySh(t, Options{Room: 8 << 20}, "cat /etc/passwd > /etc/graft-test; head -c 9000000 /dev/zero > /etc/graft-test")
	if err == nil || !strings.Contains(out, "No space left") {
		t.Errorf("error %v, output %q", err, out)
	}
}

// A host may have thousands of sockets and names: more than one argument can hold.
func TestThePlanMayBeLong(t *testing.T) {
	var hosts []string
	for i := range 9000 {
		hosts = append(hosts, fmt.Sprintf("10.0.%d.%d host-%d.example", i/256, i%256, i))
	}
	if got := sh(t, Options{Hosts: hosts}, "tail -n1 /etc/hosts; echo $1"); got != hosts[len(hosts)-1] {
		t.Errorf("got %q", got)
	}
}
