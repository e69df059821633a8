package build_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/build/buildtest"
	"graft/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// debian is Debian's own nginx, installed by apt in a copy-on-write view of this machine: its package
// database, its configuration, its modules. What is installed vanishes with the test.
type debian struct {
	t     *testing.T
	graft string
}

// run runs a shell script in a fresh view.
func (d debian) run(script string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 10*time.Minute)
	defer cancel()
	cmd, err := sandbox.Command(ctx, sandbox.Options{HostNetwork: true, Binds: []string{buildtest.CacheDir(d.t)}}, "/bin/sh", "-eu", "-c", script)
	if err != nil {
		d.t.Fatal(err)
	}
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive", "XDG_CACHE_HOME=" + buildtest.CacheDir(d.t) + "/debian",
		"GRAFT_STATE_DIR=" + buildtest.CacheDir(d.t) + "/debian/state", "GRAFT=" + d.graft,
	}
	// The test runs with CI's proxies and mirrors, which apt may need.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasSuffix(strings.ToLower(name), "_proxy") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("%v\n%s\n%s", err, out.String(), errs.String())
	}
	return out.String()
}

// script is one that begins with nginx, Debian's modules named and the configuration, started.
func script(modules, conf, rest string) string {
	return `
apt() { apt-get -q -o DPkg::Lock::Timeout=300 "$@" >/tmp/apt 2>&1 || { cat /tmp/apt >&2; exit 1; }; }
serves() { # waits for the address, then prints what it answers
	i=0; while ! curl -fs -m 5 -o /dev/null "$1"; do i=$((i+1)); [ $i -lt 100 ] || { tail /var/log/nginx/error.log >&2; exit 1; }; sleep 0.05; done
	curl -s -m 5 -i "$1" | tr -d '\r' | grep -v '^\(Date\|ETag\|Last-Modified\|Connection\|Transfer-Encoding\): '
}
migrate() {
	"$GRAFT" plan --to "$1" --out /tmp/plan -o json
	"$GRAFT" apply /tmp/plan --overlap 1s --park 1s --min-requests 1 --undetermined proceed --yes --no-rehearsal >/tmp/apply 2>&1 || { cat /tmp/apply >&2; exit 1; }
}
rollback() { "$GRAFT" rollback --yes >/tmp/apply 2>&1 || { cat /tmp/apply >&2; exit 1; }; }
loaded() { awk '/\/modules\//{print $6}' /proc/"$(cat /run/nginx.pid)"/maps | sort -u; }

printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d # no service is started
apt update
apt -y --no-install-recommends install nginx curl ` + modules + `
rm /etc/nginx/sites-enabled/default
cat >/etc/nginx/conf.d/graft.conf <<'END'
` + conf + `
END
/usr/sbin/nginx
` + rest
}

