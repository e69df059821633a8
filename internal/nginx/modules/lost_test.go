package modules

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginx/conf"
	"graft/internal/nginxtest"
)

// A configuration that the distribution's nginx with all its modules takes.
const oldConfig = `events { }
http {
    geoip_proxy 10.0.0.0/8;
    log_format l '$remote_addr "$msie"';
    map $geoip_country_code $allowed { default yes; XX no; }
    upstream u { fair; server 127.0.0.1:9; }
    server {
        more_set_headers "Server: x";
        location / {
            auth_request /a;
            echo "hello ${geoip_city}";
            if ($allowed) { more_clear_headers Date; }
        }
        location /a { return 200; }
    }
}
stream {
    server { listen 127.0.0.1:8; return $geoip_country_code; }
}
`

func TestWhatAMigrationLosesIsToldWithItsLine(t *testing.T) {
	old := extras(t)
	dir := t.TempDir()
	if out, passes, err := old.test(t.Context(), dir, old.preamble()+oldConfig); err != nil || !passes {
		t.Fatalf("the old nginx does not take it: %v\n%s", err, out)
	}
	config := loadConfig(t, oldConfig)
	lost := old.table(t).Lost(read(t, nginxtest.Release(t, "1.26.3").Path))

	var got []string
	for _, u := range append(lost.Uses(config), lost.UsesVariables(config)...) {
		got = append(got, fmt.Sprintf("%s:%d %s%s", u.Module, u.Pos.Line, u.Directive, u.Variable))
	}
	want := []string{
		"ngx_http_geoip_module:3 geoip_proxy",
		"ngx_http_upstream_fair_module:6 fair",
		"ngx_http_headers_more_filter_module:8 more_set_headers",
		"ngx_http_auth_request_module:10 auth_request",
		"ngx_http_echo_module:11 echo",
		"ngx_http_headers_more_filter_module:12 more_clear_headers",
		"ngx_http_geoip_module:5 geoip_country_code",
		"ngx_http_geoip_module:11 geoip_city",
		"ngx_stream_geoip_module:18 geoip_country_code",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

var refusedAt = regexp.MustCompile(`unknown directive "([^"]+)" in [^\n]*:(\d+)\n`)

// Line after line is taken out that the new nginx complains of: these are the lines that Lost names.
func TestTheNewNginxRefusesJustTheLinesThatAreTold(t *testing.T) {
	release := nginxtest.Release(t, "1.26.3")
	target := judge{binary: release.Path}
	config := loadConfig(t, oldConfig)
	lost := extras(t).table(t).Lost(read(t, release.Path))
	lines := strings.SplitAfter(oldConfig, "\n")
	dir := t.TempDir()
	for _, use := range lost.Uses(config) {
		out, _, err := target.test(t.Context(), dir, strings.Join(lines, ""))
		if err != nil {
			t.Fatal(err)
		}
		m := refusedAt.FindStringSubmatch(out)
		if m == nil || m[1] != use.Directive || m[2] != fmt.Sprint(use.Pos.Line) {
			t.Fatalf("nginx says:\n%sand not %q on line %d", out, use.Directive, use.Pos.Line)
		}
		line := &lines[use.Pos.Line-1]
		*line = strings.Replace(*line, use.Directive+" ", "#", 1)
		if use.Directive == "fair" {
			*line = strings.Replace(*line, "fair;", "", 1)
		}
		*line = regexp.MustCompile(`#[^;\n]*;`).ReplaceAllString(*line, "")
	}
	for _, use := range lost.UsesVariables(config) {
		out, passes, err := target.test(t.Context(), dir, strings.Join(lines, ""))
		if err != nil || passes {
			t.Fatalf("$%s is of no matter to nginx: %v\n%s", use.Variable, err, out)
		}
		lines[use.Pos.Line-1] = strings.ReplaceAll(lines[use.Pos.Line-1], "$"+use.Variable, "$server_port")
		lines[use.Pos.Line-1] = strings.ReplaceAll(lines[use.Pos.Line-1], "${"+use.Variable+"}", "$server_port")
	}
	if out, passes, err := target.test(t.Context(), dir, strings.Join(lines, "")); err != nil || !passes {
		t.Errorf("without them it is still refused: %v\n%s", err, out)
	}
}

func TestNothingIsLostToTheSameBinary(t *testing.T) {
	old := extras(t).table(t)
	if lost := old.Lost(old); lost.Modules != nil || lost.Variables != nil {
		t.Errorf("%+v", lost)
	}
}

// A dynamic module becomes a built-in one of the target: stream here, but without SSL.
func TestAModuleThatIsBuiltInNowIsNotLost(t *testing.T) {
	stream := read(t, unpacked(t, "native", "usr/lib/nginx/modules/ngx_stream_module.so"))
	target := read(t, nginxtest.Release(t, "1.22.1").Path)
	lost := read(t, nginxtest.Debian(t).Path).With(stream).Lost(target)
	config := loadConfig(t, "stream { server { listen 9; proxy_pass 127.0.0.1:8;\n proxy_ssl on; } }")
	if diff := cmp.Diff([]string{"2 ngx_stream_proxy_module proxy_ssl"}, described(lost.Uses(config))); diff != "" {
		t.Error(diff)
	}
	if lost.Has("ngx_stream_core_module") || !lost.Has("ngx_stream_ssl_module") {
		t.Errorf("lost are %q", lost.Names())
	}
	if !errors.Is(target.Accepts(stream), ErrLoaded) {
		t.Errorf("its load_module line: %v", target.Accepts(stream))
	}
}

// `ssl on` went away in 1.25.1, the module stayed.
func TestADirectiveThatAModuleNoLongerHasIsLost(t *testing.T) {
	old, target := read(t, nginxtest.Release(t, "1.18.0").Path), read(t, nginxtest.Release(t, "1.26.3").Path)
	lost := old.Lost(target)
	config := loadConfig(t, "http { server { ssl on; location / { } } }")
	uses := lost.Uses(config)
	if len(uses) != 1 || uses[0].Directive != "ssl" || uses[0].Module != "ngx_http_ssl_module" || !target.Has(uses[0].Module) {
		t.Errorf("%+v", uses)
	}
}

func TestADirectiveIsLostOnlyInTheContextsThatAreGone(t *testing.T) {
	in := func(bits uint64) Table {
		return Table{Modules: []Module{{"m", HTTP, []Directive{{"d", bits | 2}}, nil}}}
	}
	lost := in(0x06000000).Lost(in(0x04000000), in(0x40000000))
	if diff := cmp.Diff(in(0x02000000), lost); diff != "" {
		t.Error(diff)
	}
}

// Whether a binary loads a module, nginx itself decides by the same three things.
func TestABinaryAcceptsTheModulesThatNginxLoads(t *testing.T) {
	debian := nginxtest.Debian(t)
	foreign := nginxtest.Build(t, nginxtest.Source(t, debian.Version), "--without-http_rewrite_module",
		"--without-http_gzip_module", "--with-cc-opt=-O0 -Wno-error") // without --with-compat
	echo := unpacked(t, "native", "usr/lib/nginx/modules/ngx_http_echo_module.so")
	stream := unpacked(t, "native", "usr/lib/nginx/modules/ngx_stream_module.so")
	for _, c := range []struct {
		name, binary string
		loads        []string
		want         error
		says         string
	}{
		{"its own", debian.Path, []string{echo}, nil, ""},
		{"two", debian.Path, []string{echo, stream}, nil, ""},
		{"twice", debian.Path, []string{echo, echo}, ErrLoaded, "is already loaded"},
		{"of another version", nginxtest.Release(t, "1.18.0").Path, []string{echo}, ErrVersion, "instead of 1018000"},
		{"of another build", foreign.Path, []string{echo}, ErrSignature, "is not binary compatible"},
	} {
		j := judge{binary: c.binary, loads: c.loads}
		out, passes, err := j.test(t.Context(), t.TempDir(), j.preamble()+"events { }")
		if err != nil || passes != (c.want == nil) || !strings.Contains(out, c.says) {
			t.Errorf("%s: nginx says: %v\n%s", c.name, err, out)
		}
		table := read(t, c.binary)
		var got error
		for _, so := range c.loads {
			got = errors.Join(got, table.Accepts(read(t, so)))
			table = table.With(read(t, so))
		}
		if !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestModulesOlderThanDynamicOnesAreNotJudged(t *testing.T) {
	if err := little().Accepts(little()); !errors.Is(err, ErrNotKnown) {
		t.Error(err)
	}
}

func TestDynamicModulesAreFoundUnderThePrefix(t *testing.T) {
	prefix := t.TempDir()
	if err := os.Symlink(unpacked(t, "native", "usr/lib/nginx/modules"), filepath.Join(prefix, "modules")); err != nil {
		t.Fatal(err)
	}
	absolute := unpacked(t, "native", "usr/lib/nginx/modules/ngx_rtmp_module.so")
	config := loadConfig(t, "load_module modules/ngx_http_echo_module.so;\nload_module "+absolute+";\nload_module modules/none.so;\n")
	loaded := Dynamic(config, "", prefix)
	if len(loaded) != 3 {
		t.Fatalf("%+v", loaded)
	}
	if l := loaded[0]; l.Err != nil || l.Path != prefix+"/modules/ngx_http_echo_module.so" || l.Directive.Line != 1 ||
		!cmp.Equal(l.Table.Names(), []string{"ngx_http_echo_module"}) {
		t.Errorf("relative: %+v", l)
	}
	if l := loaded[1]; l.Err != nil || len(l.Table.Modules) != 22 || l.Table.Modules[0].Name != "ngx_rtmp_module" {
		t.Errorf("absolute: %+v", l)
	}
	if l := loaded[2]; !errors.Is(l.Err, os.ErrNotExist) {
		t.Errorf("not there: %+v", l)
	}
}

// In a container /etc/nginx/modules is often an absolute link: it leads to a place in the container.
func TestDynamicModulesAreFoundInAContainersRoot(t *testing.T) {
	root := t.TempDir()
	so, err := os.ReadFile(unpacked(t, "native", "usr/lib/nginx/modules/ngx_http_echo_module.so"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"usr/lib/nginx/modules", "etc/nginx"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "usr/lib/nginx/modules/echo.so"), so, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"modules": "/usr/lib/nginx/modules", "out": "../../../../../../../../bin"} {
		if err := os.Symlink(target, filepath.Join(root, "etc/nginx", name)); err != nil {
			t.Fatal(err)
		}
	}
	config := loadConfig(t, "load_module modules/echo.so; load_module out/sh;")
	loaded := Dynamic(config, root, "/etc/nginx")
	if l := loaded[0]; l.Err != nil || !l.Table.Has("ngx_http_echo_module") {
		t.Errorf("%+v", l)
	}
	if l := loaded[1]; !errors.Is(l.Err, os.ErrNotExist) {
		t.Errorf("a link out of the root: %v", l.Err)
	}
}

func TestTheDistributionsOwnConfigurationHasNothingUnknown(t *testing.T) {
	debian := nginxtest.Debian(t)
	config, err := conf.Load(conf.Options{Root: debian.Root, File: "/etc/nginx/nginx.conf"})
	if err != nil {
		t.Fatal(err)
	}
	table := read(t, debian.Path)
	if unknown := table.Unknown(config); unknown != nil {
		t.Errorf("%+v", unknown)
	}
	if uses := table.Uses(config); len(uses) < 10 {
		t.Errorf("%+v", uses)
	}
}
