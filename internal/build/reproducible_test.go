package build_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/artifact"
	"graft/internal/build"
	"graft/internal/build/buildtest"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// nginxTree unpacks the distribution's nginx into a directory of the test's own.
func nginxTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := build.Unpack(t.Context(), build.Request{Like: debian12(t), Source: source.Distro, CacheDir: buildtest.CacheDir(t)}, dir)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "nginx")
}

// Everything that can differ does: the places of the tree, of the module, of the work and of the store.
func TestTwoBuildsInDifferentDirectoriesAreByteIdentical(t *testing.T) {
	like := nginx.Build{Flavor: nginx.FlavorNginx, Version: "1.22.1", Prefix: "/opt/ngx/", Configure: []string{
		"--prefix=/opt/ngx", "--with-cc-opt=-g -O1", "--with-mail=dynamic", "--with-stream=dynamic", "--without-pcre", "--without-http_rewrite_module", "--without-http_gzip_module"}}
	first := nginxTree(t)
	var built [2]artifact.Artifact
	var trees [2]string
	for i := range built {
		// The same name elsewhere: what a tree is called is part of the description.
		trees[i] = filepath.Join(t.TempDir(), strings.Repeat("deep/", i*3), "nginx")
		module := filepath.Join(t.TempDir(), strings.Repeat("x", i+1), "ngx_http_hello_module")
		copyDir(t, first, trees[i])
		copyDir(t, "testdata/ngx_http_hello_module", module)
		state, err := artifact.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		res, err := build.Build(t.Context(), build.Request{
			Like: like, Source: trees[i], Modules: []string{module}, CacheDir: t.TempDir(), WorkDir: filepath.Join(t.TempDir(), "work"), Jobs: 1 + i,
			Loaded: []build.Loaded{{File: "/opt/ngx/modules/ngx_http_hello_module.so"}, {File: "/opt/ngx/modules/ngx_mail_module.so"}},
		}, state, nil)
		if err != nil {
			t.Fatal(err)
		}
		built[i] = res.Artifact
		if _, err := os.Stat(filepath.Join(module, "hello_autoconf.h")); err == nil {
			t.Error("the module's own directory was written to")
		}
	}
	a, b := built[0].Manifest, built[1].Manifest
	if diff := cmp.Diff(a.Files, b.Files); diff != "" {
		t.Error(diff)
	}
	if a.ID != b.ID {
		a.Files, b.Files, a.Built, b.Built = nil, nil, "", ""
		t.Error(cmp.Diff(a, b))
	}
	names := ""
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Path, "usr/lib/debug/") {
			names += "/" + f.Path + "\n"
		}
		for _, dir := range trees {
			if text, err := os.ReadFile(filepath.Join(built[0].Tree(), f.Path)); err != nil || strings.Contains(string(text), filepath.Dir(dir)) {
				t.Errorf("%s names %s, %v", f.Path, dir, err)
			}
		}
	}
	// A plain nginx's modules lie in a directory of its version: the next version's do not meet them.
	want := "/opt/ngx/sbin/nginx\n/usr/local/graft/nginx-1.22.1/nginx/modules/ngx_http_hello_module.so\n/usr/local/graft/nginx-1.22.1/nginx/modules/ngx_mail_module.so\n"
	if names != want {
		t.Errorf("files:\n%swant:\n%s", names, want)
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