// nginx-extras is a package of dependencies: Debian's modules, each loaded by a file of its own. All of
// nginx's own are built anew, and those whose source packages are to be had; the configuration stays.
func TestModulesOfDebiansNginxExtras(t *testing.T) {
	d := debian{t, graftProgram(t)}
	out := d.run(script(`libnginx-mod-http-geoip libnginx-mod-http-image-filter libnginx-mod-http-perl libnginx-mod-http-xslt-filter libnginx-mod-mail `+
		`libnginx-mod-stream libnginx-mod-stream-geoip libnginx-mod-http-ndk libnginx-mod-http-lua libnginx-mod-http-echo libnginx-mod-http-headers-more-filter`, `
server {
	listen 127.0.0.1:8080;
	root html;
	location /lua { content_by_lua_block { ngx.say(jit and "LuaJIT", " ", ngx.re.match("ab12", "[0-9]+", "jo")[0]) } }
	location /echo { echo echoed; more_set_headers "X-More: set"; }
	location /perl { perl 'sub { my $r = shift; $r->send_http_header("text/plain"); $r->print("perl\n"); return OK; }'; }
}`, `
all() { for path in index.html lua echo perl; do serves http://127.0.0.1:8080/$path; done; }
all >/tmp/before; loaded >/tmp/loaded
apt -y remove libgd-dev libgeoip-dev libxslt1-dev libperl-dev
! "$GRAFT" build --source distro >/dev/null 2>/tmp/build # what is missing is told together, with one command
grep -q 'apt-get install .*libxslt1-dev.*libgd-dev.*libgeoip-dev.*libperl-dev' /tmp/build || { cat /tmp/build >&2; exit 1; }
id=$("$GRAFT" build --source distro --install-deps --yes 2>/tmp/build) || { cat /tmp/build >&2; exit 1; }
migrate "$id"
nginx -t 2>/tmp/test || { cat /tmp/test >&2; exit 1; }
nginx -s reload
all >/tmp/after; loaded >/tmp/loaded-after
diff /tmp/before /tmp/after >&2
sed 's/.*\///' /tmp/loaded | grep -v 'lua\|ndk' >/tmp/names; sed 's/.*\///' /tmp/loaded-after | diff /tmp/names - >&2
! grep -v '^/usr/local/openresty/nginx/modules/' /tmp/loaded-after >&2
rollback
nginx -s reload
all >/tmp/back; loaded >/tmp/loaded-back
diff /tmp/before /tmp/back >&2
diff /tmp/loaded /tmp/loaded-back >&2

# A module that no package has: what needs it is told before the build.
apt -y --no-install-recommends install libnginx-mod-http-auth-pam
rm /etc/nginx/modules-enabled/*auth-pam.conf
mkdir /opt/modules && cp /usr/lib/nginx/modules/ngx_http_auth_pam_module.so /opt/modules/
echo 'load_module /opt/modules/ngx_http_auth_pam_module.so;' >/etc/nginx/modules-enabled/90-own.conf
cat >/etc/nginx/conf.d/pam.conf <<'END'
server {
	listen 127.0.0.1:8081;
	location / { auth_pam "who is it"; }
}
END
nginx -s reload
"$GRAFT" build --source distro --dry-run >/tmp/dry
grep -q 'the target will not have ngx_http_auth_pam_module.*90-own.conf:1.*--add-module DIR.*auth_pam at /etc/nginx/conf.d/pam.conf:3' /tmp/dry || { cat /tmp/dry >&2; exit 1; }
id=$("$GRAFT" build --source distro 2>/tmp/build)
grep -q '^warning: the target will not have ngx_http_auth_pam_module' /tmp/build || { cat /tmp/build >&2; exit 1; }
# The same nginx with the same signature would load the old file: the plan says which, and that it proves little.
"$GRAFT" plan --to "$id" -v >/tmp/plan
tr -s ' \n' '  ' </tmp/plan | grep -q 'warning module-signature these.*/opt/modules/ngx_http_auth_pam_module.so (/etc/nginx/modules-enabled/90-own.conf:1) →' || { cat /tmp/plan >&2; exit 1; }
`))
	checkPlan(t, out)
}

// checkPlan looks at the checks of a plan in JSON that the modules and the hardening are about.
func checkPlan(t *testing.T, text string) {
	t.Helper()
	var plan struct {
		Checks []struct{ ID, Severity, Evidence string } `json:"checks"`
	}
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	wanted := map[string]bool{"module-signature": true, "module-already-loaded": true, "module-lost": true, "hardening-lost": true, "prefix-relative-paths": true, "library-missing": true}
	for _, c := range plan.Checks {
		if wanted[c.ID] && c.Severity != "ok" {
			t.Errorf("%s %s: %s", c.Severity, c.ID, c.Evidence)
		}
		delete(wanted, c.ID)
	}
	if len(wanted) > 0 {
		t.Errorf("not checked: %v", wanted)
	}
}

// graftProgram builds the program that the scripts run.
func graftProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "graft")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "graft/cmd/graft")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// The manual procedure's own nginx, Ubuntu 16.04's 1.10.3 with all it had built in, made anew: Debian's own
// configuration starts on it, relative paths keep their meaning, Lua runs, nothing of the hardening is lost.
func TestFlagsOfTheManualProcedure(t *testing.T) {
	text, err := os.ReadFile("flags/testdata/ubuntu1604-nginx.txt")
	if err != nil {
		t.Fatal(err)
	}
	d := debian{t, graftProgram(t)}
	out := d.run(script("", `server { listen 127.0.0.1:8080; root html; }`, `
serves http://127.0.0.1:8080/index.html >/tmp/before
cat >/tmp/like <<'END'
`+string(text)+`
END
id=$("$GRAFT" build --source distro --like /tmp/like --install-deps --yes 2>/tmp/build) || { cat /tmp/build >&2; exit 1; }
migrate "$id"
serves http://127.0.0.1:8080/index.html | diff /tmp/before - >&2
cat >/etc/nginx/conf.d/graft.conf <<'END'
geoip_proxy 10.0.0.1;
server {
	listen 127.0.0.1:8080;
	root html;
	location /lua { image_filter off; content_by_lua_block { ngx.say(jit and "LuaJIT") } }
}
END
nginx -t 2>/tmp/test || { cat /tmp/test >&2; exit 1; }
nginx -s reload
i=0; until serves http://127.0.0.1:8080/lua | grep -q LuaJIT; do i=$((i+1)); [ $i -lt 100 ]; sleep 0.05; done
echo 'server { listen 127.0.0.1:8080; root html; }' >/etc/nginx/conf.d/graft.conf
rollback
serves http://127.0.0.1:8080/index.html | diff /tmp/before - >&2
`))
	checkPlan(t, out)
}
