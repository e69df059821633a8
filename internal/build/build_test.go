package build_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/artifact"
	"graft/internal/build"
	"graft/internal/build/buildtest"
	"graft/internal/build/job"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// debian12 is what Debian 12's own nginx says of itself.
func debian12(t testing.TB) nginx.Build {
	t.Helper()
	text, err := os.ReadFile("flags/testdata/debian12-nginx.txt")
	if err != nil {
		t.Fatal(err)
	}
	like, err := nginx.ParseBuild(string(text), "")
	if err != nil {
		t.Fatal(err)
	}
	return like
}

// serve starts the artifact's binary under an empty environment, in a prefix of its own, and returns
// what a Lua location says. The nginx is gone when the test ends.
func serve(t *testing.T, a artifact.Artifact, lua string) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"logs", "temp"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := `daemon off; master_process off; pid logs/nginx.pid; error_log logs/error.log; events {}
http {
	access_log off; client_body_temp_path temp/1; proxy_temp_path temp/2; fastcgi_temp_path temp/3;
	uwsgi_temp_path temp/4; scgi_temp_path temp/5;
	server { listen unix:` + dir + `/socket; location / { content_by_lua_block { ` + lua + ` } } }
}
`
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(a.BinaryPath(), "-p", dir, "-c", "nginx.conf", "-e", "logs/error.log")
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{}, &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	})
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			// The socket appears once nginx listens.
			for {
				c, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "socket"))
				if err == nil {
					return c, nil
				}
				select {
				case err := <-gone:
					return nil, errors.Join(errors.New("nginx ended"), err)
				case <-ctx.Done():
					return nil, err
				case <-time.After(5 * time.Millisecond):
				}
			}
		},
	}}
	resp, err := client.Get("http://test/")
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "logs/error.log"))
		t.Fatalf("%v\n%s%s", err, said.String(), log)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		log, _ := os.ReadFile(filepath.Join(dir, "logs/error.log"))
		t.Fatalf("status %d, %v\n%s", resp.StatusCode, err, log)
	}
	return strings.TrimSpace(string(body))
}

// usesEverything needs LuaJIT, lua-resty-core, lua-resty-lrucache and PCRE with its JIT.
const usesEverything = `local cache = require("resty.lrucache").new(1)
	cache:set("m", ngx.re.match("ab12", "[0-9]+", "jo")[0])
	ngx.say(jit and "LuaJIT", " ", (cache:get("m")))`

func TestDistroGivesAnOpenRestyEquivalent(t *testing.T) {
	like := debian12(t)
	a := buildtest.Distro(t, like)
	m := a.Manifest

	t.Run("serves Lua under an empty environment", func(t *testing.T) {
		if got := serve(t, a, usesEverything); got != "LuaJIT 12" {
			t.Errorf("served %q", got)
		}
	})
	t.Run("finds what is put below lualib and site/lualib", func(t *testing.T) {
		got := serve(t, a, `ngx.say(package.path)`)
		for _, want := range []string{m.Prefix + "/lualib/?.lua;", m.Prefix + "/site/lualib/?.lua;"} {
			if !strings.Contains(got, want) {
				t.Errorf("package.path %s lacks %s", got, want)
			}
		}
	})
	t.Run("keeps the meaning of paths", func(t *testing.T) {
		b, err := nginx.Ask(t.Context(), a.BinaryPath())
		if err != nil {
			t.Fatal(err)
		}
		if b.Prefix != like.Prefix || b.Conf != like.Conf || b.Pid != like.Pid || b.ErrorLog != like.ErrorLog || b.Lock != like.Lock {
			t.Errorf("built: %+v\nlike: %+v", b, like)
		}
	})
	t.Run("says honestly what it is", func(t *testing.T) {
		if m.Flavor != nginx.FlavorNginx || !strings.HasPrefix(m.Name, "openresty equivalent ") || m.Source.Kind != "distro" {
			t.Errorf("flavor %s, name %q, source %s", m.Flavor, m.Name, m.Source.Kind)
		}
	})
	t.Run("holds only the binary and OpenResty's prefix", func(t *testing.T) { onlyRuntime(t, m) })
	t.Run("second build is instant", func(t *testing.T) {
		res := buildtest.Build(t, build.Request{Like: like, Loaded: []build.Loaded{}, Source: source.Distro, Prefix: m.Prefix})
		if !res.Cached || res.Artifact.Manifest.ID != m.ID || res.Elapsed > 2*time.Second {
			t.Errorf("cached %v, %s, in %v", res.Cached, res.Artifact.Manifest.ID, res.Elapsed)
		}
		t.Logf("cached build: %v", res.Elapsed)
	})
}

