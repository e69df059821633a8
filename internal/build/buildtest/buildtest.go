// Package buildtest gives tests real artifacts and source trees. What takes long is done once and
// kept below the user's cache directory, graft/test; everything is correct when that is empty.
package buildtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/artifact"
	"graft/internal/build"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// CacheDir is the directory that tests of all packages share.
func CacheDir(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "graft", "test")
}

// Store is the store that tests of all packages share.
func Store(t testing.TB) *artifact.Store {
	t.Helper()
	store, err := artifact.Open(filepath.Join(CacheDir(t), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// Prefix is an OpenResty prefix for tests: below CacheDir, so nothing of the machine is touched.
func Prefix(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(CacheDir(t), "prefix", name)
}

// Distro returns the OpenResty equivalent of a binary, with its runtime in place below Prefix, so
// that its binary runs under an empty environment.
func Distro(t testing.TB, like nginx.Build) artifact.Artifact {
	t.Helper()
	return Build(t, build.Request{Like: like, Loaded: []build.Loaded{}, Source: source.Distro, Prefix: Prefix(t, "distro")}).Artifact
}

// Build builds r with the shared cache and store, and puts the runtime in place.
func Build(t testing.TB, r build.Request) build.Result {
	t.Helper()
	r.CacheDir = CacheDir(t)
	res, err := build.Build(t.Context(), r, Store(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	Place(t, res.Artifact)
	return res
}

// Place makes the artifact's Prefix on this machine what the artifact has there. The prefix must be
// one of Prefix; it becomes a link, exchanged at once, so tests that run at the same time may share it.
func Place(t testing.TB, a artifact.Artifact) {
	t.Helper()
	prefix := a.Manifest.Prefix
	if prefix == "" {
		return
	}
	if rel, err := filepath.Rel(CacheDir(t), prefix); err != nil || !filepath.IsLocal(rel) {
		t.Fatalf("prefix %s is not below %s", prefix, CacheDir(t))
	}
	must(t, os.MkdirAll(filepath.Dir(prefix), 0o755))
	beside := fmt.Sprintf("%s.%d", prefix, os.Getpid())
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	must(t, os.Symlink(filepath.Join(a.Tree(), prefix), beside))
	must(t, os.Rename(beside, prefix))
}

// lock holds a lock of all test processes until the test, or unlock, ends it.
func lock(t testing.TB, path string) (unlock func()) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	return func() { f.Close() }
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func copyTree(ctx context.Context, t testing.TB, from, to string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(to), 0o755))
	if out, err := exec.CommandContext(ctx, "cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", from, err, out)
	}
}
