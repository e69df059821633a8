package elffile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graft/internal/nginxtest"
)

// library compiles a library with that DT_SONAME.
func library(t testing.TB, path, soname string, args ...string) string {
	t.Helper()
	build(t, "gcc", path, function, append([]string{"-shared", "-fPIC", "-Wl,-soname," + soname}, args...)...)
	return path
}

// needing compiles a program or library that needs libraries of given names, used or not.
func needing(t testing.TB, path, source string, args ...string) string {
	t.Helper()
	build(t, "gcc", path, source, append([]string{"-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", "-Wl,--unresolved-symbols=ignore-in-shared-libs"}, args...)...)
	return path
}

const empty = `int main(void) { return 0; }`

func lookedUp(all []Library, name string) Library {
	for _, l := range all {
		if l.Name == name {
			return l
		}
	}
	return Library{}
}

func TestLibrariesAgreesWithTheLoader(t *testing.T) {
	agree(t, nginxtest.Debian(t).Path, Options{})
	programs := 0
	for _, pattern := range []string{"/usr/bin/[a-h]*", "/usr/bin/[o-z]*", "/usr/lib/gcc/*/*/*", "/usr/sbin/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		taken := 0
		for _, p := range paths {
			f, err := Read(p)
			// The loader answers nothing where it protects a program of other rights from its caller.
			if err != nil || f.Kind != Executable || f.Interpreter == "" || f.Class != 64 || protected(t, p) {
				continue
			}
			agree(t, p, Options{})
			if taken++; taken == 10 {
				break
			}
		}
		programs += taken
	}
	if programs < 20 {
		t.Errorf("only %d programs were found", programs)
	}
}

func protected(t *testing.T, path string) bool {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 || st.Mode()&0o111 == 0
}

func TestLibrariesTellsWhatIsMissingAndWhoNeedsIt(t *testing.T) {
	dir := t.TempDir()
	gone := library(t, dir+"/libgone.so.3", "libgone.so.3")
	middle := library(t, dir+"/libmiddle.so.1", "libmiddle.so.1", "-Wl,--no-as-needed", gone)
	prog := needing(t, dir+"/program", empty, middle, gone, "-Wl,-rpath,$ORIGIN", "-Wl,--enable-new-dtags")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	all := agree(t, prog, Options{})
	l := lookedUp(all, "libgone.so.3")
	if !l.Missing || l.Path != "" || !slices.Equal(l.NeededBy, []string{prog, middle}) {
		t.Errorf("%+v", l)
	}
	if p := l.Problems(); len(p) != 1 || p[0] != "libgone.so.3 is not found (needed by "+prog+", "+middle+")" {
		t.Errorf("%q", p)
	}
	if p := lookedUp(all, "libmiddle.so.1").Problems(); len(p) != 0 {
		t.Errorf("a library that is there: %q", p)
	}
}

func TestLibrariesTellsWhichVersionsAreMissing(t *testing.T) {
	dir := t.TempDir()
	script := func(versions ...string) string {
		var text strings.Builder
		for i, v := range versions {
			text.WriteString(v + " { global: f" + string('0'+rune(i)) + "; };\n")
		}
		path := filepath.Join(t.TempDir(), "versions")
		put(t, path, text.String())
		return "-Wl,--version-script=" + path
	}
	const functions = `int f0(void) { return 0; } int f1(void) { return 1; }`
	lib := dir + "/libcrypto.so.3"
	build(t, "gcc", lib, functions, "-shared", "-fPIC", "-Wl,-soname,libcrypto.so.3", script("OPENSSL_3.0.0", "OPENSSL_3.2.0"))
	prog := dir + "/program"
	build(t, "gcc", prog, `int f0(void), f1(void); int main(void) { return f0() + f1(); }`, lib, "-Wl,-rpath,$ORIGIN")
	if l := lookedUp(agree(t, prog, Options{}), "libcrypto.so.3"); len(l.Versions) != 0 {
		t.Errorf("with the library it was built with: %+v", l)
	}

	// The same library as an older release of the distribution has it.
	build(t, "gcc", lib, functions, "-shared", "-fPIC", "-Wl,-soname,libcrypto.so.3", script("OPENSSL_3.0.0"))
	l := lookedUp(agree(t, prog, Options{}), "libcrypto.so.3")
	if !slices.Equal(l.Versions, []MissingVersion{{"OPENSSL_3.2.0", prog}}) {
		t.Errorf("%+v", l)
	}
	want := "libcrypto.so.3 (" + lib + ") has no version OPENSSL_3.2.0 (needed by " + prog + ")"
	if p := l.Problems(); len(p) != 1 || p[0] != want {
		t.Errorf("%q, want %q", p, want)
	}

	// Without any versions the loader takes it, and only warns.
	build(t, "gcc", lib, functions, "-shared", "-fPIC", "-Wl,-soname,libcrypto.so.3")
	all, err := Libraries(prog, Options{})
	if l := lookedUp(all, "libcrypto.so.3"); err != nil || len(l.Versions) != 0 {
		t.Errorf("of a library without versions: %+v %v", l, err)
	}
}

