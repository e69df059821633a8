package modules

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
)

// compile makes a file of testdata/tables.c.
func compile(t testing.TB, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "nginx")
	run(t, "gcc", append([]string{"-o", out, "testdata/tables.c"}, flags...)...)
	return out
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// little is what testdata/tables.c defines.
func little() Table {
	return Table{Modules: []Module{
		{Name: "ngx_core_module", Type: Core, Directives: []Directive{{"user", 0x01010006}}},
		{Name: "ngx_conf_module", Type: Conf, Directives: []Directive{{"include", 0xff000002}}},
		{Name: "ngx_http_module", Type: Core},
		{Name: "ngx_http_core_module", Type: HTTP, Directives: []Directive{{"root", 0x4e000002}, {"server", 0x02000101}}},
		{Name: "ngx_http_geoip_module", Type: HTTP, Directives: []Directive{{"geoip_country", 0x02000006}}},
		{Name: "ngx_stream_return_module", Type: Stream, Directives: []Directive{{"return", 0x04000002}}},
	}}
}

// No nginx before 1.9.11 is at hand: a small program has the old ngx_module_t (and Tengine's) in its
// place, linked and stripped in the ways that are met.
func TestTheTablesAreFoundHoweverTheFileWasMade(t *testing.T) {
	since1911, nameless := little(), little()
	since1911.Signature, since1911.Version = "8,4,8,00111111111101011100111111111111111", 1009011
	for i := range nameless.Modules {
		nameless.Modules[i].Name = ""
	}
	for _, c := range []struct {
		name  string
		flags []string
		strip bool
		want  Table
	}{
		{"1.9.11, stripped", []string{"-DLAYOUT=1", "-pie", "-fPIE", "-Wl,-E"}, true, since1911},
		{"1.9.11, a dynamic module", []string{"-DLAYOUT=1", "-shared", "-fPIC"}, true, since1911},
		{"1.9.11, packed relocations", []string{"-DLAYOUT=1", "-pie", "-fPIE", "-Wl,-E,-z,pack-relative-relocs"}, true, since1911},
		{"1.9.11, not position-independent", []string{"-DLAYOUT=1", "-no-pie", "-fno-pie", "-Wl,-E"}, true, since1911},
		{"1.9.11, static, with symbols", []string{"-DLAYOUT=1", "-static", "-no-pie", "-fno-pie"}, false, since1911},
		{"1.9.11, names left out", []string{"-DLAYOUT=1", "-DNO_NAMES", "-pie", "-fPIE", "-Wl,-E"}, true, since1911},
		{"1.9.11, read-only tables after start", []string{"-DLAYOUT=1", "-pie", "-fPIE", "-Wl,-E,-z,relro,-z,now"}, true, since1911},
		{"1.8, with symbols", []string{"-DLAYOUT=0", "-no-pie", "-fno-pie"}, false, little()},
		{"1.8, with symbols, position-independent", []string{"-DLAYOUT=0", "-pie", "-fPIE"}, false, little()},
		{"1.8, exported for the perl module", []string{"-DLAYOUT=0", "-no-pie", "-fno-pie", "-Wl,-E"}, true, little()},
		{"1.8, stripped", []string{"-DLAYOUT=0", "-no-pie", "-fno-pie"}, true, nameless},
		{"1.8, stripped, position-independent", []string{"-DLAYOUT=0", "-pie", "-fPIE"}, true, nameless},
		{"Tengine 2, with symbols", []string{"-DLAYOUT=2", "-no-pie", "-fno-pie"}, false, little()},
		{"Tengine 2, stripped", []string{"-DLAYOUT=2", "-pie", "-fPIE"}, true, nameless},
		{"a layout never seen", []string{"-DLAYOUT=3", "-pie", "-fPIE", "-Wl,-E"}, false, little()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := compile(t, append(c.flags, "-O2")...)
			if c.strip {
				run(t, "strip", file)
			}
			if diff := cmp.Diff(c.want, read(t, file)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The real thing without anything exported: static, at a fixed address, stripped.
func TestAStaticStrippedNginxTellsItsDirectives(t *testing.T) {
	bin := nginxtest.Build(t, nginxtest.Source(t, "1.18.0"), "--without-http_rewrite_module", "--without-http_gzip_module",
		"--with-cc-opt=-O0 -fno-pie -Wno-error", "--with-ld-opt=-static -no-pie")
	named := read(t, bin.Path)
	if !named.Has("ngx_http_core_module") || named.Has("ngx_http_rewrite_module") || len(named.Modules) < 40 {
		t.Fatalf("before strip: %q", named.Names())
	}
	stripped := filepath.Join(t.TempDir(), "nginx")
	run(t, "strip", "-o", stripped, bin.Path)
	table := read(t, stripped)
	for i := range named.Modules {
		named.Modules[i].Name = ""
	}
	if diff := cmp.Diff(named, table); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotNginxIsNotKnown(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := write("huge", "\x7fELF")
	if err := os.Truncate(huge, 1<<40); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{
		"/bin/sh", "/proc/self/exe", dir, fifo, huge, "/dev/zero", write("empty", ""), write("text", "#!/bin/sh\n"),
	} {
		if table, err := Read(file); !errors.Is(err, ErrNotKnown) {
			t.Errorf("%s: %+v, %v", file, table, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A file that is cut off, or of which a byte is wrong, gives an error or a table, in time.
func TestADamagedFileIsSurvived(t *testing.T) {
	whole, err := os.ReadFile(compile(t, "-DLAYOUT=1", "-shared", "-fPIC"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 61 {
		_, err := readTable(strings.NewReader(string(whole[:n])), int64(n))
		if err == nil && n < len(whole)/2 {
			t.Errorf("%d of %d bytes are enough", n, len(whole))
		}
		damaged := append([]byte(nil), whole...)
		damaged[n] ^= 0xff
		if _, err := readTable(strings.NewReader(string(damaged)), int64(n)); err == nil && n < len(whole)/2 {
			t.Errorf("with %d of %d bytes: no error", n, len(whole))
		}
		_, _ = readTable(strings.NewReader(string(damaged)), int64(len(damaged)))
	}
}

// FuzzRead: no file makes it panic, hang or take memory without bound.
func FuzzRead(f *testing.F) {
	for _, flags := range [][]string{
		{"-DLAYOUT=1", "-shared", "-fPIC", "-nostdlib"}, {"-DLAYOUT=0", "-no-pie", "-fno-pie", "-nostdlib", "-Wl,-e,main"},
		{"-DLAYOUT=1", "-pie", "-fPIE", "-nostdlib", "-Wl,-e,main,-E,-z,pack-relative-relocs"},
		{"-DLAYOUT=2", "-pie", "-fPIE", "-nostdlib", "-Wl,-e,main"},
	} {
		file := compile(f, append(flags, "-O2", "-Wl,-z,max-page-size=4096,-z,noseparate-code")...)
		for range 2 {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
			run(f, "strip", file)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := readTable(strings.NewReader(string(data)), int64(len(data)))
		if err != nil && !errors.Is(err, ErrNotKnown) {
			t.Errorf("%v", err)
		}
		if err == nil && len(table.Modules) == 0 {
			t.Error("neither modules nor an error")
		}
	})
}
