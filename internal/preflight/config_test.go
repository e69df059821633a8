package preflight

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
	"graft/internal/sandbox"
)

// What the real programs print: nginx 1.22.1 and 1.26.3, glibc 2.36, musl 1.2, coreutils' env.
func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		output string
		want   refusal
	}{
		{"nginx: [emerg] unknown directive \"sub_filter\" in /etc/nginx/nginx.conf:12\nnginx: configuration file /etc/nginx/nginx.conf test failed",
			refusal{"module-lost", `unknown directive "sub_filter" in /etc/nginx/nginx.conf:12`, "/etc/nginx/nginx.conf:12", "sub_filter"}},
		{`nginx: [emerg] unknown "geoip_city" variable`,
			refusal{"module-lost", `unknown "geoip_city" variable`, "", "geoip_city"}},
		{`nginx: [emerg] the "ssl" parameter requires ngx_http_ssl_module in /etc/nginx/nginx.conf:7`,
			refusal{"module-lost", `the "ssl" parameter requires ngx_http_ssl_module in /etc/nginx/nginx.conf:7`, "/etc/nginx/nginx.conf:7", "ngx_http_ssl_module"}},
		{`nginx: [emerg] module "ngx_stream_module" is already loaded in /etc/nginx/modules-enabled/50-mod-stream.conf:1`,
			refusal{"module-already-loaded", `module "ngx_stream_module" is already loaded in /etc/nginx/modules-enabled/50-mod-stream.conf:1`, "/etc/nginx/modules-enabled/50-mod-stream.conf:1", "ngx_stream_module"}},
		{`nginx: [emerg] module "/usr/lib/nginx/modules/ngx_http_echo_module.so" version 1022001 instead of 1026003 in /etc/nginx/nginx.conf:1`,
			refusal{"module-signature", `module "/usr/lib/nginx/modules/ngx_http_echo_module.so" version 1022001 instead of 1026003 in /etc/nginx/nginx.conf:1`, "/etc/nginx/nginx.conf:1", "/usr/lib/nginx/modules/ngx_http_echo_module.so"}},
		{`nginx: [emerg] module "/m/x.so" is not binary compatible in /etc/nginx/nginx.conf:1`,
			refusal{"module-signature", `module "/m/x.so" is not binary compatible in /etc/nginx/nginx.conf:1`, "/etc/nginx/nginx.conf:1", "/m/x.so"}},
		{`nginx: [emerg] dlopen() "/m/x.so" failed (/m/x.so: undefined symbol: ngx_http_v2_module) in /etc/nginx/nginx.conf:1`,
			refusal{"module-signature", `dlopen() "/m/x.so" failed (/m/x.so: undefined symbol: ngx_http_v2_module) in /etc/nginx/nginx.conf:1`, "/etc/nginx/nginx.conf:1", "/m/x.so"}},
		{`nginx: [emerg] dlopen() "/m/x.so" failed (libGeoIP.so.1: cannot open shared object file: No such file or directory) in /etc/nginx/nginx.conf:1`,
			refusal{"library-missing", `dlopen() "/m/x.so" failed (libGeoIP.so.1: cannot open shared object file: No such file or directory) in /etc/nginx/nginx.conf:1`, "/etc/nginx/nginx.conf:1", "libGeoIP.so.1"}},
		{"/usr/sbin/nginx: error while loading shared libraries: libluajit-5.1.so.2: cannot open shared object file: No such file or directory",
			refusal{"library-missing", "/usr/sbin/nginx: error while loading shared libraries: libluajit-5.1.so.2: cannot open shared object file: No such file or directory", "", "libluajit-5.1.so.2"}},
		{"/usr/sbin/nginx: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /usr/sbin/nginx)",
			refusal{"library-missing", "/usr/sbin/nginx: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /usr/sbin/nginx)", "", "/lib/x86_64-linux-gnu/libc.so.6"}},
		{"Error loading shared library libpcre.so.1: No such file or directory (needed by /usr/sbin/nginx)",
			refusal{"library-missing", "Error loading shared library libpcre.so.1: No such file or directory (needed by /usr/sbin/nginx)", "", "libpcre.so.1"}},
		{"env: ‘/usr/sbin/nginx’: No such file or directory",
			refusal{"library-missing", "env: ‘/usr/sbin/nginx’: No such file or directory", "", "No such file or directory"}},
		{`nginx: invalid option: "e"`, refusal{"argv-reused", `nginx: invalid option: "e"`, "", "e"}},
		{"nginx: [warn] the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored in /c:1\nnginx: [emerg] invalid parameter: ipv4=off in /c:9\nnginx: configuration file /c test failed",
			refusal{"config-test", "invalid parameter: ipv4=off in /c:9", "/c:9", ""}},
		{`nginx: [emerg] mkdir() "/cache" failed (30: Read-only file system)`,
			refusal{readOnly, `mkdir() "/cache" failed (30: Read-only file system)`, "", "30: Read-only file system"}},
		{`nginx: [emerg] unexpected "}" in command line`, refusal{"config-test", `unexpected "}" in command line`, "command line", ""}},
		{"", refusal{"config-test", "it printed nothing", "", ""}},
	} {
		if diff := cmp.Diff(tt.want, classify(tt.output), cmp.AllowUnexported(refusal{})); diff != "" {
			t.Errorf("%s\n(-want +got)\n%s", tt.output, diff)
		}
	}
}

