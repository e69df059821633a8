package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Main returns at once in an ordinary execution. In the one that [Command]
// makes it sets the sandbox up, runs the program in it, and exits.
func Main() {
	if len(os.Args) < 2 || os.Args[1] != initArg {
		return
	}
	if len(os.Args) == 2 {
		os.Exit(0) // the trial of userNamespaces: being here is the answer
	}
	var code int
	var err error
	offLeader(func() { code, err = pid1(os.Args[2:]) })
	if err != nil {
		fmt.Fprintf(os.Stderr, "sandbox: %v\n", err)
		os.Exit(ExitSetup)
	}
	os.Exit(code)
}

// Inside tells whether this process runs in a sandbox: there pid 1 is the
// second execution of a program that called [Command].
func Inside() bool {
	argv, err := os.ReadFile("/proc/1/cmdline")
	if err != nil {
		return false
	}
	fields := bytes.SplitN(argv, []byte{0}, 3)
	return len(fields) == 3 && string(fields[1]) == initArg
}

// offLeader runs fn on a thread that is not the process's first, which is the
// one that stands for the process in /proc: fn may leave its namespaces.
func offLeader(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good
		if unix.Gettid() == unix.Getpid() {
			offLeader(fn) // while this goroutine holds the first thread
			return
		}
		fn()
	}()
	<-done
}

// pid1 makes the sandbox out of the namespaces it was born in, runs the program
// and returns its exit code.
func pid1(args []string) (int, error) {
	text, argv, err := unpack(args)
	if err != nil {
		return 0, err
	}
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return 0, fmt.Errorf("read the plan: %w", err)
	}
	if len(argv) == 0 {
		return 0, fmt.Errorf("no program to run")
	}
	cwd, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	if err := buildRoot(p); err != nil {
		return 0, err
	}
	if err := os.Chdir(cwd); err != nil {
		return 0, fmt.Errorf("enter the working directory (is it under the sandbox's own /run?): %w", err)
	}
	switch {
	case p.Outside:
		if err := setUpOutside(p.Addresses); err != nil {
			return 0, err
		}
	case !p.HostNetwork:
		if err := setUpLoopback(); err != nil {
			return 0, err
		}
	}
	if err := removeSockets(p); err != nil {
		return 0, err
	}
	if err := appendHosts(p.Hosts); err != nil {
		return 0, err
	}
	if p.UserNS && !p.HostNetwork {
		if err := allowLowPorts(); err != nil {
			return 0, err
		}
	}
	if err := protectKernel(); err != nil {
		return 0, err
	}
	var sys *syscall.SysProcAttr
	if p.SameUser {
		if sys, err = callersUser(); err != nil {
			return 0, err
		}
	}
	return run(argv, sys)
}

// run starts argv and reaps whatever is orphaned in this pid namespace until
// the program itself is gone.
func run(argv []string, sys *syscall.SysProcAttr) (int, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals)
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Env: os.Environ(),
		// Descriptors above 2 that were handed to us are not close-on-exec, so
		// they pass through under their own numbers.
		Files: []uintptr{0, 1, 2},
		Sys:   sys,
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", path, err)
	}
	go func() {
		for s := range signals {
			switch s {
			case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE:
				// Ours: children, and the Go runtime's own traffic.
			default:
				_ = syscall.Kill(pid, s.(syscall.Signal)) // it may have ended
			}
		}
	}()
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, fmt.Errorf("wait for %s: %w", path, err)
		case got == pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case got == pid:
			return status.ExitStatus(), nil
		}
	}
}
