package elffile

import (
	"bytes"
	"context"
	"debug/dwarf"
	"debug/elf"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graft/internal/nginxtest"
)

// stripped is what Read says of a program as distributions ship it.
var stripped = File{Stripped: true}

func TestSplitDebugKeepsTheSymbolsBeside(t *testing.T) {
	path := cc(t, program, "-g", "-O2", "-Wl,-z,now")
	before := read(t, path)
	debug := filepath.Join(t.TempDir(), "nginx.debug")
	if err := SplitDebug(t.Context(), path, debug); err != nil {
		t.Fatal(err)
	}
	after := read(t, path)
	if after.Stripped || after.DebugInfo || after.DebugLink != "nginx.debug" {
		t.Errorf("stripped %t, debug info %t, debug link %q", after.Stripped, after.DebugInfo, after.DebugLink)
	}
	if lost := Compare(before, after); len(lost) > 0 || before.BuildID != after.BuildID {
		t.Errorf("build id %s, then %s; lost %v", before.BuildID, after.BuildID, names(lost))
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o111 == 0 {
		t.Errorf("it is not executable any more: %v %v", st.Mode(), err)
	}
	run(t, path)

	f, err := elf.Open(debug)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !hasFunction(t, f, "main") {
		t.Error("the debug file does not know main")
	}
	im, file, err := open(debug)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if n, err := im.notes(); err != nil || n.buildID != before.BuildID {
		t.Errorf("build id %s of the debug file, %s of the program: %v", n.buildID, before.BuildID, err)
	}
	if st, err := os.Stat(debug); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("the debug file: %v %v", st.Mode(), err)
	}
	linked(t, path, debug)
}

// hasFunction looks for a function in the DWARF data, as a debugger does.
func hasFunction(t *testing.T, f *elf.File, name string) bool {
	t.Helper()
	data, err := f.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	for r := data.Reader(); ; {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			return false
		}
		if e.Tag == dwarf.TagSubprogram && e.Val(dwarf.AttrName) == name {
			return true
		}
	}
}

// linked: a debugger takes the file only if the CRC in the program is that of its contents.
func linked(t *testing.T, path, debug string) {
	t.Helper()
	im, f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	name, crc, err := im.debugLink()
	if want := crc32.ChecksumIEEE(bytesOf(t, debug)); err != nil || name != filepath.Base(debug) || crc != want {
		t.Errorf("%s %08x: %v, want %s %08x", name, crc, err, filepath.Base(debug), want)
	}
}

func TestStripLikeFollowsTheOldProgram(t *testing.T) {
	path := cc(t, program, "-g", "-O2")
	debug := path + ".debug"
	if err := SplitDebug(t.Context(), path, debug); err != nil {
		t.Fatal(err)
	}
	split := bytesOf(t, path)
	if err := StripLike(t.Context(), path, File{Stripped: false}); err != nil || !bytes.Equal(split, bytesOf(t, path)) {
		t.Errorf("the old one is not stripped, but the new one changed: %v", err)
	}
	for range 2 { // the second time there is nothing to do
		if err := StripLike(t.Context(), path, stripped); err != nil {
			t.Fatal(err)
		}
		if f := read(t, path); !f.Stripped || f.DebugInfo || f.DebugLink != filepath.Base(debug) {
			t.Errorf("%+v", f)
		}
	}
	linked(t, path, debug)
	run(t, path)
}

