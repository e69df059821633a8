package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// setUpLoopback brings lo up and lets any address be bound, whether an
// interface has it or not: a configuration that names the host's own addresses
// works unchanged.
func setUpLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	for _, ip := range []string{"ipv4", "ipv6"} {
		err := os.WriteFile("/proc/sys/net/"+ip+"/ip_nonlocal_bind", []byte("1\n"), 0)
		if errors.Is(err, fs.ErrNotExist) && ip == "ipv6" {
			continue // a kernel without IPv6
		}
		if err != nil {
			return fmt.Errorf("let any address be bound: %w", err)
		}
	}
	return nil
}

// unixSockets are the paths that processes of this host have bound. They are
// found through the file tree, not through the network namespace: in the
// sandbox the program would fail to bind them ("address already in use"), or,
// where the tree is not an overlay, talk to the host's daemons.
func unixSockets() ([]string, error) {
	text, err := os.ReadFile("/proc/self/net/unix")
	if err != nil {
		return nil, fmt.Errorf("list unix sockets: %w", err)
	}
	return parseUnixSockets(string(text)), nil
}

// parseUnixSockets reads /proc/net/unix: eight columns, the path last.
// Sockets that do not listen count, too: syslog's is a datagram socket.
func parseUnixSockets(text string) []string {
	var paths []string
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		// Unnamed sockets have no path; "@…" is private to the network namespace.
		_, path, ok := strings.Cut(strings.TrimRight(line, "\n"), " /")
		if path = "/" + path; ok && !seen[path] {
			seen[path] = true
			paths = append(paths, path)
		}
	}
	return paths
}

// removeSockets takes the host's sockets out of the sandbox's tree (a whiteout
// in the overlay's upper layer), except where the tree is the host's own.
func removeSockets(p plan) error {
	for _, path := range p.Sockets {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			continue // not in this tree: another root's, or under the empty /run
		}
		path = filepath.Join(dir, filepath.Base(path))
		if hostsOwn(path, p.Binds) {
			continue
		}
		st, err := os.Lstat(path)
		if err != nil || st.Mode().Type() != fs.ModeSocket {
			continue // gone, or replaced by something else since
		}
		if below(path, "/dev") { // read-only, and the host's: /dev/log of a syslog that listens there
			err = mountAt(os.DevNull, path, "", unix.MS_BIND, "")
		} else {
			err = os.Remove(path)
		}
		if errors.Is(err, fs.ErrPermission) {
			continue // another user's directory, which the program cannot bind in, either
		}
		if err != nil {
			return fmt.Errorf("hide the host's socket: %w", err)
		}
	}
	return nil
}

func hostsOwn(path string, binds []string) bool {
	for _, b := range append([]string{"/proc", "/sys"}, binds...) {
		if below(path, b) {
			return true
		}
	}
	return false
}
