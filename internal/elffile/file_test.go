package elffile

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadTellsEachProtection(t *testing.T) {
	for _, p := range []struct {
		name          string
		with, without []string
		of            func(File) string
		yes, no       string
	}{
		{
			"PIE", []string{"-fPIE", "-pie"}, []string{"-fno-pie", "-no-pie"},
			func(f File) string { return f.PIE.String() }, "yes", "no",
		},
		{
			"RELRO", []string{"-Wl,-z,relro", "-Wl,-z,lazy"}, []string{"-Wl,-z,norelro"},
			func(f File) string { return f.RELRO.String() }, "partial", "none",
		},
		{
			"full RELRO", []string{"-Wl,-z,relro", "-Wl,-z,now"}, []string{"-Wl,-z,relro", "-Wl,-z,lazy"},
			func(f File) string { return f.RELRO.String() + " " + f.Now.String() }, "full yes", "partial no",
		},
		{
			"now without RELRO", []string{"-Wl,-z,norelro", "-Wl,-z,now"}, []string{"-Wl,-z,norelro", "-Wl,-z,lazy"},
			func(f File) string { return f.RELRO.String() + " " + f.Now.String() }, "none yes", "none no",
		},
		{
			"stack protector", []string{"-fstack-protector-strong"}, []string{"-fno-stack-protector"},
			func(f File) string { return f.StackProtector.String() }, "yes", "no",
		},
		{
			"FORTIFY_SOURCE", []string{"-O2", "-D_FORTIFY_SOURCE=2"}, []string{"-O2", "-U_FORTIFY_SOURCE"},
			func(f File) string { return f.Fortify.State.String() }, "yes", "no",
		},
		{
			"NX stack", []string{"-Wl,-z,noexecstack"}, []string{"-Wl,-z,execstack"},
			func(f File) string { return f.NXStack.String() }, "yes", "no",
		},
		{
			// Debian's crt1.o is compiled without, and so the linker would drop both.
			"CET", []string{"-fcf-protection", "-Wl,-z,ibt", "-Wl,-z,shstk"}, []string{"-fcf-protection=none"},
			func(f File) string { return f.IBT.String() + " " + f.SHSTK.String() }, "yes yes", "no no",
		},
		{
			"shadow stack alone", []string{"-fcf-protection=return", "-Wl,-z,shstk"}, []string{"-fcf-protection=none"},
			func(f File) string { return f.IBT.String() + " " + f.SHSTK.String() }, "no yes", "no no",
		},
		{
			"build id", []string{"-Wl,--build-id=0xc0ffee"}, []string{"-Wl,--build-id=none"},
			func(f File) string { return f.BuildID }, "c0ffee", "",
		},
		{
			"RPATH", []string{"-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN/../lib:/opt/lib"}, nil,
			func(f File) string { return strings.Join(f.RPath, ":") }, "$ORIGIN/../lib:/opt/lib", "",
		},
		{
			"RUNPATH", []string{"-Wl,--enable-new-dtags", "-Wl,-rpath,/opt/lib"}, nil,
			func(f File) string { return strings.Join(f.RunPath, ":") + strings.Join(f.RPath, ":") }, "/opt/lib", "",
		},
		{
			"symbols", nil, []string{"-s"},
			func(f File) string { return answer(!f.Stripped).String() }, "yes", "no",
		},
		{
			"debug info", []string{"-g"}, nil,
			func(f File) string { return answer(f.DebugInfo).String() }, "yes", "no",
		},
		{
			"compressed debug info", []string{"-g", "-gz"}, nil,
			func(f File) string { return answer(f.DebugInfo).String() }, "yes", "no",
		},
	} {
		t.Run(p.name, func(t *testing.T) {
			if got := p.of(read(t, cc(t, program, p.with...))); got != p.yes {
				t.Errorf("%v: %q, want %q", p.with, got, p.yes)
			}
			if got := p.of(read(t, cc(t, program, p.without...))); got != p.no {
				t.Errorf("%v: %q, want %q", p.without, got, p.no)
			}
		})
	}
}

const function = `int f(void) { return 1; }`

func TestReadTellsProgramsFromSharedObjects(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		kind       string
		pie        Answer
		static     bool
	}{
		{"position-independent", cc(t, program, "-pie", "-fPIE"), Executable, Yes, false},
		{"at a fixed address", cc(t, program, "-no-pie", "-fno-pie"), Executable, No, false},
		{"static", cc(t, program, "-static", "-no-pie"), Executable, No, true},
		{"static and position-independent", cc(t, program, "-static-pie"), Executable, Yes, true},
		{"as the linker was before DF_1_PIE", without1PIE(t, cc(t, program, "-pie", "-fPIE")), Executable, Yes, false},
		{"static, as the linker was before DF_1_PIE", without1PIE(t, cc(t, program, "-static-pie")), Executable, Yes, true},
		{"a library", cc(t, function, "-shared", "-fPIC"), SharedObject, No, false},
		{"a library without a name that needs none", cc(t, function, "-shared", "-fPIC", "-nostdlib"), SharedObject, No, false},
		{"a library that can be started", interpreterOf(t, "libc.so.6"), SharedObject, No, false},
		{"the loader", read(t, cc(t, program)).Interpreter, SharedObject, No, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := read(t, tt.path)
			if f.Kind != tt.kind || f.PIE != tt.pie || f.Static != tt.static {
				t.Errorf("%s, PIE %v, static %t; want %s, PIE %v, static %t", f.Kind, f.PIE, f.Static, tt.kind, tt.pie, tt.static)
			}
		})
	}
}