// onlyRuntime checks that nothing but the runtime is in the tree: no configuration, no page, no log.
func onlyRuntime(t *testing.T, m artifact.Manifest) {
	t.Helper()
	prefix := strings.TrimPrefix(m.Prefix, "/") + "/"
	for _, f := range m.Files {
		if f.Path == m.Debug {
			continue // beside the runtime: it is not staged
		}
		if !strings.HasPrefix(f.Path, prefix) || strings.HasSuffix(f.Path, ".default") || strings.HasSuffix(f.Path, ".conf") || strings.HasSuffix(f.Path, ".html") {
			t.Errorf("in the tree: %s", f.Path)
		}
	}
	if m.Binary != prefix+"nginx/sbin/nginx" {
		t.Errorf("binary: %s", m.Binary)
	}
}

func TestTreeLaidOutLikeOpenResty(t *testing.T) {
	tree := buildtest.OpenRestyTree(t)
	t.Setenv("C_INCLUDE_PATH", tree.Headers)
	t.Setenv("LIBRARY_PATH", tree.Libraries)
	like := debian12(t)
	for i, arg := range like.Configure {
		if strings.HasPrefix(arg, "--with-ld-opt=") {
			like.Configure[i] += " -Wl,-rpath," + tree.Libraries
		}
	}
	before := listing(t, tree.Dir)
	res := buildtest.Build(t, build.Request{
		Like: like, Loaded: []build.Loaded{}, Source: tree.Dir, Prefix: buildtest.Prefix(t, "openresty"),
		Modules: []string{"testdata/ngx_http_hello_module"},
	})
	a, m := res.Artifact, res.Artifact.Manifest

	t.Run("serves Lua under an empty environment", func(t *testing.T) {
		if got := serve(t, a, usesEverything); got != "LuaJIT 12" {
			t.Errorf("served %q", got)
		}
	})
	t.Run("prefix-relative-paths: nginx keeps the old prefix, OpenResty has its own", func(t *testing.T) {
		b, err := nginx.Ask(t.Context(), a.BinaryPath())
		if err != nil {
			t.Fatal(err)
		}
		if b.Prefix != "/usr/share/nginx/" || b.Conf != like.Conf || b.Pid != like.Pid {
			t.Errorf("built: %+v", b)
		}
		if !slices.Contains(b.Configure, "--prefix="+m.Prefix+"/nginx") {
			t.Errorf("configured with %q", b.Configure)
		}
	})
	t.Run("does not know where it was built", func(t *testing.T) {
		at := slices.IndexFunc(m.Build.Configure, func(arg string) bool { return strings.HasSuffix(arg, "/modules/hello") })
		if at < 0 || !strings.HasPrefix(m.Build.Configure[at], "--add-module=/graft/") {
			t.Errorf("configured with %q", m.Build.Configure)
		}
		for _, f := range m.Files {
			text, err := os.ReadFile(filepath.Join(a.Tree(), f.Path))
			if f.SHA256 != "" && (err != nil || bytes.Contains(text, []byte(buildtest.CacheDir(t)+"/work"))) {
				t.Errorf("%s names the work directory, %v", f.Path, err)
			}
		}
	})
	t.Run("is of OpenResty's flavor and version", func(t *testing.T) {
		if m.Flavor != nginx.FlavorOpenResty || m.Version != tree.Nginx+".1" {
			t.Errorf("%s %s", m.Flavor, m.Version)
		}
	})
	t.Run("holds only the binary and OpenResty's prefix", func(t *testing.T) { onlyRuntime(t, m) })
	t.Run("the user's tree is only read", func(t *testing.T) {
		if after := listing(t, tree.Dir); !slices.Equal(before, after) {
			t.Errorf("%d entries before, %d after", len(before), len(after))
		}
	})
}

