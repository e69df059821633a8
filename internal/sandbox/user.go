package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// AsCaller has cmd, started inside a sandbox, run as the user who called
// [Command]. In a user namespace this program is root, and an nginx of an
// ordinary user would take itself for root's and try to give its workers
// another user. So cmd gets one more user namespace, which names the user as
// outside. Where the sandbox is root's, nothing changes.
//
// What runs in it has none of root's powers, here or over the sandbox.
func AsCaller(cmd *exec.Cmd) error {
	user, err := callersUser()
	if err != nil || user == nil {
		return err
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Cloneflags |= user.Cloneflags
	cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = user.UidMappings, user.GidMappings
	return nil
}

// callersUser is how a child becomes the caller's user again; nil if this
// process is that user.
func callersUser() (*syscall.SysProcAttr, error) {
	uid, err := mappedRoot("uid")
	if err != nil {
		return nil, err
	}
	gid, err := mappedRoot("gid")
	if err != nil {
		return nil, err
	}
	if uid == 0 && gid == 0 {
		return nil, nil
	}
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: 0, Size: 1}},
	}, nil
}

// mappedRoot is the id that this namespace's root has outside of it
// (user_namespaces(7)): 0 in root's own sandbox.
func mappedRoot(kind string) (int, error) {
	path := "/proc/self/" + kind + "_map"
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read which user this is outside: %w", err)
	}
	var in, out, size int
	if _, err := fmt.Sscan(string(text), &in, &out, &size); err != nil || in != 0 {
		return 0, fmt.Errorf("read which user this is outside: %s does not begin with root: %q", path, text)
	}
	return out, nil
}

// allowLowPorts lets any user bind ports below 1024. The caller's user has
// that power on the host by a file capability, by systemd or by this very
// sysctl; the first two count for nothing in a user namespace.
func allowLowPorts() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0\n"), 0); err != nil {
		return fmt.Errorf("let the caller's user bind low ports: %w", err)
	}
	return nil
}
