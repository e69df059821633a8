package nginxtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is a [Root] that runs: systemd is its pid 1, its network is a
// loopback of its own.
type Machine struct {
	Root    Root
	leader  int // its pid 1, as seen from here
	nspawn  *exec.Cmd
	ended   chan struct{} // closed when nspawn has been waited for
	console string
	groups  []string // its cgroups, one in each hierarchy
}

// bootPatience is how long a machine may take to start all of its services.
const bootPatience = 90 * time.Second

// Boot starts the root's systemd and returns when all that it starts has
// started, or has failed. The test's end cuts the machine's power, as
// [Machine.Cut] does; the same root can be booted again after that.
func Boot(t testing.TB, root Root) *Machine {
	t.Helper()
	m := &Machine{Root: root, ended: make(chan struct{})}
	if err := m.boot(t.TempDir()); err != nil {
		said, _ := os.ReadFile(m.console)
		t.Fatalf("nginxtest: boot %s: %v\n%s", root.Dir, err, said)
	}
	t.Cleanup(func() { m.Cut(t) })
	return m
}

func (m *Machine) boot(dir string) error {
	name := "graft-" + strings.ToLower(rand.Text()[:12]) // cgroups are the whole host's
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@" + name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer ready.Close()
	if m.groups, err = makeGroups(name); err != nil {
		return err
	}
	m.console = filepath.Join(dir, "console")
	console, err := os.Create(m.console)
	if err != nil {
		return err
	}
	defer console.Close()
	// In cgroups of its own: a second machine's systemd would take those of the
	// first for its own services'.
	script := `for group; do [ "$group" != -- ] || break; echo $$ >"$group/cgroup.procs"; shift; done; shift; exec "$@"`
	args := append([]string{"-ec", script, "sh"}, m.groups...)
	args = append(args, "--", "systemd-nspawn", "--quiet", "--settings=no", "--register=no", "--keep-unit",
		"--machine="+name, "--directory="+m.Root.Dir, "--private-network", "--resolv-conf=off", "--timezone=off",
		"--link-journal=no", "--notify-ready=yes", "--console=pipe", "--boot")
	m.nspawn = exec.Command("sh", args...)
	// cgroups of version 2 inside, whatever this machine has.
	m.nspawn.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "NOTIFY_SOCKET=@"+name)
	m.nspawn.Stdout, m.nspawn.Stderr = console, console
	if err := m.nspawn.Start(); err != nil {
		return errors.Join(err, m.removeGroups())
	}
	go func() {
		_ = m.nspawn.Wait() // an error, as it is ended by force
		close(m.ended)
		ready.Close()
	}()
	if err := m.awaitReady(ready); err != nil {
		return errors.Join(err, m.end())
	}
	return nil
}

// awaitReady reads what nspawn tells (sd_notify(3)): its child's pid, and that
// systemd in there has started everything.
func (m *Machine) awaitReady(from *net.UnixConn) error {
	if err := from.SetReadDeadline(time.Now().Add(bootPatience)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return errors.New("systemd-nspawn has ended")
		}
		if err != nil {
			return fmt.Errorf("wait for systemd to have started: %w", err)
		}
		ready := false
		for line := range strings.Lines(string(buf[:n])) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "X_NSPAWN_LEADER_PID":
				if m.leader, err = strconv.Atoi(value); err != nil {
					return fmt.Errorf("systemd-nspawn tells an odd pid %q", value)
				}
			case "READY":
				ready = value == "1"
			}
		}
		if ready && m.leader != 0 {
			return nil
		}
	}
}

// Command is a program that runs in the machine, as root, as a child of the
// test: no service and no session of the machine's.
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(m.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(append(enter, name), args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

// Run runs a program in the machine and returns what it printed. It fails the
// test if the program fails.
func (m *Machine) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := m.Command(t.Context(), name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("in the machine: %s %s: %v\n%s%s", name, strings.Join(args, " "), err, stderr.String(), stdout.String())
	}
	return stdout.String()
}

// Cut ends the machine at once, as a power cut does: nothing in it is asked to
// end. What it wrote is in its root. A second cut does nothing.
func (m *Machine) Cut(t testing.TB) {
	t.Helper()
	if err := m.end(); err != nil {
		t.Errorf("nginxtest: cut the power of %s: %v", m.Root.Dir, err)
	}
}

func (m *Machine) end() error {
	select {
	case <-m.ended:
	default:
		// With its pid 1 the kernel ends all that runs in the machine.
		victim := m.leader
		if victim == 0 {
			victim = m.nspawn.Process.Pid
		}
		if err := unix.Kill(victim, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill pid %d: %w", victim, err)
		}
		select {
		case <-m.ended:
		case <-time.After(deadline):
			_ = m.nspawn.Process.Kill()
			<-m.ended
		}
	}
	return m.removeGroups()
}

// makeGroups makes a cgroup of that name in each hierarchy that systemd-nspawn
// uses here.
func makeGroups(name string) ([]string, error) {
	const top = "/sys/fs/cgroup"
	hierarchies := []string{top}
	if !isFS(top, unix.CGROUP2_SUPER_MAGIC) {
		// "Hybrid": processes are in systemd's own hierarchy of version 1, too.
		hierarchies = []string{filepath.Join(top, "systemd"), filepath.Join(top, "unified")}
		if !isFS(hierarchies[1], unix.CGROUP2_SUPER_MAGIC) {
			return nil, fmt.Errorf("neither %s nor %s is a cgroup2 file system, which systemd needs", top, hierarchies[1])
		}
		if !isFS(hierarchies[0], unix.CGROUP_SUPER_MAGIC) {
			hierarchies = hierarchies[1:]
		}
	}
	var groups []string
	for _, h := range hierarchies {
		// The sandbox shows /sys read-only.
		if err := unix.Mount("", h, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return nil, fmt.Errorf("make %s writable: %w", h, err)
		}
		group := filepath.Join(h, name)
		if err := os.Mkdir(group, 0o755); err != nil {
			return nil, err
		}
		groups = append(groups, group)
	}
	return groups, nil
}

func isFS(path string, magic int64) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && int64(st.Type) == magic
}

// removeGroups removes what makeGroups made and what systemd made in there.
func (m *Machine) removeGroups() error {
	groups := m.groups
	m.groups = nil
	var failed error
	for _, group := range groups {
		var all []string
		err := filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, dir := range slices.Backward(all) {
			failed = errors.Join(failed, removeGroup(dir))
		}
	}
	return failed
}

// removeGroup waits for the last of the group's processes to be gone: a killed
// one is in it until it is reaped.
func removeGroup(dir string) error {
	for end := time.Now().Add(deadline); ; time.Sleep(5 * time.Millisecond) {
		err := os.Remove(dir)
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}
