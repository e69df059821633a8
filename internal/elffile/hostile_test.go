package elffile

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestReadRefusesWhatIsNoProgram(t *testing.T) {
	dir := t.TempDir()
	object := filepath.Join(dir, "f.o")
	build(t, "gcc", object, function, "-c")
	debug := filepath.Join(dir, "program.debug")
	run(t, "objcopy", "--only-keep-debug", cc(t, program, "-g"), debug)
	script, empty, fifo := filepath.Join(dir, "script"), filepath.Join(dir, "empty"), filepath.Join(dir, "fifo")
	put(t, script, "#!/bin/sh\nexec nginx\n")
	put(t, empty, "")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		object:                        "object file",
		debug:                         "debug symbols only",
		script:                        "not an ELF file",
		empty:                         "not an ELF file",
		fifo:                          "no regular file",
		dir:                           "no regular file",
		"/dev/zero":                   "no regular file",
		filepath.Join(dir, "missing"): "no such file",
	} {
		if f, err := Read(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v %+v, want an error with %q", path, err, f, want)
		}
		if _, err := Libraries(path, Options{}); err == nil {
			t.Errorf("%s: its libraries were resolved", path)
		}
	}
}

func TestReadRefusesAFileThatIsCutOff(t *testing.T) {
	data := bytesOf(t, cc(t, program, "-O2", "-s"))
	path := filepath.Join(t.TempDir(), "cut")
	for n := 0; n < len(data); n += 61 {
		if err := os.WriteFile(path, data[:n], 0o755); err != nil {
			t.Fatal(err)
		}
		if f, err := Read(path); err == nil {
			t.Fatalf("cut off after %d of %d bytes: %+v", n, len(data), f)
		}
	}
}

// hostile are files that make debug/elf's own reader panic or take more memory than they are long.
func hostile(t testing.TB) map[string][]byte {
	good := bytesOf(t, cc(t, program, "-O2", "-g"))
	le := binary.LittleEndian
	sections := le.Uint64(good[0x28:])
	names := sections + uint64(le.Uint16(good[0x3e:]))*64
	programs := le.Uint64(good[0x20:])
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	return map[string][]byte{
		"an index beyond the sections": change(func(b []byte) {
			le.PutUint16(b[0x3c:], 0)                   // e_shnum: see section 0
			le.PutUint64(b[sections+0x20:], 0xff00)     // its sh_size
			le.PutUint16(b[0x3e:], 0xffff)              // e_shstrndx: see its sh_link
			le.PutUint32(b[sections+0x28:], 0x7fffffff) // which is too large
		}),
		"names of a terabyte": change(func(b []byte) { le.PutUint64(b[names+0x20:], 1<<40) }),
		"names that unpack to a terabyte": change(func(b []byte) {
			le.PutUint64(b[names+8:], 0x800) // SHF_COMPRESSED
			at := le.Uint64(b[names+0x18:])
			le.PutUint32(b[at:], 1)
			le.PutUint64(b[at+8:], 1<<40)
		}),
		"headers at the end of the address space": change(func(b []byte) { le.PutUint64(b[0x28:], 1<<64-64) }),
		"program headers of no size":              change(func(b []byte) { le.PutUint16(b[0x36:], 0); le.PutUint16(b[0x38:], 1000) }),
		"65535 program headers":                   change(func(b []byte) { le.PutUint16(b[0x38:], 0xffff) }),
		"segments of all there is": change(func(b []byte) {
			for i := range uint64(le.Uint16(b[0x38:])) {
				le.PutUint64(b[programs+i*56+0x20:], 1<<63)
			}
		}),
	}
}

func TestReadSurvivesHostileFiles(t *testing.T) {
	dir := t.TempDir()
	for name, data := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "hostile")
			if err := os.WriteFile(path, data, 0o755); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f, err := Read(path)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Errorf("read as %+v", f)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
				t.Errorf("it took %d MiB", took>>20)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	// Small files: most changes then meet a header.
	dir := f.TempDir()
	versions := filepath.Join(dir, "versions")
	put(f, versions, "V1 { global: f; };\nV2 { global: g; } V1;\n")
	lib := filepath.Join(dir, "libf.so.1")
	small := []string{"-nostdlib", "-Os", "-Wl,-z,noseparate-code", "-fno-asynchronous-unwind-tables"}
	build(f, "gcc", lib, `int f(void) { return 1; } int g(void) { return 2; }`,
		append(small, "-shared", "-fPIC", "-s", "-fcf-protection", "-Wl,-soname,libf.so.1", "-Wl,--version-script="+versions)...)
	const start = `int f(void), g(void); int __strcpy_chk(void); void _start(void) { f(); g(); }`
	for _, args := range [][]string{
		{"-pie", "-fPIE", "-s", lib, "-Wl,-z,now", "-Wl,-rpath,$ORIGIN/lib:$LIB"},
		{"-no-pie", lib, "-Wl,--hash-style=sysv", "-Wl,--disable-new-dtags", "-Wl,-rpath,/opt", "-g", "-gz"},
		{"-shared", "-fPIC", "-m32", "-fcf-protection", "-Wl,-soname,f"},
		{"-static", "-Wl,--unresolved-symbols=ignore-all"},
	} {
		path := filepath.Join(dir, "program")
		build(f, "gcc", path, start, append(small, args...)...)
		f.Add(bytesOf(f, path))
		f.Add(bytesOf(f, withoutSections(f, path)))
	}
	f.Add(bytesOf(f, lib))
	for _, data := range hostile(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		im, err := parse(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		file, err := im.describe()
		if err == nil && file.Kind == "" {
			t.Errorf("neither an error nor a kind: %+v", file)
		}
		o, err := im.object()
		if err == nil && len(o.needs) > maxVersions {
			t.Errorf("%d versions", len(o.needs))
		}
	})
}

func FuzzCache(f *testing.F) {
	if os.Geteuid() != 0 {
		f.Skip("only root can have ldconfig make the cache of another root")
	}
	for _, format := range []string{"new", "old", "compat"} {
		root := f.TempDir()
		library(f, filepath.Join(root, "opt/lib/libf.so.1"), "libf.so.1")
		f.Add(cacheOf(f, root, format, "/opt/lib"), "libf.so.1")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		c, err := parseCache(data, binary.LittleEndian)
		if err != nil {
			return
		}
		for _, p := range c.lookup(name, []string{"x86-64-v3", "x86-64-v2"}) {
			if len(p) > maxName {
				t.Errorf("a path of %d bytes", len(p))
			}
		}
	})
}
