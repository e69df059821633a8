// Package clitest has the program under test, and what takes long to build, for the tests of several
// packages that run graft as its users do. All of it is kept below the user's cache directory.
package clitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"graft/internal/durable"
)

// CacheDir is a path in the directory that the tests of all packages share.
func CacheDir(names ...string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		panic(err)
	}
	return filepath.Join(append([]string{cache, "graft", "test"}, names...)...)
}

// Graft is the program under test, static, and with the points at which it can be killed.
func Graft() string { return CacheDir("graft-faults") }

// State holds the artifacts that take long to build.
func State() string { return CacheDir("cli-state") }

// BuildGraft makes [Graft]; it is a prepare function for nginxtest.Main.
func BuildGraft(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "faults", "-o", Graft(), "graft/cmd/graft")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// openRestyFile names the artifact that BuildOpenResty made.
func openRestyFile() string { return CacheDir("cli-openresty") }

// BuildOpenResty makes the distribution's OpenResty equivalent of Debian's nginx, by [Graft] itself. It
// is a prepare function for nginxtest.Main, after BuildGraft.
func BuildOpenResty(ctx context.Context) error {
	like, err := filepath.Abs("../cli/testdata/debian-12-nginx-V.txt") // the packages that use it are internal/cli and its neighbours
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, Graft(), "build", "--source", "distro", "--like", like, "--loads", "none", "--state-dir", State())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("graft build --source distro: %w", err)
	}
	// Another test program may read it now.
	return durable.Replace("openresty", openRestyFile(), bytes.NewReader(bytes.TrimSpace(out.Bytes())), durable.Private(0o600))
}

// OpenResty puts the OpenResty equivalent into the store of the state directory, and tells its ID.
func OpenResty(state string) (string, error) {
	id, err := os.ReadFile(openRestyFile())
	if err != nil {
		return "", err
	}
	err = os.CopyFS(filepath.Join(state, "artifacts"), os.DirFS(filepath.Join(State(), "artifacts")))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return string(id), nil
}
