package nginx

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginx/conf"
)

func TestDefaultsAreThoseThatNothingReplaces(t *testing.T) {
	b := Build{Prefix: "/p/", Conf: "conf/nginx.conf", ErrorLog: "logs/error.log", Pid: "logs/nginx.pid",
		Configure: []string{"--http-log-path=/var/log/a.log", "--http-proxy-temp-path=temp/proxy", "--without-http_scgi_module"}}
	stderr := b
	stderr.ErrorLog = "stderr"
	for _, tt := range []struct {
		name, config string
		build        Build
		want         []string
	}{
		{"nothing set", "http { server { } }", b,
			[]string{"/p/logs/error.log", "/var/log/a.log", "/p/client_body_temp/", "/p/temp/proxy/", "/p/fastcgi_temp/", "/p/uwsgi_temp/"}},
		{"no server", "http { }", b, []string{"/p/logs/error.log"}},
		{"no http", "stream { server { } }", stderr, nil},
		{"set for all", "http { access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; server { } }", stderr, nil},
		{"set for one of two", "http { client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; server { access_log off; } server { } }", stderr,
			[]string{"/var/log/a.log"}},
		{"set in a location alone", "http { client_body_temp_path a; fastcgi_temp_path c; uwsgi_temp_path d; access_log off; server { location / { proxy_temp_path b; } } }", stderr,
			[]string{"/p/temp/proxy/"}},
		{"a peer is no server", "http { upstream u { server 127.0.0.1; } }", stderr, nil},
	} {
		directives, err := conf.Parse("nginx.conf", []byte(tt.config))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range tt.build.Defaults(tt.build.Paths(Options{}, "/", ""), &conf.Config{Directives: directives}) {
			path := d.Path
			if d.IsDir {
				path += "/"
			}
			if !strings.HasPrefix(d.Option, "--") || d.Directive == "" {
				t.Errorf("%+v", d)
			}
			got = append(got, path)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