func TestModuleLost(t *testing.T) {
	config := strings.Replace(nginxtest.Realistic, "root html;", "root html;\n        sub_filter a b;", 1)
	inst := nginxtest.Start(t, nginxtest.Options{Config: config})
	checks := run(t, subject(t, inst, hardened(t))) // it is built without --with-http_sub_module
	found(t, checks, "module-lost", Blocker, `unknown directive "sub_filter"`, inst.Conf+":")
	found(t, checks, "config-test", Warning, "not known")
	found(t, checks, "module-already-loaded", Warning, "not known")
}

// withModule is an instance of Debian's that loads one of its dynamic modules.
func withModule(t *testing.T, name string) *nginxtest.Instance {
	t.Helper()
	module := filepath.Join(nginxtest.Debian(t).Modules, name)
	return nginxtest.Start(t, nginxtest.Options{Config: "load_module " + module + ";\n" + nginxtest.Realistic})
}

func TestModuleAlreadyLoaded(t *testing.T) {
	inst := withModule(t, "ngx_stream_module.so")
	checks := run(t, subject(t, inst, hardened(t))) // --with-stream, not dynamic
	found(t, checks, "module-already-loaded", Blocker, `module "ngx_stream_module" is already loaded`)
	if want := inst.Conf + ":1"; !strings.Contains(checks["module-already-loaded"].Remedy, want) {
		t.Errorf("remedy %q does not name %s", checks["module-already-loaded"].Remedy, want)
	}
}

func TestModuleSignature(t *testing.T) {
	inst := withModule(t, "ngx_http_echo_module.so")
	found(t, run(t, subject(t, inst, nginxtest.Release(t, "1.26.3"))), "module-signature", Blocker, "version 1022001 instead of 1026003")
	s := subject(t, inst, hardened(t))
	found(t, run(t, s), "module-signature", Warning, "ngx_http_echo_module.so", inst.Conf+":1")
	s.Target = store(t, inst.Binary.Path)
	found(t, run(t, s), "module-signature", OK, "ngx_http_echo_module.so")

	e, err := examine(t.Context(), subject(t, inst, hardened(t)))
	if err != nil {
		t.Fatal(err)
	}
	e.build.Flavor = "openresty" // of the same version: -t passes, and nobody checks the layout
	if c := moduleSignature(e); c.Severity != Blocker {
		t.Errorf("OpenResty with nginx's module: %v: %s", c.Severity, c.Evidence)
	}
}