func TestSplitDebugGivesTheSameBytesAnywhere(t *testing.T) {
	built := bytesOf(t, cc(t, program, "-g", "-O2"))
	var made [2][2][]byte
	for i := range made {
		dir := t.TempDir()
		path, debug := dir+"/nginx", dir+"/debug/nginx.debug"
		if err := os.Mkdir(dir+"/debug", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, built, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := SplitDebug(t.Context(), path, debug); err != nil {
			t.Fatal(err)
		}
		if err := StripLike(t.Context(), path, stripped); err != nil {
			t.Fatal(err)
		}
		made[i] = [2][]byte{bytesOf(t, path), bytesOf(t, debug)}
		if left, err := filepath.Glob(dir + "/.split-*"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	}
	if !bytes.Equal(made[0][0], made[1][0]) || !bytes.Equal(made[0][1], made[1][1]) {
		t.Error("two directories, two results")
	}
}

func TestStripLikeKeepsWhatModulesNeed(t *testing.T) {
	dir := t.TempDir()
	path, module := dir+"/nginx", dir+"/module.so"
	build(t, "gcc", path, `
#include <dlfcn.h>
#include <stdio.h>
int ngx_answer(void) { return 42; }
int main(int c, char **v) {
	void *m = dlopen(v[1], RTLD_NOW | RTLD_GLOBAL);
	if (!m) { puts(dlerror()); return 1; }
	printf("%d\n", ((int (*)(void)) dlsym(m, "module"))());
	return 0;
}`, "-g", "-Wl,-E")
	build(t, "gcc", module, `int ngx_answer(void); int module(void) { return ngx_answer(); }`, "-g", "-shared", "-fPIC")
	for _, p := range []string{path, module} {
		if err := SplitDebug(t.Context(), p, p+".debug"); err != nil {
			t.Fatal(err)
		}
		if err := StripLike(t.Context(), p, stripped); err != nil {
			t.Fatal(err)
		}
		if f := read(t, p); !f.Stripped {
			t.Errorf("%s is not stripped", p)
		}
	}
	if out := run(t, path, module); out != "42\n" {
		t.Errorf("the module answered %q", out)
	}
}

func TestStripLikeKeepsWhatNginxsModulesNeed(t *testing.T) {
	old, built := nginxtest.Debian(t), nginxtest.Release(t, "1.22.1")
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx")
	if err := os.WriteFile(path, bytesOf(t, built.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := SplitDebug(t.Context(), path, path+".debug"); err != nil {
		t.Fatal(err)
	}
	if err := StripLike(t.Context(), path, read(t, old.Path)); err != nil {
		t.Fatal(err)
	}
	linked(t, path, path+".debug")
	if before, after := read(t, built.Path), read(t, path); !after.Stripped || before.BuildID != after.BuildID {
		t.Errorf("stripped %t, build id %s, then %s", after.Stripped, before.BuildID, after.BuildID)
	}
	for _, made := range []string{built.Path, path} {
		conf := filepath.Join(dir, "nginx.conf")
		put(t, conf, "load_module "+old.Modules+"/ngx_http_echo_module.so;\nerror_log stderr;\npid "+dir+"/pid;\nevents {}\nhttp {\n"+
			"access_log off; client_body_temp_path "+dir+"; proxy_temp_path "+dir+"; fastcgi_temp_path "+dir+"; uwsgi_temp_path "+dir+"; scgi_temp_path "+dir+";\n"+
			"server { listen unix:"+dir+"/s; location / { echo hello; } } }\n")
		if out := run(t, made, "-t", "-q", "-e", "stderr", "-p", dir, "-c", conf); out != "" {
			t.Errorf("%s: %s", made, out)
		}
	}
}

func TestSplitDebugFollowsALink(t *testing.T) {
	path := cc(t, program, "-g")
	link := filepath.Join(t.TempDir(), "nginx")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := SplitDebug(t.Context(), link, link+".debug"); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != path {
		t.Errorf("the link was replaced: %q %v", to, err)
	}
	linked(t, path, link+".debug")
}

func TestSplitDebugRefusesWhatHasNoSymbols(t *testing.T) {
	split := cc(t, program, "-g")
	if err := SplitDebug(t.Context(), split, split+".debug"); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "script")
	put(t, script, "#!/bin/sh\n")
	for path, want := range map[string]string{
		cc(t, program, "-s"): "has no symbols",
		split:                "split before",
		script:               "not an ELF file",
		"/nowhere":           "no such file",
	} {
		debug := filepath.Join(t.TempDir(), "debug")
		if err := SplitDebug(t.Context(), path, debug); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
		if _, err := os.Stat(debug); err == nil {
			t.Errorf("%s: a debug file was made", path)
		}
	}
}

func TestSplitDebugSaysThatBinutilsAreMissing(t *testing.T) {
	path := cc(t, program, "-g")
	before := bytesOf(t, path)
	t.Setenv("PATH", t.TempDir())
	err := SplitDebug(t.Context(), path, path+".debug")
	if err == nil || !strings.Contains(err.Error(), "install binutils") || !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(before, bytesOf(t, path)) {
		t.Error("the program changed")
	}
}

// objcopyThat puts a program in objcopy's place.
func objcopyThat(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir+"/objcopy", "#!/bin/sh\n"+script)
	if err := os.Chmod(dir+"/objcopy", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestSplitDebugLeavesTheProgramWhenObjcopyFails(t *testing.T) {
	real, err := exec.LookPath("objcopy")
	if err != nil {
		t.Fatal(err)
	}
	other := cc(t, `int main(void) { return 7; }`)
	for name, tt := range map[string]struct{ script, want string }{
		"it is ended in the middle": {`for last; do :; done; echo half > "$last"; echo "No space left on device" >&2; exit 1`, "No space left on device"},
		"it makes another program":  {`for last; do :; done; case "$*" in *--only-keep-debug*) exec ` + real + ` "$@";; esac; cp ` + other + ` "$last"`, "left as it was"},
		"it makes nothing readable": {`for last; do :; done; case "$*" in *--only-keep-debug*) exec ` + real + ` "$@";; esac; echo half > "$last"`, "not an ELF file"},
		"it makes nothing":          {`exit 0`, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := cc(t, program, "-g")
			before := bytesOf(t, path)
			objcopyThat(t, tt.script)
			err := SplitDebug(t.Context(), path, path+".debug")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if !bytes.Equal(before, bytesOf(t, path)) {
				t.Error("the program changed")
			}
			if left, err := filepath.Glob(filepath.Dir(path) + "/.split-*"); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

func TestSplitDebugEndsWhenItIsCancelled(t *testing.T) {
	path := cc(t, program, "-g")
	before := bytesOf(t, path)
	started := filepath.Join(t.TempDir(), "started")
	objcopyThat(t, "echo > "+started+"; exec sleep 60\n")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- SplitDebug(ctx, path, path+".debug") }()
	until(t, func() bool { _, err := os.Stat(started); return !errors.Is(err, fs.ErrNotExist) })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(before, bytesOf(t, path)) {
		t.Error("the program changed")
	}
}
