package elffile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program copies into a buffer of known size, which is what the protections are about.
const program = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int c, char **v) {
	char b[32];
	strcpy(b, v[0]);
	memcpy(b, v[c - 1], atoi(v[0]));
	return puts(b) < 0;
}`

// cc compiles a program or library with gcc.
func cc(t testing.TB, source string, args ...string) string {
	t.Helper()
	return compile(t, "gcc", source, args...)
}

// cross is cc with a compiler that not every machine has.
func cross(t testing.TB, compiler, source string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(compiler); err != nil {
		if os.Getenv("GRAFT_REQUIRE_COMPILERS") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v: its files are not tested here", err)
	}
	return compile(t, compiler, source, args...)
}

func compile(t testing.TB, compiler, source string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	build(t, compiler, out, source, args...)
	return out
}

// build compiles to a given place, whose directory is made.
func build(t testing.TB, compiler, out, source string, args ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	c := filepath.Join(t.TempDir(), "source.c")
	put(t, c, source)
	// The source comes first: the linker takes libraries for what stands before them.
	cmd := exec.CommandContext(t.Context(), compiler, append([]string{"-o", out, c}, args...)...)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, said)
	}
}

// run runs a command that must succeed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// bytesOf reads a whole file.
func bytesOf(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(t testing.TB, path string) File {
	t.Helper()
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// until waits for what another process does.
func until(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 20 s")
		}
	}
}