func TestConfigTest(t *testing.T) {
	t.Run("broken on disk", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		edit(t, inst, "sendfile on;", "sendfile on;\n    tcp_nopush perhaps;")
		found(t, run(t, subject(t, inst, hardened(t))), "config-test", Blocker, "running binary itself", "perhaps", inst.Conf)
		edit(t, inst, "sendfile on;", "sendfile on; }")
		found(t, run(t, subject(t, inst, hardened(t))), "config-test", Blocker, inst.Conf)
	})
	t.Run("refused by the target alone", func(t *testing.T) {
		config := strings.Replace(nginxtest.Realistic, "sendfile on;", "sendfile on;\n    resolver 127.0.0.1 ipv4=off;", 1)
		inst := nginxtest.Start(t, nginxtest.Options{Binary: nginxtest.Release(t, "1.26.3"), Config: config})
		found(t, run(t, subject(t, inst, nginxtest.Release(t, "1.22.1"))), "config-test", Blocker, "ipv4=off", inst.Conf+":")
	})
	t.Run("new warnings", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		found(t, run(t, subject(t, inst, nginxtest.Release(t, "1.26.3"))), "config-test", Note, `"listen ... http2" directive is deprecated`)
	})
	t.Run("read otherwise than nginx reads it", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{Files: map[string]string{"conf/more.d/a": "", "conf/more.d/.b": ""}})
		edit(t, inst, "sendfile on;", "sendfile on;\n    include more.d/*;")
		s := subject(t, inst, hardened(t))
		found(t, run(t, s), "config-test", OK, "nginx -T prints what graft read (2 files)")
		edit(t, inst, "sendfile on;", "sendfile off;") // after graft read it
		found(t, run(t, s), "config-test", Warning, "another content of "+inst.Conf)
		edit(t, inst, "sendfile off;", "sendfile on;")
		write(t, filepath.Join(inst.Prefix, "conf/more.d/c"), "")
		found(t, run(t, s), "config-test", Warning, "nginx reads "+filepath.Join(inst.Prefix, "conf/more.d/c")+", which graft does not")
	})
	t.Run("a configuration that uses what env keeps", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{Config: "env OPENSSL_CONF=/dev/null;\n" + nginxtest.Realistic})
		checks := run(t, subject(t, inst, hardened(t)))
		found(t, checks, "config-test", OK)
		found(t, checks, "env-stripped", OK, "OPENSSL_CONF=/dev/null")
	})
}

func TestNamesNeedNoNetwork(t *testing.T) {
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	restore := func() { write(t, "/etc/hosts", string(hosts)) }
	t.Cleanup(restore)
	write(t, "/etc/hosts", string(hosts)+"\n127.0.0.9 backend.test front.test cached.test\n")
	config := strings.Replace(nginxtest.Realistic, "location /app/ {", `location /b/ {
            proxy_pass http://backend.test:8080/;
        }
        listen front.test:{{.Port "named"}};
        set_real_ip_from cached.test;
        location /app/ {`, 1)
	inst := nginxtest.Start(t, nginxtest.Options{Config: config})
	restore() // from now on only the sandbox knows these names
	checks := run(t, subject(t, inst, hardened(t)))
	found(t, checks, "config-test", OK)
	found(t, checks, "listen-changed", OK)
}

func TestNamesThatOnlyNginxKnowsOfAreLearnt(t *testing.T) {
	for output, want := range map[string]string{
		`nginx: [emerg] host not found in upstream "backend.test:81" in /c:3`:                         "backend.test",
		`nginx: [emerg] host not found in upstream "http://backend.test/x" in /c:3`:                   "backend.test",
		`nginx: [emerg] host not found in "front.test:80" of the "listen" directive in /c:3`:          "front.test",
		`nginx: [emerg] host not found in set_real_ip_from "real.test" in /c:3`:                       "real.test",
		`nginx: [emerg] 12#12: host not found in syslog server "log.test:514" in /c:3`:                "log.test",
		"nginx: [warn] something\nnginx: [emerg] ns.test: host not found in /c:3\nnginx: test failed": "ns.test",
	} {
		m := hostNotFound.FindStringSubmatch(output)
		if m == nil || m[1]+m[2] != want {
			t.Errorf("%s: %q, want %q", output, m, want)
		}
	}
	if lines := hostLines([]string{"a.test", "A.test", "localhost", "b.test"}); len(lines) != 2 || strings.Fields(lines[0])[0] == strings.Fields(lines[1])[0] {
		t.Errorf("lines %q, want an address of its own for a.test and b.test", lines)
	}
}

