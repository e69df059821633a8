package nginx

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"graft/internal/nginxtest"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestParseBuildReadsWhatEachFlavorPrints(t *testing.T) {
	for _, tt := range []struct {
		name, v, h string
		want       Build
		arguments  int
	}{
		{
			name: "Debian 12", v: readFile(t, "../cli/testdata/debian-12-nginx-V.txt"),
			h: "  -p prefix     : set prefix path (default: /usr/share/nginx/)\n  -e filename   : set error log file (default: stderr)\n" +
				"  -c filename   : set configuration file (default: /etc/nginx/nginx.conf)\n",
			want: Build{
				Flavor: FlavorNginx, Version: "1.22.1", BuiltWith: "OpenSSL 3.0.20 7 Apr 2026 (running with OpenSSL 3.0.19 27 Jan 2026)",
				Prefix: "/usr/share/nginx/", Conf: "/etc/nginx/nginx.conf", ErrorLog: "stderr", Pid: "/run/nginx.pid", Lock: "/var/lock/nginx.lock",
			},
			arguments: 44,
		},
		{
			// -h of 1.10 knows no -e.
			name: "Ubuntu 16.04", v: readFile(t, "testdata/ubuntu-16.04-nginx-V.txt"),
			h: "  -p prefix     : set prefix path (default: /usr/share/nginx/)\n  -c filename   : set configuration file (default: /etc/nginx/nginx.conf)\n",
			want: Build{
				Flavor: FlavorNginx, Version: "1.10.3", BuiltWith: "OpenSSL 1.0.2g  1 Mar 2016",
				Prefix: "/usr/share/nginx/", Conf: "/etc/nginx/nginx.conf", ErrorLog: "/var/log/nginx/error.log", Pid: "/run/nginx.pid", Lock: "/var/lock/nginx.lock",
			},
			arguments: 34,
		},
		{
			name: "OpenResty", v: "nginx version: openresty/1.21.4.1\nbuilt by gcc 12.2.0 (Debian 12.2.0-14)\nbuilt with OpenSSL 3.0.11 19 Sep 2023\n" +
				"TLS SNI support enabled\nconfigure arguments: --prefix=/usr/local/openresty/nginx --with-cc-opt=-O2 --add-module=../ngx_devel_kit-0.3.1\n",
			h: "  -p prefix     : set prefix path (default: /usr/local/openresty/nginx/)\n  -c filename   : set configuration file (default: conf/nginx.conf)\n",
			want: Build{
				Flavor: FlavorOpenResty, Version: "1.21.4.1", BuiltWith: "OpenSSL 3.0.11 19 Sep 2023",
				Prefix: "/usr/local/openresty/nginx/", Conf: "conf/nginx.conf", ErrorLog: "logs/error.log", Pid: "logs/nginx.pid", Lock: "logs/nginx.lock",
			},
			arguments: 3,
		},
		{
			// A header brought in by -include overrides NGX_PREFIX: -V repeats what configure was asked for, -h what is compiled in.
			name: "a prefix of its own", v: "nginx version: openresty/1.21.4.1\nconfigure arguments: --prefix=/usr/local/openresty/nginx --conf-path=/etc/nginx/nginx.conf\n",
			h: "  -p prefix     : set prefix path (default: /usr/share/nginx/)\n",
			want: Build{
				Flavor: FlavorOpenResty, Version: "1.21.4.1", Prefix: "/usr/share/nginx/", Conf: "/etc/nginx/nginx.conf",
				ErrorLog: "logs/error.log", Pid: "logs/nginx.pid", Lock: "logs/nginx.lock",
			},
			arguments: 2,
		},
		{
			name: "Tengine tells two versions: its own comes first", v: "Tengine version: Tengine/3.1.0\nnginx version: nginx/1.24.0\nconfigure arguments: --with-threads\n",
			want:      Build{Flavor: FlavorTengine, Version: "3.1.0", Prefix: "/usr/local/nginx/", Conf: "conf/nginx.conf", ErrorLog: "logs/error.log", Pid: "logs/nginx.pid", Lock: "logs/nginx.lock"},
			arguments: 1,
		},
		{
			name: "Angie", v: "Angie version: Angie/1.5.1\nbuilt by gcc 12.2.0\nconfigure arguments: --prefix=/etc/angie --conf-path=/etc/angie/angie.conf --pid-path=/run/angie.pid\n",
			h:         "  -p prefix     : set prefix path (default: /etc/angie/)\n",
			want:      Build{Flavor: FlavorAngie, Version: "1.5.1", Prefix: "/etc/angie/", Conf: "/etc/angie/angie.conf", ErrorLog: "logs/error.log", Pid: "/run/angie.pid", Lock: "logs/nginx.lock"},
			arguments: 3,
		},
		{
			name: "freenginx, nothing configured", v: "freenginx version: freenginx/1.27.1 (Ubuntu)\nconfigure arguments:\n",
			want: Build{Flavor: FlavorFreenginx, Version: "1.27.1", Prefix: "/usr/local/nginx/", Conf: "conf/nginx.conf", ErrorLog: "logs/error.log", Pid: "logs/nginx.pid", Lock: "logs/nginx.lock"},
		},
		{
			name: "the last of two equal options holds", v: "nginx version: nginx/1.26.3\nconfigure arguments: --pid-path=/a --pid-path=/b\n",
			want:      Build{Flavor: FlavorNginx, Version: "1.26.3", Prefix: "/usr/local/nginx/", Conf: "conf/nginx.conf", ErrorLog: "logs/error.log", Pid: "/b", Lock: "logs/nginx.lock"},
			arguments: 2,
		},
		{
			name: "compiled without a prefix: the one that -p gives is all", v: "nginx version: nginx/1.26.3\nconfigure arguments: --prefix=\n",
			h:         "  -p prefix     : set prefix path (default: NONE)\n",
			want:      Build{Flavor: FlavorNginx, Version: "1.26.3", Prefix: "/usr/local/nginx/", Conf: "conf/nginx.conf", ErrorLog: "logs/error.log", Pid: "logs/nginx.pid", Lock: "logs/nginx.lock"},
			arguments: 1,
		},
	} {
		got, err := ParseBuild(tt.v, tt.h)
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Build{}, "Configure")); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", tt.name, err, diff)
		}
		if len(got.Configure) != tt.arguments || slices.ContainsFunc(got.Configure, func(arg string) bool { return !strings.HasPrefix(arg, "--") }) {
			t.Errorf("%s: %d arguments %q, want %d", tt.name, len(got.Configure), got.Configure, tt.arguments)
		}
	}
	for _, v := range []string{"", "bash, version 5.2", "nginx version: 1.22\n", "nginx version: nginx/1.22.1\nconfigure arguments: --with-cc-opt='-O2\n"} {
		if b, err := ParseBuild(v, ""); err == nil {
			t.Errorf("%q: taken for %+v", v, b)
		}
	}
}

func TestAskRunsTheBinaryItself(t *testing.T) {
	bin := nginxtest.Release(t, "1.26.3")
	b, err := Ask(t.Context(), bin.Path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(nginxtest.Flags(), b.Configure); diff != "" {
		t.Errorf("configure arguments (-given +read)\n%s", diff)
	}
	if b.Version != "1.26.3" || b.Flavor != FlavorNginx || b.Prefix != "/usr/share/nginx/" || b.Pid != "/run/nginx.pid" {
		t.Errorf("%+v", b)
	}
	// The trap env-stripped: what only LD_LIBRARY_PATH finds is not found.
	t.Setenv("LD_LIBRARY_PATH", t.TempDir())
	if _, err := Ask(t.Context(), bin.Path); err != nil {
		t.Errorf("the environment matters: %v", err)
	}
	for _, path := range []string{"/bin/false", "/bin/true", "/nowhere/nginx"} {
		if b, err := Ask(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %+v, %v, want an error that names it", path, b, err)
		}
	}
}
