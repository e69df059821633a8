// Package nginxtest runs real nginx for the tests of any package.
//
// Nothing of the machine is touched or seen: [Main] runs the whole test program
// in a sandbox with its own files (copy-on-write), processes and network
// (loopback only), so packages test in parallel on the same ports and paths.
//
//	func TestMain(m *testing.M) { nginxtest.Main(m) }
//
//	func TestReload(t *testing.T) {
//		inst := nginxtest.Start(t, nginxtest.Options{Binary: nginxtest.Release(t, "1.18.0")})
//		inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
//		…
//	}
//
// The binaries are the distribution's own package ([Debian]) and older and
// newer releases compiled from its sources ([Release], [Build]). They are
// cached below the user's cache directory, in graft/nginx, and are fetched
// before the sandbox is entered, because no network leads out of it.
package nginxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"graft/internal/sandbox"
)

// Runner is what a TestMain is given: *testing.M, or something that wraps it.
type Runner interface{ Run() int }

// Main is the whole of a TestMain. It calls the prepare functions outside the
// sandbox, where the network is, each time the test program starts: they fill
// caches. Then it runs m's tests inside and exits.
//
// Below the temporary directory, the package's source directory, the caches of
// graft and of the go command and the files that `go test` asked for, what is
// written stays. All other changes vanish.
func Main(m Runner, prepare ...func(context.Context) error) {
	sandbox.Main()
	os.Exit(Inside(m, prepare...).Run())
}

// Inside returns a Runner that runs m as [Main] does, for a TestMain that
// must wrap it once more. Such a TestMain begins with sandbox.Main().
func Inside(m Runner, prepare ...func(context.Context) error) Runner {
	return sandboxed{m, prepare}
}

type sandboxed struct {
	tests   Runner
	prepare []func(context.Context) error
}

func (s sandboxed) Run() int {
	if sandbox.Inside() {
		if err := furnish(); err != nil {
			fmt.Fprintf(os.Stderr, "nginxtest: %v\n", err)
			return 1
		}
		return s.tests.Run()
	}
	code, err := s.enter(context.Background())
	if err != nil {
		fmt.Fprintf(os.Stderr, "nginxtest: %v\n", err)
		return 1
	}
	return code
}

// furnish makes the directories that every nginx here has compiled in: without
// the log directory each start complains.
func furnish() error {
	return errors.Join(os.MkdirAll("/var/log/nginx", 0o755), os.MkdirAll("/var/lib/nginx", 0o755))
}

// enter runs this test program once more, inside.
func (s sandboxed) enter(ctx context.Context) (int, error) {
	for _, f := range append([]func(context.Context) error{fetchAll}, s.prepare...) {
		if err := f(ctx); err != nil {
			return 0, fmt.Errorf("prepare: %w", err)
		}
	}
	binds, err := kept(os.Args[1:])
	if err != nil {
		return 0, err
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd, err := sandbox.Command(ctx, sandbox.Options{Binds: binds}, exe, os.Args[1:]...)
	if err != nil {
		return 0, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// `go test` asks a test program that takes too long for its stacks (QUIT).
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the sandbox: %w", err)
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended
		}
	}()
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// kept lists what the sandbox leaves the host's own, so that it outlives the
// tests. args are the test program's flags.
func kept(args []string) ([]string, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	candidates := []string{os.TempDir(), cwd, cache, os.Getenv("GOCOVERDIR"), os.Getenv("GOCACHE")}
	if user, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(user, "go-build"))
	}
	outputs := cwd
	var files []string
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		switch strings.TrimPrefix(name, "test.") {
		case "outputdir":
			outputs = value
		case "fuzzcachedir", "gocoverdir":
			candidates = append(candidates, value)
		case "testlogfile", "coverprofile", "cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace":
			files = append(files, value)
		}
	}
	candidates = append(candidates, outputs)
	for _, f := range files {
		if f != "" && !filepath.IsAbs(f) {
			f = filepath.Join(outputs, f)
		}
		candidates = append(candidates, filepath.Dir(f))
	}
	var binds []string
	for _, dir := range candidates {
		if !filepath.IsAbs(dir) {
			continue // not set
		}
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			binds = append(binds, dir)
		}
	}
	return binds, nil
}
