package elffile

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

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
