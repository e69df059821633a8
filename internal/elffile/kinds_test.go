package elffile

import (
	"debug/elf"
	"os"
	"slices"
	"testing"
)

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

func TestReadDoesNotTakeACLibraryForProtected(t *testing.T) {
	if f := read(t, interpreterOf(t, "libc.so.6")); f.StackProtector != Unknown {
		t.Errorf("it defines the function itself: stack protector %v", f.StackProtector)
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
