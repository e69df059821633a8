package elffile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newRoot makes a host of its own with the C library of this one.
func newRoot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may change the root, to ask the loader in it")
	}
	root := t.TempDir()
	all, err := Libraries(cc(t, empty), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		to := filepath.Join(root, l.Path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, bytesOf(t, l.Path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// agreeIn is agree for a program of another root.
func agreeIn(t *testing.T, root, program string, opts Options) []Library {
	t.Helper()
	opts.Root, opts.At = root, program
	all, err := Libraries(filepath.Join(root, program), opts)
	if err != nil {
		t.Fatal(err)
	}
	want, err := ofLoader(t.Context(), root, program)
	if err != nil && len(want.Found) == 0 {
		t.Fatalf("ask the loader of %s: %v", program, err)
	}
	if got := ofLibraries(all); !got.equal(want) {
		t.Errorf("%s in %s:\n got %v\nwant %v", program, root, got, want)
	}
	return all
}

// cacheOf has ldconfig make the cache of a root, in one of its formats.
func cacheOf(t testing.TB, root, format string, dirs ...string) []byte {
	t.Helper()
	ldconfig, err := exec.LookPath("ldconfig")
	if err != nil {
		ldconfig = "/sbin/ldconfig"
	}
	put(t, root+"/etc/ld.so.conf", strings.Join(dirs, "\n")+"\n")
	run(t, ldconfig, "-r", root, "-X", "-c", format)
	return bytesOf(t, root+"/etc/ld.so.cache")
}

func TestLibrariesReadsTheCacheOfTheTargetHost(t *testing.T) {
	for _, format := range []string{"new", "compat", "old"} {
		t.Run(format, func(t *testing.T) {
			root := newRoot(t)
			lib := library(t, root+"/opt/lib/liba.so.1", "liba.so.1")
			needing(t, root+"/usr/sbin/nginx", empty, lib)
			if l := lookedUp(agreeIn(t, root, "/usr/sbin/nginx", Options{}), "liba.so.1"); !l.Missing {
				t.Errorf("without a cache: %+v", l)
			}
			cache := cacheOf(t, root, format, "/opt/lib")
			opts := Options{Root: root, At: "/usr/sbin/nginx"}
			all, err := Libraries(root+"/usr/sbin/nginx", opts)
			if l := lookedUp(all, "liba.so.1"); err != nil || l.Path != "/opt/lib/liba.so.1" {
				t.Errorf("%+v %v", l, err)
			}
			if format != "old" { // which this glibc does not read any more
				agreeIn(t, root, "/usr/sbin/nginx", Options{})
			}

			// A cache that is cut off is none, and the loader goes on.
			put(t, root+"/etc/ld.so.cache", string(cache[:len(cache)/3]))
			all, err = Libraries(root+"/usr/sbin/nginx", opts)
			if l := lookedUp(all, "liba.so.1"); err != nil || !l.Missing {
				t.Errorf("with a cache that is cut off: %+v %v", l, err)
			}
		})
	}
}

func TestLibrariesTakesTheLibraryForThisProcessor(t *testing.T) {
	levels := hwcapsLevels("x86_64", string(bytesOf(t, "/proc/cpuinfo")))
	if len(levels) == 0 {
		t.Skip("this processor has no level of its own")
	}
	for _, dir := range []string{"/opt/lib", "/usr/lib/x86_64-linux-gnu"} {
		root := newRoot(t)
		lib := library(t, root+dir+"/liba.so.1", "liba.so.1")
		for _, level := range []string{"x86-64-v2", "x86-64-v3", "x86-64-v4"} {
			library(t, root+dir+"/glibc-hwcaps/"+level+"/liba.so.1", "liba.so.1")
		}
		needing(t, root+"/usr/sbin/nginx", empty, lib)
		agreeIn(t, root, "/usr/sbin/nginx", Options{})
		cacheOf(t, root, "new", dir)
		if l := lookedUp(agreeIn(t, root, "/usr/sbin/nginx", Options{}), "liba.so.1"); !strings.Contains(l.Path, levels[0]) {
			t.Errorf("%s: not that of %s", l.Path, levels[0])
		}
	}
}

func TestLevelsOfAProcessor(t *testing.T) {
	const v2 = "flags\t\t: fpu cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
	for cpuinfo, want := range map[string]string{
		"":                      "",
		"flags\t\t: fpu cx16\n": "",
		v2 + "\n":               "x86-64-v2",
		v2 + " avx avx2 bmi1 bmi2 f16c fma abm movbe xsave\n": "x86-64-v3 x86-64-v2",
		// The second level is a part of the third.
		"flags\t\t: avx avx2 bmi1 bmi2 f16c fma abm movbe xsave\n": "",
	} {
		if got := strings.Join(hwcapsLevels("x86_64", cpuinfo), " "); got != want {
			t.Errorf("%q: %q, want %q", cpuinfo, got, want)
		}
	}
}

func TestLibrariesSearchesTheDefaultDirectories(t *testing.T) {
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"} {
		root := newRoot(t)
		lib := library(t, root+dir+"/liba.so.1", "liba.so.1")
		needing(t, root+"/usr/sbin/nginx", empty, lib)
		agreeIn(t, root, "/usr/sbin/nginx", Options{})
		if err := os.Remove(root + "/usr/sbin/nginx"); err != nil {
			t.Fatal(err)
		}
		needing(t, root+"/usr/sbin/nginx", empty, lib, "-Wl,-z,nodefaultlib")
		cacheOf(t, root, "new", dir)
		agreeIn(t, root, "/usr/sbin/nginx", Options{})
	}
}

func TestLibrariesFollowsLinksWithinTheRoot(t *testing.T) {
	root := newRoot(t)
	lib := library(t, root+"/data/real/liba.so.1", "liba.so.1")
	prog := needing(t, root+"/usr/sbin/nginx", empty, lib, "-Wl,-rpath,/opt/link:/opt/loop")
	for link, target := range map[string]string{
		"/opt/link": "/data/up/../real", "/data/up": "../data/real", "/opt/loop": "/opt/loop",
	} {
		if err := os.MkdirAll(filepath.Dir(root+link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, root+link); err != nil {
			t.Fatal(err)
		}
	}
	agreeIn(t, root, "/usr/sbin/nginx", Options{})

	// An absolute link does not lead out of it.
	if err := os.Remove(lib); err != nil {
		t.Fatal(err)
	}
	outside := library(t, filepath.Join(t.TempDir(), "liba.so.1"), "liba.so.1")
	if err := os.Symlink(outside, lib); err != nil {
		t.Fatal(err)
	}
	all, err := Libraries(prog, Options{Root: root, At: "/usr/sbin/nginx"})
	if l := lookedUp(all, "liba.so.1"); err != nil || !l.Missing {
		t.Errorf("%+v %v", l, err)
	}
}

func TestLibrariesFollowsTheListOfPreloads(t *testing.T) {
	root := newRoot(t)
	deep := library(t, root+"/opt/lib/libdeep.so.1", "libdeep.so.1")
	library(t, root+"/opt/lib/libguard.so", "libguard.so", "-Wl,--no-as-needed", deep, "-Wl,-rpath,/opt/lib")
	needing(t, root+"/usr/sbin/nginx", empty)
	put(t, root+"/etc/ld.so.preload", "# every program\n/opt/lib/libguard.so:/opt/lib/libgone.so\n")
	all := agreeIn(t, root, "/usr/sbin/nginx", Options{})
	if l := lookedUp(all, "/opt/lib/libguard.so"); l.Path == "" || strings.Join(l.NeededBy, " ") != "/etc/ld.so.preload" {
		t.Errorf("%+v", all)
	}
	if l := lookedUp(all, "/opt/lib/libgone.so"); l.Missing {
		t.Errorf("the loader passes over it: %+v", l)
	}
}

func TestLibrariesSeesWhatWillBeStaged(t *testing.T) {
	root, artifact := newRoot(t), t.TempDir()
	lib := library(t, artifact+"/tree/luajit/lib/libluajit-5.1.so.2", "libluajit-5.1.so.2")
	prog := needing(t, artifact+"/tree/nginx/sbin/nginx", empty, lib, "-Wl,-rpath,/usr/local/openresty/luajit/lib")
	opts := Options{Root: root, At: "/usr/sbin/nginx"}
	all, err := Libraries(prog, opts)
	if l := lookedUp(all, "libluajit-5.1.so.2"); err != nil || !l.Missing {
		t.Errorf("without its runtime: %+v %v", l, err)
	}
	whole := t.TempDir() // a tree that has the whole path
	if err := os.CopyFS(whole+"/usr/local/openresty", os.DirFS(artifact+"/tree")); err != nil {
		t.Fatal(err)
	}
	for _, tree := range []Tree{{Dir: whole, At: "/"}, {Dir: artifact + "/tree", At: "/usr/local/openresty/"}} {
		opts.Trees = []Tree{tree}
		all, err = Libraries(prog, opts)
		l := lookedUp(all, "libluajit-5.1.so.2")
		if err != nil || l.Path != "/usr/local/openresty/luajit/lib/libluajit-5.1.so.2" {
			t.Errorf("with %+v: %+v %v", tree, l, err)
		}
	}

	// As it then is, the loader says the same.
	if err := os.CopyFS(root+"/usr/local/openresty", os.DirFS(artifact+"/tree")); err != nil {
		t.Fatal(err)
	}
	put(t, root+"/usr/sbin/nginx", "")
	run(t, "cp", prog, root+"/usr/sbin/nginx")
	run(t, "chmod", "755", root+"/usr/sbin/nginx")
	staged := agreeIn(t, root, "/usr/sbin/nginx", Options{})
	if a, b := ofLibraries(all), ofLibraries(staged); !a.equal(b) {
		t.Errorf("before staging %v, after it %v", a, b)
	}
}

func TestLibrariesTakesRelativePathsFromTheWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	lib := library(t, dir+"/lib/liba.so.1", "liba.so.1")
	prog := needing(t, dir+"/program", empty, lib, "-Wl,-rpath,lib")
	all, err := Libraries(prog, Options{})
	if l := lookedUp(all, "liba.so.1"); err != nil || !l.Missing {
		t.Errorf("%+v %v", l, err)
	}
	all, err = Libraries(prog, Options{Dir: dir})
	if l := lookedUp(all, "liba.so.1"); err != nil || l.Path != lib {
		t.Errorf("%+v %v", l, err)
	}
}

func TestLibrariesAgreesWithMuslsLoader(t *testing.T) {
	prog := cross(t, "musl-gcc", empty)
	agree(t, prog, Options{})

	dir := t.TempDir()
	deep, middle := dir+"/lib/libdeep.so.1", dir+"/lib/libmiddle.so.1"
	build(t, "musl-gcc", deep, function, "-shared", "-fPIC", "-Wl,-soname,libdeep.so.1")
	build(t, "musl-gcc", middle, function, "-shared", "-fPIC", "-Wl,-soname,libmiddle.so.1", "-Wl,--no-as-needed", deep)
	for _, tags := range []string{"-Wl,--enable-new-dtags", "-Wl,--disable-new-dtags"} {
		prog := dir + "/program"
		build(t, "musl-gcc", prog, empty, "-Wl,--no-as-needed", "-Wl,--unresolved-symbols=ignore-all", middle, "-lm", "-lpthread", "-Wl,-rpath,$ORIGIN/lib", tags)
		all := agree(t, prog, Options{})
		// Unlike glibc's, it inherits both kinds of search path.
		if l := lookedUp(all, "libdeep.so.1"); l.Path != deep {
			t.Errorf("%s: %+v", tags, all)
		}
	}

	if err := os.Remove(deep); err != nil {
		t.Fatal(err)
	}
	all, err := Libraries(dir+"/program", Options{})
	if l := lookedUp(all, "libdeep.so.1"); err != nil || !l.Missing {
		t.Errorf("%+v %v", l, err)
	}
}

func TestLibrariesReadsMuslsListOfDirectories(t *testing.T) {
	prog := filepath.Join(t.TempDir(), "program")
	lib := filepath.Join(t.TempDir(), "liba.so.1")
	cross(t, "musl-gcc", empty)
	build(t, "musl-gcc", lib, function, "-shared", "-fPIC", "-Wl,-soname,liba.so.1")
	build(t, "musl-gcc", prog, empty, "-Wl,--no-as-needed", lib)
	loader := read(t, prog).Interpreter
	root := t.TempDir()
	for path, from := range map[string]string{loader: loader, "/usr/lib/liba.so.1": lib, "/opt/lib/liba.so.1": lib} {
		put(t, root+path, string(bytesOf(t, from)))
	}
	where := func() string {
		all, err := Libraries(prog, Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		return lookedUp(all, "liba.so.1").Path
	}
	if got := where(); got != "/usr/lib/liba.so.1" {
		t.Errorf("without a list: %q", got)
	}
	put(t, root+"/etc/ld-musl-x86_64.path", "/nowhere\n/opt/lib:/usr/lib\n")
	if got := where(); got != "/opt/lib/liba.so.1" {
		t.Errorf("with a list: %q", got)
	}
}

func TestCompiledDirs(t *testing.T) {
	for loader, want := range map[string]string{
		"\x00/lib64/\x00/usr/lib64/\x00\x00/proc/\x00":                          "/lib64 /usr/lib64",
		"/tmp/\x00text\x00/nix/store/abc-glibc-2.38/lib/\x00":                   "/nix/store/abc-glibc-2.38/lib",
		"\x00/lib/a/\x00/usr/lib/a/\x00/lib/\x00/usr/lib/\x00\x00\x00/lib/\x00": "/lib/a /usr/lib/a /lib /usr/lib",
		"no directories in it": "",
	} {
		if got := strings.Join(compiledDirs([]byte(loader)), " "); got != want {
			t.Errorf("%q: %q, want %q", loader, got, want)
		}
	}
}
