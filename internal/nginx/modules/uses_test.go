package modules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginx/conf"
)

// described puts uses as "line module what".
func described(uses []Use) (list []string) {
	for _, u := range uses {
		what := u.Directive
		if u.Variable != "" {
			what = "$" + u.Variable
		}
		list = append(list, strings.Join(strings.Fields(fmt.Sprintf("%d %s %s", u.Pos.Line, u.Module, what)), " "))
	}
	return list
}

func only(t Table, names ...string) Table {
	var some Table
	for _, m := range t.Modules {
		for _, name := range names {
			if m.Name == name {
				some.Modules = append(some.Modules, m)
			}
		}
	}
	return some
}

func TestADirectiveOfTwoModulesIsToldApartByItsPlace(t *testing.T) {
	table := extras(t).table(t)
	config := loadConfig(t, `allow_me_not off;
events { use epoll; }
http {
    return_not 1;
    server {
        return 200;
        allow all;
        if ($uri) { return 201; }
        location / { if ($uri) { return 202; } }
    }
    upstream u { server 127.0.0.1; hash $uri; }
}
stream {
    upstream u { server 127.0.0.1:9; hash $remote_addr; }
    server { allow all; return x; listen 9; }
}
rtmp { server { listen 1935; application a { allow publish all; recorder r { record off; } } } }
`)
	want := []string{
		"2 ngx_events_module events", "2 ngx_event_core_module use",
		"3 ngx_http_module http",
		"5 ngx_http_core_module server", "6 ngx_http_rewrite_module return", "7 ngx_http_access_module allow",
		"8 ngx_http_rewrite_module if", "8 ngx_http_rewrite_module return",
		"9 ngx_http_core_module location", "9 ngx_http_rewrite_module if", "9 ngx_http_rewrite_module return",
		"11 ngx_http_upstream_module upstream", "11 ngx_http_upstream_module server", "11 ngx_http_upstream_hash_module hash",
		"13 ngx_stream_module stream",
		"14 ngx_stream_upstream_module upstream", "14 ngx_stream_upstream_module server", "14 ngx_stream_upstream_hash_module hash",
		"15 ngx_stream_core_module server", "15 ngx_stream_access_module allow", "15 ngx_stream_return_module return", "15 ngx_stream_core_module listen",
		"17 ngx_rtmp_module rtmp", "17 ngx_rtmp_core_module server", "17 ngx_rtmp_core_module listen",
		"17 ngx_rtmp_core_module application", "17 ngx_rtmp_access_module allow", "17 ngx_rtmp_record_module recorder", "17 ngx_rtmp_record_module record",
	}
	if diff := cmp.Diff(want, described(table.Uses(config))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1 allow_me_not", "4 return_not"}, described(table.Unknown(config))); diff != "" {
		t.Error(diff)
	}
}

func TestLuaBlocksCount(t *testing.T) {
	table := read(t, unpacked(t, "native", "usr/lib/nginx/modules/ngx_http_lua_module.so"))
	config := loadConfig(t, `http {
    init_by_lua_block { require "resty.core" }
    server { location / { content_by_lua_block { ngx.say("}") } access_by_lua 'return'; } }
}
`)
	want := []string{
		"2 ngx_http_lua_module init_by_lua_block",
		"3 ngx_http_lua_module content_by_lua_block", "3 ngx_http_lua_module access_by_lua",
	}
	if diff := cmp.Diff(want, described(table.Uses(config))); diff != "" {
		t.Error(diff)
	}
}

// A block of a module that only this module understands: what stands in it may be anything.
func TestInABlockOfAnotherModuleTooMuchIsToldRatherThanTooLittle(t *testing.T) {
	table := read(t, unpacked(t, "native", "usr/lib/nginx/modules/ngx_http_echo_module.so"))
	config := loadConfig(t, "http { their_block { echo 1; } }\ntheir_main { echo 1; }\n")
	if diff := cmp.Diff([]string{"1 ngx_http_echo_module echo"}, described(table.Uses(config))); diff != "" {
		t.Error(diff)
	}
}

func TestDataIsNoDirective(t *testing.T) {
	table := read(t, unpacked(t, "native", "usr/lib/nginx/modules/ngx_http_echo_module.so"))
	config := loadConfig(t, "http { map $uri $x { echo 1; } types { text/x echo; } }")
	if uses := table.Uses(config); uses != nil {
		t.Error(uses)
	}
}

