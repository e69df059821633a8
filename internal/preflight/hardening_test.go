package preflight

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

func TestHardeningLost(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	found(t, run(t, subject(t, inst, nginxtest.Release(t, "1.22.1"))), "hardening-lost", Warning, "immediate binding", "stack protector", "FORTIFY_SOURCE")
	found(t, run(t, subject(t, inst, hardened(t))), "hardening-lost", OK,
		"PIE yes, RELRO full, -z now yes, stack protector yes, FORTIFY_SOURCE yes, non-executable stack yes")
}

// everything is all that is compared, as the running binary has it.
var everything = []string{
	"-O2", "-fPIE", "-pie", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro", "-Wl,-z,now",
	"-Wl,-z,noexecstack", "-fcf-protection", "-Wl,-z,ibt", "-Wl,-z,shstk",
}

// without is everything but one, and what is to be given instead.
func without(flag string, instead ...string) []string {
	return append(slices.DeleteFunc(slices.Clone(everything), func(f string) bool { return f == flag }), instead...)
}

func compiled(t *testing.T, path string, flags ...string) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "program.c")
	write(t, source, `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int c, char **v) { char b[32]; strcpy(b, v[0]); memcpy(b, v[c - 1], atoi(v[0])); return puts(b) < 0; }`)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "gcc", append([]string{"-o", path, source}, flags...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// compare makes the check of a running binary and a target, each compiled with its flags.
func compare(t *testing.T, running, target []string) Check {
	t.Helper()
	proc, dir := t.TempDir(), t.TempDir()
	compiled(t, filepath.Join(proc, "42", "exe"), running...)
	e := &examination{Subject: Subject{
		FS:       procfs.New(proc),
		Instance: nginx.Instance{Master: nginx.Process{PID: 42}},
		Target:   artifact.Artifact{Dir: dir, Manifest: artifact.Manifest{Binary: "sbin/nginx"}},
	}}
	compiled(t, e.Target.BinaryPath(), target...)
	return hardeningLost(e)
}

func TestHardeningLostTellsEachPropertyAndItsFlags(t *testing.T) {
	for _, tt := range []struct {
		target   []string
		evidence string
		remedy   string
	}{
		{without("-pie", "-no-pie"), "PIE (", "--with-cc-opt='-fPIE' --with-ld-opt='-pie'"},
		{without("-Wl,-z,relro", "-Wl,-z,norelro"), "RELRO (", "--with-ld-opt='-Wl,-z,relro'"},
		{without("-Wl,-z,now", "-Wl,-z,lazy"), "immediate binding (-z now) (", "--with-ld-opt='-Wl,-z,relro -Wl,-z,now'"},
		{without("-fstack-protector-strong", "-fno-stack-protector"), "stack protector (", "--with-cc-opt='-fstack-protector-strong'"},
		{without("-D_FORTIFY_SOURCE=2", "-U_FORTIFY_SOURCE"), "FORTIFY_SOURCE (", "--with-cc-opt='-O2 -D_FORTIFY_SOURCE=2'"},
		{without("-Wl,-z,noexecstack", "-Wl,-z,execstack"), "non-executable stack (", "--with-ld-opt='-Wl,-z,noexecstack'"},
		{without("-Wl,-z,ibt"), "CET indirect branch tracking (", "--with-cc-opt='-fcf-protection'"},
		{without("-Wl,-z,shstk"), "CET shadow stack (", "--with-cc-opt='-fcf-protection'; every object that is linked must be compiled so"},
	} {
		c := compare(t, everything, tt.target)
		if c.Severity != Warning || !strings.HasPrefix(c.Evidence, "the running binary has what the target lacks: "+tt.evidence) {
			t.Errorf("%v: %s, want %s", c.Severity, c.Evidence, tt.evidence)
		}
		if strings.Contains(c.Evidence, "; ") {
			t.Errorf("more than one thing is lost: %s", c.Evidence)
		}
		if !strings.Contains(c.Remedy, "graft build --like 42") || !strings.Contains(c.Remedy, tt.remedy) {
			t.Errorf("remedy %q, want %q", c.Remedy, tt.remedy)
		}
	}
}

func TestHardeningLostNamesAFlagOnce(t *testing.T) {
	// RELRO and immediate binding share a flag, both parts of CET another.
	c := compare(t, everything, []string{"-O2", "-fPIE", "-pie", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,-z,norelro", "-Wl,-z,lazy"})
	for _, once := range []string{"-Wl,-z,relro", "-fcf-protection", "every object"} {
		if n := strings.Count(c.Remedy, once); n != 1 {
			t.Errorf("%s %d times: %s", once, n, c.Remedy)
		}
	}
}

func TestHardeningIsAsGoodOrBetter(t *testing.T) {
	bare := []string{"-no-pie", "-fno-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-Wl,-z,norelro"}
	for _, running := range [][]string{everything, bare} {
		c := compare(t, running, everything)
		if c.Severity != OK || !strings.Contains(c.Evidence, "CET indirect branch tracking yes, CET shadow stack yes") {
			t.Errorf("%v: %s", c.Severity, c.Evidence)
		}
	}
}

func TestHardeningOfAStaticTargetCannotBeSeen(t *testing.T) {
	static := []string{"-O2", "-static-pie", "-s", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,-z,now"}
	dynamic := []string{"-O2", "-pie", "-fPIE", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,-z,now"}
	c := compare(t, dynamic, static)
	if c.Severity != Warning || !strings.HasPrefix(c.Evidence, "the running binary has what cannot be seen of the target: stack protector (") {
		t.Errorf("%v: %s", c.Severity, c.Evidence)
	}
	if c := compare(t, static, dynamic); c.Severity != OK {
		t.Errorf("of a static running binary: %v: %s", c.Severity, c.Evidence)
	}
}

func TestHardeningOfWhatIsNoProgramIsNotChecked(t *testing.T) {
	proc := t.TempDir()
	e := &examination{Subject: Subject{
		FS:       procfs.New(proc),
		Instance: nginx.Instance{Master: nginx.Process{PID: 42}},
		Target:   artifact.Artifact{Dir: t.TempDir(), Manifest: artifact.Manifest{Binary: "nginx"}},
	}}
	if c := hardeningLost(e); c.Severity != Warning || !strings.HasPrefix(c.Evidence, "not checked: the running binary") {
		t.Errorf("%v: %s", c.Severity, c.Evidence)
	}
	compiled(t, filepath.Join(proc, "42", "exe"))
	write(t, e.Target.BinaryPath(), "#!/bin/sh\n")
	if c := hardeningLost(e); c.Severity != Warning || !strings.HasPrefix(c.Evidence, "not checked: the target") {
		t.Errorf("%v: %s", c.Severity, c.Evidence)
	}
}
