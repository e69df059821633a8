package nginx

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitCommandFindsTheBoundariesNginxMustHaveSeen(t *testing.T) {
	for _, tt := range []struct {
		command string
		want    []string
		doubt   bool
	}{
		{"/usr/sbin/nginx", []string{"/usr/sbin/nginx"}, false},
		{"nginx -c /etc/nginx/nginx.conf", []string{"nginx", "-c", "/etc/nginx/nginx.conf"}, false},
		{"/usr/sbin/nginx -g daemon on; master_process on;", []string{"/usr/sbin/nginx", "-g", "daemon on; master_process on;"}, false},
		{"/usr/sbin/nginx -g daemon on; -c /a b/n.conf", []string{"/usr/sbin/nginx", "-g", "daemon on;", "-c", "/a b/n.conf"}, false},
		{"nginx -g env A=x -c; -p /srv", []string{"nginx", "-g", "env A=x -c;", "-p", "/srv"}, false},
		{"/opt/my nginx/sbin/nginx -p /srv/", []string{"/opt/my nginx/sbin/nginx", "-p", "/srv/"}, false},
		{"nginx -c/etc/n.conf -e stderr", []string{"nginx", "-c/etc/n.conf", "-e", "stderr"}, false},
		{"nginx -p /srv/a  b", []string{"nginx", "-p", "/srv/a  b"}, false},
		{"nginx -p /srv/a -x y", []string{"nginx", "-p", "/srv/a", "-x y"}, true},
	} {
		argv, doubt := SplitCommand(tt.command)
		if diff := cmp.Diff(tt.want, argv); diff != "" {
			t.Errorf("%q: argv (-want +got)\n%s", tt.command, diff)
		}
		if (doubt != "") != tt.doubt {
			t.Errorf("%q: doubt %q, want some: %v", tt.command, doubt, tt.doubt)
		}
	}
}

func TestParseOptionsReadsGluedAndSeparateValues(t *testing.T) {
	got, err := ParseOptions([]string{"nginx", "-qc", "a.conf", "-p/srv", "-g", "daemon off;", "-e", "stderr"})
	if err != nil {
		t.Fatal(err)
	}
	want := Options{Prefix: "/srv", Conf: "a.conf", Global: "daemon off;", ErrorLog: "stderr"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range [][]string{{"nginx", "-c"}, {"nginx", "-x"}, {"nginx", "conf"}} {
		if o, err := ParseOptions(bad); err == nil {
			t.Errorf("%q: took it as %+v, want an error", bad, o)
		}
	}
}

func TestParseTitle(t *testing.T) {
	for title, want := range map[string]Title{
		"nginx: master process /usr/sbin/nginx -g daemon on;":  {Role: RoleMaster, Command: "/usr/sbin/nginx -g daemon on;"},
		"angie: master process v1.5.1 #1 [/usr/sbin/angie -q]": {Role: RoleMaster, Command: "/usr/sbin/angie -q"},
		"nginx: worker process":                                {Role: RoleWorker},
		"nginx: worker process is shutting down":               {Role: RoleWorker, ShuttingDown: true},
		"nginx: cache manager process":                         {Role: RoleCacheManager},
		"nginx: privileged agent process":                      {Role: RoleAgent},
	} {
		if got, ok := ParseTitle(title); !ok || got != want {
			t.Errorf("%q: %+v, %v, want %+v", title, got, ok, want)
		}
	}
	for _, title := range []string{"", "bash", "nginx", "vim nginx: master process", "grep nginx: worker process"} {
		if got, ok := ParseTitle(title); ok {
			t.Errorf("%q: taken for %+v", title, got)
		}
	}
}

func TestLexConfigureReadsWhatConfigureWrites(t *testing.T) {
	for _, args := range [][]string{
		{"--prefix=/usr/share/nginx", "--with-threads"},
		{"--with-cc-opt=-g -O2 -fPIE", "--with-ld-opt=-Wl,-z,relro -Wl,-z,now"},
		{"--with-cc-opt=-DX='a b' -O2", "--with-stream=dynamic"},
		{`--with-cc-opt=-DNAME='"x"'`, "--add-module=/a/b"},
		{},
	} {
		line := QuoteConfigure(args)
		got, err := LexConfigure(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(args, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", line, diff)
		}
	}
	if args, err := LexConfigure("--with-cc-opt='-O2"); err == nil {
		t.Errorf("an open quote was read as %q", args)
	}
}

func TestPathsAreResolvedAsNginxDoes(t *testing.T) {
	debian := Build{Prefix: "/usr/share/nginx/", Conf: "/etc/nginx/nginx.conf", Pid: "/run/nginx.pid", ErrorLog: "/var/log/nginx/error.log"}
	plain := Build{Prefix: "/usr/local/nginx/", Conf: "conf/nginx.conf", Pid: "logs/nginx.pid", ErrorLog: "logs/error.log"}
	for _, tt := range []struct {
		name string
		b    Build
		o    Options
		pid  string
		want Paths
	}{
		{"compiled in", debian, Options{}, "", Paths{"/usr/share/nginx/", "/etc/nginx/nginx.conf", "/etc/nginx/", "/run/nginx.pid", "/var/log/nginx/error.log"}},
		{"relative ones lie under the prefix", plain, Options{}, "", Paths{"/usr/local/nginx/", "/usr/local/nginx/conf/nginx.conf", "/usr/local/nginx/conf/", "/usr/local/nginx/logs/nginx.pid", "/usr/local/nginx/logs/error.log"}},
		{"-p moves them", plain, Options{Prefix: "/srv/n"}, "run/n.pid", Paths{"/srv/n/", "/srv/n/conf/nginx.conf", "/srv/n/conf/", "/srv/n/run/n.pid", "/srv/n/logs/error.log"}},
		{"a relative -p counts from the working directory", plain, Options{Prefix: "n", Conf: "a.conf"}, "", Paths{"/home/n/", "/home/n/a.conf", "/home/n/", "/home/n/logs/nginx.pid", "/home/n/logs/error.log"}},
	} {
		if diff := cmp.Diff(tt.want, tt.b.Paths(tt.o, "/home", tt.pid)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
