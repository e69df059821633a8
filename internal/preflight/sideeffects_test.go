package preflight

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
)

// What the check foretells is what -t of the target really makes, no more and no less.
func TestConfigTestSideEffects(t *testing.T) {
	const prefix = "/usr/local/openresty/nginx"
	removed(t, prefix+"/logs", "/var/lib/nginx/body", "/var/lib/nginx/proxy", "/var/lib/nginx/fastcgi", "/var/lib/nginx/uwsgi", "/var/lib/nginx/scgi",
		"/var/log/nginx/error.log", "/var/log/nginx/access.log")
	if err := os.MkdirAll(prefix+"/logs", 0o755); err != nil {
		t.Fatal(err)
	}
	inst := startPackaged(t, strings.Replace(packaged, "access_log off;", "proxy_cache_path {{.Prefix}}/cache keys_zone=c:1m;", 1), "-c", "/etc/nginx/nginx.conf")
	for _, dir := range []string{"body", "proxy"} { // as after a start of another nginx; the others are missing
		if err := os.RemoveAll("/var/lib/nginx/" + dir); err != nil {
			t.Fatal(err)
		}
	}
	s := subject(t, inst, nginxtest.Foreign(t))
	checks := run(t, s)
	found(t, checks, "config-test-side-effects", Note, prefix+"/logs/nginx.pid (an empty pid file)", "/var/lib/nginx/body", "--http-client-body-temp-path")

	e, err := examine(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, p := range e.opened() {
		if _, err := os.Lstat(p.path); err != nil {
			want[p.path] = true
		}
	}
	places := []string{"/usr/local/openresty", "/var/lib/nginx", "/var/log/nginx", "/run", inst.Prefix}
	before := nginxtest.Snapshot(t, places...)
	if out, err := exec.CommandContext(t.Context(), nginxtest.Foreign(t).Path, "-t", "-c", inst.Conf).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[string]bool{}
	for path := range nginxtest.Snapshot(t, places...) {
		if _, was := before[path]; !was {
			got[path] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 3 {
		t.Errorf("what -t made (-foretold +made)\n%s", diff)
	}
	if info, err := os.Stat(prefix + "/logs/nginx.pid"); err != nil || info.Size() != 0 {
		t.Errorf("the pid file of -t: %v %v, want an empty one", info, err)
	}
}

func TestConfigTestSideEffectsWhereEverythingIsThere(t *testing.T) {
	removed(t, "/var/log/nginx/error.log")
	write(t, "/var/log/nginx/error.log", "")
	s := subject(t, nginxtest.Start(t, nginxtest.Options{}), hardened(t))
	found(t, run(t, s), "config-test-side-effects", OK, s.Instance.Paths.Pid)
}

func TestConfigTestSideEffectsOfLua(t *testing.T) {
	for text, want := range map[string]string{
		"http {\nlua_shared_dict d 1m;\ninit_by_lua_block { require 'nothing' }\n}": "init_by_lua_block (nginx.conf:3)",
		"http {\ninit_by_lua_file /init.lua;\n}":                                    "init_by_lua_file (nginx.conf:2)",
		"http {\nlua_shared_dict d 1m;\n}":                                          "",
	} {
		got := lateLua(parsed(t, text).Instance.Config)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestPrefixRelativePathsOfWhatIsCompiledIn(t *testing.T) {
	removed(t, "/var/log/other")
	if err := os.MkdirAll("/var/log/other", 0o755); err != nil {
		t.Fatal(err)
	}
	other := nginxtest.Build(t, nginxtest.Source(t, "1.22.1"), with(nginxtest.Flags(),
		"--http-log-path=/var/log/other/access.log", "--http-proxy-temp-path=/var/lib/nginx/other")...)
	inst := startPackaged(t, strings.Replace(packaged, "access_log off;", "", 1), "-c", "/etc/nginx/nginx.conf")
	found(t, run(t, subject(t, inst, other)), "prefix-relative-paths", Warning,
		"--http-log-path (no access_log in effect): /var/log/nginx/access.log becomes /var/log/other/access.log", "/var/lib/nginx/other")

	// nginx says nothing and goes on in the other file.
	swap(t, inst, other)
	upgrade(t, inst, 1)
	inst.Signal(t, inst.MasterPID, quit)
	alone(t, inst)
	get(t, inst.Addr("http"), "/files/")
	eventually(t, "the other log has the request", func() bool {
		text, err := os.ReadFile("/var/log/other/access.log")
		return err == nil && strings.Contains(string(text), "/files/")
	})

	s := subject(t, nginxtest.Start(t, nginxtest.Options{}), other)
	found(t, run(t, s), "prefix-relative-paths", OK)
}
