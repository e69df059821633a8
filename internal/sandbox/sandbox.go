// Package sandbox runs a program on a copy-on-write view of this host, in
// namespaces of its own.
//
// The program sees the host's files at their own paths and may change all of
// them: the changes go to a tmpfs that vanishes with it. It has its own
// process ids (its children cannot outlive it), its own empty /run, and a
// network in which only loopback exists, so it can bind any port, address and
// unix socket path without meeting the host's.
//
// That network may have an outside (Options.Outside), where the same program
// plays the rest of the world:
//
//	      inside                            outside
//	the program, nginx                stubs and clients
//	loopback, the host's   --cable--  every other address is local:
//	addresses                         bind any, listen on all
//
// Pid 1 lives outside, and all else is started inside.
//
// A Go program cannot enter namespaces once it runs, because its threads
// already exist. So the calling program is executed a second time inside the
// new namespaces; [Main] recognises that and takes over:
//
//	func main() {
//		sandbox.Main() // first, before flags are parsed or files opened
//		…
//	}
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ExitSetup is the exit code of a sandbox that could not be set up; what
// failed, and why, is on its standard error. The program was not started.
const ExitSetup = 125

// initArg marks the second execution of this program: what follows is the
// plan (JSON) and the program's own argv.
const initArg = "graft-sandbox-init"

// Options says what of the host stays reachable. The zero value is the
// strictest sandbox.
type Options struct {
	// HostNetwork keeps the host's network. Otherwise there is only loopback,
	// and any address can be bound.
	HostNetwork bool

	// KeepRun shows the host's /run, copy-on-write, instead of an empty one.
	KeepRun bool

	// Binds are absolute paths of files or directories that stay the host's
	// own: what is written there survives the sandbox.
	Binds []string

	// Hosts are lines appended to the sandbox's /etc/hosts.
	Hosts []string

	// Outside gives the sandbox a world of its own to talk to: a second network
	// namespace in which every address is local, except this host's. Inside, the
	// host's own addresses are local, and all else leads outside. The program
	// reaches it through [Outside].
	Outside bool

	// Local are further addresses that are local inside if there is an Outside:
	// those that nginx listens on although this host does not have them now.
	Local []netip.Addr

	// Room bounds, in bytes, what may be written to the sandbox's files: they lie in
	// memory. 0 leaves it at the kernel's half of all memory.
	Room int64

	// SameUser runs the program as the caller's user, also in a user namespace,
	// where the program is root otherwise. It then has no power over the
	// sandbox's network, so it cannot use [Outside]; a program that needs both
	// gives the power up for its own children only, with [AsCaller].
	SameUser bool
}

// plan is what the first execution tells the second.
type plan struct {
	Options
	UserNS  bool     // in a user namespace: its root owns no mount of the host
	Sockets []string // unix sockets that processes of the host have bound

	Addresses []netip.Addr // the host's own, for Outside
}

