package elffile

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
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

// Damage where it counts: whole words, with the values at which arithmetic goes wrong.
func TestReadSurvivesDamagedWords(t *testing.T) {
	good := bytesOf(t, cc(t, program, "-O2", "-s", "-Wl,-z,noseparate-code", "-Wl,-rpath,$ORIGIN"))
	random := rand.New(rand.NewPCG(1, 2))
	odd := []uint64{0, 1, 4, 0xffff, 0x10000, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1, uint64(len(good))}
	headers := append(slices.Clone(good[:0x40+16*56]), good[len(good)-40*64:]...)
	const rounds = 20000
	read := 0
	for range rounds {
		data := bytes.Clone(good)
		for range 1 + random.IntN(4) {
			at := random.IntN(len(data) - 8)
			if random.IntN(2) == 0 { // half of all in the headers
				if at = random.IntN(len(headers) - 8); at >= 0x40+16*56 {
					at += len(good) - len(headers)
				}
			}
			value := odd[random.IntN(len(odd))]
			if random.IntN(2) == 0 {
				value += uint64(random.IntN(256))
			}
			binary.LittleEndian.PutUint64(data[at&^7:], value)
		}
		began := time.Now()
		im, err := parse(bytes.NewReader(data), int64(len(data)))
		if err == nil {
			if _, err = im.describe(); err == nil {
				read++
			}
			im.object()
		}
		if took := time.Since(began); took > time.Second {
			t.Fatalf("it took %v", took)
		}
	}
	if read == 0 || read == rounds {
		t.Errorf("%d of %d damaged files were read: the damage is not of both kinds", read, rounds)
	}
}