func TestLibrariesTellsThatGlibcIsTooOld(t *testing.T) {
	// The version is one that glibc will not reach; the linker makes it from a stub of the library.
	dir := t.TempDir()
	versions := filepath.Join(dir, "versions")
	put(t, versions, "GLIBC_9.99 { global: f; };\n")
	stub := dir + "/stub/libc.so.6"
	build(t, "gcc", stub, function, "-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libc.so.6", "-Wl,--version-script="+versions)
	prog := dir + "/program"
	build(t, "gcc", prog, `int f(void); void _start(void) { f(); }`, "-nostdlib", "-pie", "-fPIE", stub)
	l := lookedUp(agree(t, prog, Options{}), "libc.so.6")
	if !slices.Equal(l.Versions, []MissingVersion{{"GLIBC_9.99", prog}}) {
		t.Errorf("%+v", l)
	}
}

func TestLibrariesInheritsRPathButNotRunPath(t *testing.T) {
	for _, tt := range []struct {
		tags    string
		inherit bool
	}{{"-Wl,--disable-new-dtags", true}, {"-Wl,--enable-new-dtags", false}} {
		dir := t.TempDir()
		deep := library(t, dir+"/lib/libdeep.so.1", "libdeep.so.1")
		middle := library(t, dir+"/lib/libmiddle.so.1", "libmiddle.so.1", "-Wl,--no-as-needed", deep)
		prog := needing(t, dir+"/program", empty, middle, "-Wl,-rpath,"+dir+"/lib", tt.tags)
		all := agree(t, prog, Options{})
		if l := lookedUp(all, "libdeep.so.1"); l.Missing == tt.inherit {
			t.Errorf("%s: %+v", tt.tags, l)
		}
	}
}

// With a RUNPATH of its own a library leaves the RPATHs of those that loaded it aside.
func TestLibrariesLeavesRPathAsideForALibraryWithRunPath(t *testing.T) {
	dir := t.TempDir()
	deep := library(t, dir+"/lib/libdeep.so.1", "libdeep.so.1")
	middle := library(t, dir+"/lib/libmiddle.so.1", "libmiddle.so.1", "-Wl,--no-as-needed", deep, "-Wl,--enable-new-dtags", "-Wl,-rpath,/nowhere")
	prog := needing(t, dir+"/program", empty, middle, "-Wl,--disable-new-dtags", "-Wl,-rpath,"+dir+"/lib")
	if l := lookedUp(agree(t, prog, Options{}), "libdeep.so.1"); !l.Missing {
		t.Errorf("%+v", l)
	}
}

func TestLibrariesFollowsTokensAsTheLoader(t *testing.T) {
	for _, rpath := range []string{"$ORIGIN/lib", "${ORIGIN}/lib", "$ORIGIN/link/../lib", "$ORIGIN/$LIB", "$ORIGIN/${PLATFORM}", "$ORIGINAL/lib", "/nowhere:$ORIGIN/lib:", "$ORIGIN/lib/../lib"} {
		t.Run(strings.ReplaceAll(rpath, "/", "|"), func(t *testing.T) {
			dir := t.TempDir()
			for _, in := range []string{"lib", "lib64", "lib/x86_64-linux-gnu", "x86_64", "elsewhere/lib"} {
				library(t, filepath.Join(dir, in, "liba.so.1"), "liba.so.1")
			}
			// Behind the link, ".." is another directory.
			if err := os.Symlink("elsewhere/lib", dir+"/link"); err != nil {
				t.Fatal(err)
			}
			prog := needing(t, dir+"/program", empty, dir+"/lib/liba.so.1", "-Wl,-rpath,"+rpath)
			agree(t, prog, Options{})
			link := dir + "/elsewhere/called"
			if err := os.Symlink(prog, link); err != nil {
				t.Fatal(err)
			}
			agree(t, link, Options{})
		})
	}
}

func TestLibrariesTakesANameWithASlashAsItIs(t *testing.T) {
	dir := t.TempDir()
	lib := library(t, dir+"/liba.so.1", "") // without a name it is needed by its path
	prog := needing(t, dir+"/program", empty, lib)
	if l := lookedUp(agree(t, prog, Options{}), lib); l.Path != lib {
		t.Errorf("%+v", l)
	}
	if err := os.Remove(lib); err != nil {
		t.Fatal(err)
	}
	all, err := Libraries(prog, Options{})
	if l := lookedUp(all, lib); err != nil || !l.Missing {
		t.Errorf("%+v %v", l, err)
	}
}