// Command returns a command that runs argv0 with args in a sandbox made as
// opts says. argv0 is looked up inside, by the rules of [exec.LookPath]; the
// working directory and the environment are the command's own. ExtraFiles are
// inherited. When the command's process, pid 1 of the sandbox, ends or is
// killed, everything inside ends; it ends with the calling process, too.
//
// The exit code is the program's own, 128 + n if signal n ended it, and
// [ExitSetup] if the sandbox could not be made. Signals sent to the command are
// passed on to the program.
//
// It needs CAP_SYS_ADMIN, or else user namespaces. In one of those the caller's
// user is root and no other user exists: files of others can be read as far as
// the caller could, but not changed. With neither, Command fails.
func Command(ctx context.Context, opts Options, argv0 string, args ...string) (*exec.Cmd, error) {
	p := plan{Options: opts}
	for i, b := range opts.Binds {
		if !filepath.IsAbs(b) {
			return nil, fmt.Errorf("sandbox: bind %q: not an absolute path", b)
		}
		real, err := filepath.EvalSymlinks(b)
		if err != nil {
			return nil, fmt.Errorf("sandbox: bind: %w", err)
		}
		if i == 0 {
			p.Binds = nil // the caller's slice is not ours to write to
		}
		p.Binds = append(p.Binds, real)
	}
	for _, line := range opts.Hosts {
		if strings.Contains(line, "\n") {
			return nil, fmt.Errorf("sandbox: hosts line %q: holds a line break", line)
		}
	}
	if opts.Outside {
		if opts.HostNetwork {
			return nil, errors.New("sandbox: a network outside needs a network of its own inside (Outside and HostNetwork exclude each other)")
		}
		addresses, err := HostAddresses()
		if err != nil {
			return nil, fmt.Errorf("sandbox: %w", err)
		}
		p.Addresses = addresses
		for _, a := range opts.Local {
			if !a.IsLoopback() && !a.IsUnspecified() && !slices.Contains(p.Addresses, a.Unmap()) {
				p.Addresses = append(p.Addresses, a.Unmap())
			}
		}
	}
	flags := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS)
	if !opts.HostNetwork {
		flags |= unix.CLONE_NEWNET
	}
	sockets, err := unixSockets()
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	p.Sockets = sockets
	privileged, err := canMount()
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	p.UserNS = !privileged
	if p.UserNS {
		if err := userNamespaces(ctx); err != nil {
			return nil, fmt.Errorf("sandbox: neither root (CAP_SYS_ADMIN) nor user namespaces can be had here; "+
				"run as root, or see the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone "+
				"and kernel.apparmor_restrict_unprivileged_userns: %w", err)
		}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return reexec(ctx, flags, p.UserNS, slices.Concat(pack(string(text)), []string{argv0}, args)...), nil
}

// maxArg is less than what the kernel takes as one argument (MAX_ARG_STRLEN, 128 KiB): a host has
// thousands of sockets, or upstreams with names.
const maxArg = 64 << 10

// pack spreads the plan over as many arguments as it takes, behind their number.
func pack(text string) []string {
	var parts []string
	for len(text) > maxArg {
		parts, text = append(parts, text[:maxArg]), text[maxArg:]
	}
	parts = append(parts, text)
	return append([]string{strconv.Itoa(len(parts))}, parts...)
}

// unpack is the reverse, and what follows.
func unpack(args []string) (text string, argv []string, err error) {
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 || n+1 > len(args) {
		return "", nil, fmt.Errorf("read the plan: %q of %d arguments", args[0], len(args)-1)
	}
	return strings.Join(args[1:n+1], ""), args[n+1:], nil
}

// reexec is this program's second execution, in new namespaces.
func reexec(ctx context.Context, flags uintptr, userNS bool, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{initArg}, args...)...)
	cmd.Args[0] = os.Args[0]
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: flags,
		// Without it a killed caller would leave pid 1, and all inside, behind.
		Pdeathsig: syscall.SIGKILL,
	}
	if userNS {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd
}

// userNamespaces tries one: the kernel, a container's seccomp filter, AppArmor
// and a chroot each forbid them in their own way, and only a trial tells.
func userNamespaces(ctx context.Context) error {
	cmd := reexec(ctx, 0, true)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("a trial user namespace: %w", err)
	}
	return nil
}

// canMount tells whether this process may make the namespaces itself.
func canMount() (bool, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, fmt.Errorf("read own capabilities (is /proc mounted?): %w", err)
	}
	for line := range strings.Lines(string(status)) {
		value, ok := strings.CutPrefix(line, "CapEff:")
		if !ok {
			continue
		}
		var caps uint64
		if _, err := fmt.Sscanf(strings.TrimSpace(value), "%x", &caps); err != nil {
			return false, fmt.Errorf("read own capabilities: %q: %w", strings.TrimSpace(line), err)
		}
		const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SYS_CHROOT
		return caps&need == need, nil
	}
	return false, errors.New("read own capabilities: no CapEff in /proc/self/status")
}