// listing names everything below dir with its size and time.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	out, err := exec.Command("find", dir, "-printf", "%p %s %T@\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	slices.Sort(lines)
	return lines
}

func TestFailureShowsTheLinesThatMatterWhatTheyMeanAndTheLog(t *testing.T) {
	tree := nginxTree(t)
	file := filepath.Join(tree, "src/core/nginx.c")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("#include <abacus.h>\n"), text...), 0o644); err != nil {
		t.Fatal(err)
	}
	like := nginx.Build{Version: "1.22.1", Prefix: "/usr/share/nginx/", Configure: []string{
		"--without-http", "--without-http_rewrite_module", "--without-http_gzip_module"}}
	state, err := artifact.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := build.Request{Like: like, Source: tree, CacheDir: t.TempDir()}
	_, err = build.Build(t.Context(), r, state, nil)
	var tool *job.ToolError
	if !errors.As(err, &tool) {
		t.Fatalf("error: %v", err)
	}
	if failed, ok := errors.AsType[*build.FailedError](err); !ok || !strings.Contains(failed.What, "abacus.h") || !strings.Contains(failed.Remedy, "abacus.h") {
		t.Errorf("explained as %+v", failed)
	}
	for _, want := range []string{"nginx.c:1", "abacus"} {
		if !strings.Contains(strings.Join(tool.Lines, "\n"), want) {
			t.Errorf("lines lack %q: %q", want, tool.Lines)
		}
	}
	log, err := os.ReadFile(tool.Log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "abacus") {
		t.Errorf("%s does not have what the compiler said:\n%s", tool.Log, log)
	}
	if left, err := os.ReadDir(filepath.Join(r.CacheDir, "work")); err != nil || len(left) > 0 {
		t.Errorf("left in the work directory: %v, %v", left, err)
	}
}

// A build of nginx's own tree, never cached, small enough to run each time.
func TestPlainNginxTreeAndProgress(t *testing.T) {
	dir := t.TempDir()
	err := build.Unpack(t.Context(), build.Request{Like: debian12(t), Source: source.Distro, CacheDir: buildtest.CacheDir(t)}, dir)
	if err != nil {
		t.Fatal(err)
	}
	like := nginx.Build{Flavor: nginx.FlavorNginx, Version: "1.22.1", Prefix: "/opt/ngx/", Configure: []string{
		"--prefix=/opt/ngx", "--sbin-path=/usr/sbin/nginx", "--without-http", "--without-pcre"}}
	state, err := artifact.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var events []job.Progress
	r := build.Request{Like: like, Source: filepath.Join(dir, "nginx"), CacheDir: t.TempDir()}
	res, err := build.Build(t.Context(), r, state, func(p job.Progress) { events = append(events, p) })
	if err != nil {
		t.Fatal(err)
	}

	m := res.Artifact.Manifest
	if m.Prefix != "" || len(m.Files) != 2 || !strings.HasPrefix(m.Debug, "usr/lib/debug/.build-id/") || m.Binary != "usr/sbin/nginx" || m.Build.Prefix != "/opt/ngx/" {
		t.Errorf("prefix %q, files %v, binary %s, nginx prefix %s", m.Prefix, m.Files, m.Binary, m.Build.Prefix)
	}
	var steps []string
	compiled, files := 0, 0
	for i, p := range events {
		if i > 0 && p.Elapsed < events[i-1].Elapsed || p.N < 1 || p.N > p.Of {
			t.Errorf("event %+v after %+v", p, events[max(0, i-1)])
		}
		if len(steps) == 0 || steps[len(steps)-1] != p.Step {
			steps = append(steps, p.Step)
		}
		if p.Step == "compile" {
			compiled, files = p.File, p.Files
		}
	}
	if want := []string{"unpack", "configure", "compile", "install", "check", "store"}; !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	if compiled == 0 || compiled != files {
		t.Errorf("compiled %d of %d files", compiled, files)
	}
	if log, err := os.ReadFile(res.Log); err != nil || !strings.Contains(string(log), "objs/src/core/nginx.o") {
		t.Errorf("the log %s is not whole: %v", res.Log, err)
	}
}