func TestLibrariesTakesALibraryOnceHoweverItIsCalled(t *testing.T) {
	dir := t.TempDir()
	lib := library(t, dir+"/liba.so.1.0", "liba.so.1")
	for _, l := range []string{"liba.so.1", "libother.so"} {
		if err := os.Symlink("liba.so.1.0", filepath.Join(dir, l)); err != nil {
			t.Fatal(err)
		}
	}
	// Under the name that it was built with, and by its path.
	stub := library(t, dir+"/stub/libother.so", "libother.so")
	prog := needing(t, dir+"/program", empty, lib, stub, "-Wl,-rpath,"+dir)
	all := agree(t, prog, Options{})
	if n := len(slices.DeleteFunc(all, func(l Library) bool { return !strings.HasPrefix(l.Path, dir) })); n != 1 {
		t.Errorf("the file is there %d times: %+v", n, all)
	}
}

func TestLibrariesPassesOverAnotherMachinesLibrary(t *testing.T) {
	dir := t.TempDir()
	lib := library(t, dir+"/64/liba.so.1", "liba.so.1")
	library(t, dir+"/32/liba.so.1", "liba.so.1", "-m32", "-nostdlib")
	prog := needing(t, dir+"/program", empty, lib, "-Wl,-rpath,"+dir+"/32:"+dir+"/64")
	if l := lookedUp(agree(t, prog, Options{}), "liba.so.1"); l.Path != lib {
		t.Errorf("%+v", l)
	}
}

func TestLibrariesStopsAtAFileThatIsNoLibrary(t *testing.T) {
	dir := t.TempDir()
	lib := library(t, dir+"/good/liba.so.1", "liba.so.1")
	prog := needing(t, dir+"/program", empty, lib, "-Wl,-rpath,"+dir+"/bad:"+dir+"/good")
	// Where a linker's script was put instead of the library; the loader does not look on.
	put(t, dir+"/bad/liba.so.1", "/* GNU ld script */\nINPUT(liba.so.1)\n"+strings.Repeat(" ", 4096))
	all, err := Libraries(prog, Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := lookedUp(all, "liba.so.1")
	if l.Broken == "" || l.Path != dir+"/bad/liba.so.1" || len(l.Problems()) != 1 {
		t.Errorf("%+v", l)
	}
	if a, err := ofLoader(t.Context(), "", prog); err == nil {
		t.Errorf("the loader found %v", a)
	}
}

func TestLibrariesTellsThatTheInterpreterIsMissing(t *testing.T) {
	prog := cc(t, empty, "-Wl,--dynamic-linker=/lib/ld-of-another-host.so.1")
	all, err := Libraries(prog, Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := lookedUp(all, "/lib/ld-of-another-host.so.1")
	if !l.Missing || !slices.Equal(l.NeededBy, []string{prog}) {
		t.Errorf("%+v", all)
	}
}

func TestLibrariesOfAStaticProgramAreNone(t *testing.T) {
	for _, how := range []string{"-static", "-static-pie"} {
		if all, err := Libraries(cc(t, empty, how), Options{}); err != nil || len(all) != 0 {
			t.Errorf("%s: %+v %v", how, all, err)
		}
	}
}

func TestLibrariesOfALibraryAreThoseThatLoadingItTakes(t *testing.T) {
	dir := t.TempDir()
	gone := library(t, dir+"/libgone.so.1", "libgone.so.1")
	module := library(t, dir+"/ngx_module.so", "ngx_module.so", "-Wl,--no-as-needed", gone)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	all, err := Libraries(module, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if l := lookedUp(all, "libgone.so.1"); !l.Missing {
		t.Errorf("%+v", all)
	}
	if l := lookedUp(all, "libc.so.6"); l.Path == "" {
		t.Errorf("%+v", all)
	}
}

func TestLibrariesGivesUpWhereThereIsNoEnd(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-Wl,--no-as-needed"}
	for i := range 20 {
		gone := library(t, fmt.Sprintf("%s/libgone%d.so", dir, i), fmt.Sprintf("libgone%d.so", i), "-nostdlib")
		args = append(args, gone)
	}
	var dirs []string
	for i := range 10000 {
		dirs = append(dirs, fmt.Sprintf("/%d", i))
	}
	prog := needing(t, dir+"/program", empty, append(args, "-Wl,-rpath,"+strings.Join(dirs, ":"))...)
	if _, err := Libraries(prog, Options{}); err == nil || !strings.Contains(err.Error(), prog) {
		t.Errorf("it came to an end: %v", err)
	}
}
