package elffile

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadSeesTheStackProtectorOfMusl(t *testing.T) {
	f := read(t, cross(t, "musl-gcc", program, "-O2", "-fstack-protector-strong"))
	if f.StackProtector != Yes || f.Fortify.State != Unknown {
		t.Errorf("stack protector %v, FORTIFY_SOURCE %v", f.StackProtector, f.Fortify.State)
	}
	if f := read(t, cross(t, "musl-gcc", program, "-O2", "-fno-stack-protector")); f.StackProtector != No {
		t.Errorf("without: stack protector %v", f.StackProtector)
	}
	if f := read(t, cross(t, "musl-gcc", program, "-O2", "-static", "-fno-stack-protector")); f.StackProtector != Unknown || f.Fortify.State != Unknown {
		t.Errorf("static: stack protector %v, FORTIFY_SOURCE %v", f.StackProtector, f.Fortify.State)
	}
}

func TestReadKnowsAArch64(t *testing.T) {
	const gcc = "aarch64-linux-gnu-gcc"
	f := read(t, cross(t, gcc, program, "-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-no-pie", "-mbranch-protection=standard", "-Wl,-z,force-bti"))
	want := File{
		Kind: Executable, Machine: "aarch64", Class: 64, PIE: No, RELRO: RELROPartial, Now: No,
		StackProtector: Yes, NXStack: Yes, BTI: Yes, PAC: No,
		Interpreter: "/lib/ld-linux-aarch64.so.1", Needed: []string{"libc.so.6", "ld-linux-aarch64.so.1"},
	}
	want.Fortify, want.BuildID = f.Fortify, f.BuildID
	if diff := cmp.Diff(want, f); diff != "" || f.Fortify.State != Yes {
		t.Errorf("FORTIFY_SOURCE %v (-want +got)\n%s", f.Fortify.State, diff)
	}
	// Nothing of Debian's own is linked, which has no marks.
	lib := func(args ...string) File {
		return read(t, cross(t, gcc, function, append(args, "-shared", "-fPIC", "-nostdlib")...))
	}
	if f := lib("-mbranch-protection=standard"); f.BTI != Yes || f.PAC != Yes {
		t.Errorf("-mbranch-protection=standard: BTI %v, PAC %v", f.BTI, f.PAC)
	}
	if f := lib("-mbranch-protection=none"); f.BTI != No || f.PAC != No || f.IBT != Unknown {
		t.Errorf("-mbranch-protection=none: BTI %v, PAC %v, IBT %v", f.BTI, f.PAC, f.IBT)
	}
	if f := read(t, cross(t, gcc, program, "-O2", "-fno-stack-protector")); f.StackProtector != No {
		t.Errorf("without: stack protector %v", f.StackProtector)
	}
}

func TestReadKnows32Bits(t *testing.T) {
	f := read(t, cc(t, function, "-m32", "-shared", "-fPIC", "-nostdlib", "-fcf-protection", "-Wl,-soname,libf.so.1", "-Wl,-z,now", "-Wl,-rpath,/opt/lib32"))
	want := File{
		Kind: SharedObject, Machine: "i386", Class: 32, PIE: No, RELRO: RELROFull, Now: Yes, StackProtector: No,
		NXStack: Yes, IBT: Yes, SHSTK: Yes, SOName: "libf.so.1", RunPath: []string{"/opt/lib32"}, BuildID: f.BuildID,
	}
	if diff := cmp.Diff(want, f); diff != "" || len(f.BuildID) != 40 {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReadKnowsBigEndian(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() {}\n")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "program", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=mips", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f := read(t, filepath.Join(dir, "program"))
	if f.Machine != "mips" || f.Class != 32 || !f.Static || f.Kind != Executable || f.Stripped || !f.DebugInfo {
		t.Errorf("%+v", f)
	}
}