// interpreterOf is where a library lies that has a loader named in it.
func interpreterOf(t *testing.T, name string) string {
	t.Helper()
	all, err := Libraries(cc(t, program), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Name == name {
			if f := read(t, l.Path); f.Interpreter == "" {
				t.Skipf("%s cannot be started here", l.Path)
			}
			return l.Path
		}
	}
	t.Fatalf("%s is not among %v", name, all)
	return ""
}

// without1PIE takes the flag out that binutils sets since 2.26.
func without1PIE(t *testing.T, path string) string {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dynamic := f.SectionByType(elf.SHT_DYNAMIC)
	data := bytesOf(t, path)
	table := data[dynamic.Offset : dynamic.Offset+dynamic.Size]
	for entry := range slices.Chunk(table, 16) {
		if elf.DynTag(f.ByteOrder.Uint64(entry)) == elf.DT_FLAGS_1 {
			f.ByteOrder.PutUint64(entry[8:], f.ByteOrder.Uint64(entry[8:])&^uint64(elf.DF_1_PIE))
			if err := os.WriteFile(path, data, 0o755); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	t.Fatal("the linker set no DF_1_PIE")
	return ""
}

func TestReadDoesNotGuessOfStaticPrograms(t *testing.T) {
	for _, args := range [][]string{
		{"-fno-stack-protector", "-U_FORTIFY_SOURCE"},
		{"-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"},
	} {
		f := read(t, cc(t, program, append(args, "-O2", "-static")...))
		if f.StackProtector != Unknown {
			t.Errorf("%v: stack protector %v: the C library brings the function in any case", args, f.StackProtector)
		}
		if f.Fortify.State == Yes {
			t.Errorf("%v: FORTIFY_SOURCE %v", args, f.Fortify.State)
		}
		stripped := read(t, cc(t, program, append(args, "-O2", "-static", "-s")...))
		if stripped.StackProtector != Unknown || stripped.Fortify.State != Unknown {
			t.Errorf("%v, stripped: stack protector %v, FORTIFY_SOURCE %v", args, stripped.StackProtector, stripped.Fortify.State)
		}
	}
	f := read(t, cc(t, `void _start(void) { for (;;); }`, "-static", "-nostdlib", "-fno-stack-protector"))
	if f.StackProtector != No || f.Fortify.State != Unknown {
		t.Errorf("without a C library: stack protector %v, FORTIFY_SOURCE %v", f.StackProtector, f.Fortify.State)
	}
}

func TestReadTellsTheTableOfAStaticProgram(t *testing.T) {
	if f := read(t, cc(t, program, "-static", "-no-pie", "-Wl,-z,relro", "-Wl,-z,lazy")); f.RELRO != RELROPartial || f.Now != No {
		t.Errorf("lazy: RELRO %v, now %v", f.RELRO, f.Now)
	}
	if f := read(t, cc(t, program, "-static", "-no-pie", "-Wl,-z,relro", "-Wl,-z,now")); f.RELRO != RELROFull || f.Now != Yes {
		t.Errorf("now: RELRO %v, now %v", f.RELRO, f.Now)
	}
	if f := read(t, withoutSections(t, cc(t, program, "-static", "-no-pie", "-Wl,-z,relro", "-Wl,-z,now"))); f.RELRO != RELROPartial || f.Now != Unknown {
		t.Errorf("without sections: RELRO %v, now %v", f.RELRO, f.Now)
	}
}

// withoutSections takes the section headers out of a 64-bit file, as sstrip does.
func withoutSections(t testing.TB, path string) string {
	t.Helper()
	data := bytesOf(t, path)
	clear(data[0x28:0x30]) // e_shoff
	clear(data[0x3c:0x40]) // e_shnum, e_shstrndx
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadNeedsNoSections(t *testing.T) {
	for _, style := range []string{"gnu", "sysv"} {
		path := cc(t, program, "-O2", "-s", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,--hash-style="+style)
		want := read(t, path)
		if diff := cmp.Diff(want, read(t, withoutSections(t, path))); diff != "" {
			t.Errorf("%s hash (-with sections +without)\n%s", style, diff)
		}
	}
}

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

func TestReadTakesARunningProgramWhoseFileIsGone(t *testing.T) {
	path := cc(t, `#include <unistd.h>
		int main(void) { char c; write(1, "", 1); return read(0, &c, 1); }`)
	want := read(t, path)
	cmd := exec.CommandContext(t.Context(), path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	got := read(t, filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "exe"))
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-file +process)\n%s", diff)
	}
}

func TestFileGoesThroughJSON(t *testing.T) {
	f := read(t, cc(t, program, "-O2", "-D_FORTIFY_SOURCE=2", "-g", "-Wl,-rpath,/opt/lib"))
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"pie":"yes"`, `"relro":"partial"`, `"stack_protector":`, `"fortify":{"state":"yes","checked":2,`, `"ibt":"no"`, `"runpath":["/opt/lib"]`, `"nx_stack":"yes"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	if strings.Contains(string(text), "bti") {
		t.Errorf("what the machine does not have is told: %s", text)
	}
	var back File
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, back); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
	for _, odd := range []string{`{"pie":"maybe"}`, `{"relro":"half"}`} {
		if err := json.Unmarshal([]byte(odd), &back); err == nil {
			t.Errorf("%s was read", odd)
		}
	}
}