func TestVariablesAreFoundWhereverTheyAreUsed(t *testing.T) {
	table := only(extras(t).table(t), "ngx_http_geoip_module", "ngx_stream_geoip_module")
	config := loadConfig(t, `http {
    log_format l '"${geoip_city}" $geoip_city $geoip_cityx';
    map $geoip_region $r { default "$geoip_region_name"; ~$geoip_org 1; }
    server {
        set $geoip_latitude 1;
        if ($GEOIP_Country_Code = "XX") { return 403; }
        location ~ ^/(?<geoip_longitude>.*)$ { return 200 "$geoip_latitude $geoip_longitude"; }
        location /lua {
            content_by_lua_block {
                local a = ngx.var.geoip_postal_code
                local b = ngx.var[ "geoip_dma_code" ] .. my.ngxvar.geoip_area_code
            }
            access_by_lua 'ngx.exit(ngx.var.geoip_area_code)';
        }
    }
}
stream {
    map $geoip_city $s { default 1; }
    server { listen 9; return "$geoip_latitude"; }
}
mail { server { x $geoip_city; } }
`)
	want := []string{
		"2 ngx_http_geoip_module $geoip_city",
		"3 ngx_http_geoip_module $geoip_region", "3 ngx_http_geoip_module $geoip_region_name",
		"6 ngx_http_geoip_module $geoip_country_code",
		"10 ngx_http_geoip_module $geoip_postal_code", "11 ngx_http_geoip_module $geoip_dma_code",
		"13 ngx_http_geoip_module $geoip_area_code",
		"18 ngx_stream_geoip_module $geoip_city", "19 ngx_stream_geoip_module $geoip_latitude",
	}
	if diff := cmp.Diff(want, described(table.UsesVariables(config))); diff != "" {
		t.Error(diff)
	}
}

func TestAPrefixStandsForTheNamesThatBeginSo(t *testing.T) {
	table := Table{
		Modules:   []Module{{Name: "long", Type: HTTP, Variables: []Variable{{"x_y_", true}}}},
		Variables: []Variable{{"x_", true}},
	}
	config := loadConfig(t, "http {\n set $a $x_y_z;\n set $a $x_z;\n set $a $xz;\n}\n")
	if diff := cmp.Diff([]string{"2 long $x_y_z", "3 $x_z"}, described(table.UsesVariables(config))); diff != "" {
		t.Error(diff)
	}
}

// Before 1.13.4 nginx had its prefixes in code: going back there does not lose $http_….
func TestPrefixesAreNotLostToAnOlderNginx(t *testing.T) {
	newer := Table{Variables: []Variable{{"http_", true}, {"request_id", false}}}
	older := Table{Variables: []Variable{{"uri", false}}}
	if diff := cmp.Diff([]Variable{{"request_id", false}}, newer.Lost(older).Variables); diff != "" {
		t.Error(diff)
	}
}

func TestContextsAreNamedAsInTheDocumentation(t *testing.T) {
	table := extras(t).table(t)
	got := map[string][]string{}
	for _, m := range table.Modules {
		for _, d := range m.Directives {
			got[m.Name+" "+d.Name] = append(got[m.Name+" "+d.Name], d.Contexts(m.Type)...)
		}
	}
	for directive, want := range map[string][]string{
		"ngx_core_module user":                 {"main"},
		"ngx_conf_module include":              {"any"},
		"ngx_event_core_module use":            {"events"},
		"ngx_http_rewrite_module return":       {"server", "location", "if in server", "if in location"},
		"ngx_http_core_module root":            {"http", "server", "location", "if in location"},
		"ngx_http_access_module allow":         {"http", "server", "location", "limit_except"},
		"ngx_http_upstream_hash_module hash":   {"upstream"},
		"ngx_stream_return_module return":      {"server"},
		"ngx_stream_upstream_hash_module hash": {"upstream"},
		"ngx_mail_core_module listen":          {"server"},
		"ngx_rtmp_core_module application":     {"server"},
	} {
		if diff := cmp.Diff(want, got[directive]); diff != "" {
			t.Errorf("%s: %s", directive, diff)
		}
	}
}

// A directive on the command line has its place, too.
func TestDirectivesOfTheCommandLineCount(t *testing.T) {
	table := read(t, unpacked(t, "native", "usr/sbin/nginx"))
	directives, err := conf.Parse(conf.CommandLine, []byte("daemon off;"))
	if err != nil {
		t.Fatal(err)
	}
	uses := table.Uses(&conf.Config{Directives: directives})
	if len(uses) != 1 || uses[0].Module != "ngx_core_module" || uses[0].Pos.File != conf.CommandLine {
		t.Errorf("%+v", uses)
	}
}