func TestWithoutNamespacesNothingPasses(t *testing.T) {
	s := subject(t, nginxtest.Start(t, nginxtest.Options{}), hardened(t))
	s.Sandboxed = func(context.Context, sandbox.Options, string, ...string) (*exec.Cmd, error) {
		return nil, errors.New("sandbox: neither root nor user namespaces can be had here")
	}
	checks := run(t, s)
	for _, id := range []string{"config-test", "module-lost", "module-already-loaded", "library-missing", "env-stripped"} {
		found(t, checks, id, Warning, "not checked", "user namespaces")
	}
}

func TestLookingChangesNothing(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	s := subject(t, inst, hardened(t))
	before := nginxtest.Snapshot(t, inst.Prefix, "/var/lib/nginx", "/var/log/nginx", "/run", s.StateDir)
	run(t, s)
	if diff := cmp.Diff(before, nginxtest.Snapshot(t, inst.Prefix, "/var/lib/nginx", "/var/log/nginx", "/run", s.StateDir)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
	if workers, err := inst.Workers(inst.MasterPID); err != nil || len(workers) != 2 {
		t.Errorf("workers %v: %v", workers, err)
	}
}

func TestPrefixRelativePaths(t *testing.T) {
	inst := startPackaged(t, packaged, "-c", "/etc/nginx/nginx.conf")
	checks := run(t, subject(t, inst, nginxtest.Foreign(t)))
	found(t, checks, "prefix-relative-paths", Blocker, "root html", "/etc/nginx/nginx.conf:8", "/usr/share/nginx/html becomes /usr/local/openresty/nginx/html",
		"server without root (/etc/nginx/nginx.conf:6)")
	if strings.Contains(checks["prefix-relative-paths"].Evidence, "nginx.conf:10") {
		t.Errorf("a server that only returns needs no root: %s", checks["prefix-relative-paths"].Evidence)
	}
	found(t, run(t, subject(t, inst, hardened(t))), "prefix-relative-paths", OK)

	write(t, "/etc/nginx/nginx.conf", strings.ReplaceAll(read(t, inst.Conf), "root html;", "root /usr/share/nginx/html;"))
	found(t, run(t, subject(t, inst, nginxtest.Foreign(t))), "prefix-relative-paths", Warning, "server without root")
}

func TestPrefixRelativePathsServeAnotherPage(t *testing.T) {
	for dir, page := range map[string]string{"/usr/share/nginx": "the site", "/usr/local/openresty/nginx": "Welcome to OpenResty!"} {
		removed(t, dir+"/html/files")
		write(t, dir+"/html/files/index.html", page)
	}
	inst := startPackaged(t, "pid /run/nginx.pid;\n"+packaged, "-c", "/etc/nginx/nginx.conf")
	found(t, run(t, subject(t, inst, nginxtest.Foreign(t))), "prefix-relative-paths", Blocker, "root html")
	if got := get(t, inst.Addr("http"), "/files/"); got != "the site" {
		t.Fatalf("before: %q", got)
	}

	if err := os.Remove(inst.Exe); err != nil {
		t.Fatal(err)
	}
	write(t, inst.Exe, read(t, nginxtest.Foreign(t).Path))
	if err := os.Chmod(inst.Exe, 0o755); err != nil {
		t.Fatal(err)
	}
	upgrade(t, inst, 1)
	if log := inst.ErrorLogText(t); strings.Contains(log, "[emerg]") || strings.Contains(log, "[alert]") {
		t.Errorf("nginx says something after all:\n%s", log)
	}
	inst.Signal(t, inst.MasterPID, syscall.SIGQUIT)
	eventually(t, "the old master is gone", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 1
	})
	if got := get(t, inst.Addr("http"), "/files/"); got != "Welcome to OpenResty!" {
		t.Errorf("after: %q", got)
	}
}

// upgrade sends USR2 and waits for the new master with its workers.
func upgrade(t *testing.T, inst *nginxtest.Instance, workers int) (young int) {
	t.Helper()
	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	eventually(t, "a new master", func() bool {
		pid, err := inst.PID()
		if err != nil || pid == inst.MasterPID {
			return false
		}
		young = pid
		children, err := inst.Workers(pid)
		return err == nil && len(children) == workers
	})
	return young
}

// get asks once, on a connection of its own; "" if no answer comes within a second.
func get(t *testing.T, addr, path string) string {
	t.Helper()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	resp, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
