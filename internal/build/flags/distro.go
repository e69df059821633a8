package flags

import "path"

// FitDistro adds what turns nginx into an OpenResty equivalent: OpenResty's own configure does the
// like by itself.
func (t *Target) FitDistro() {
	libs := path.Join(t.Prefix, "luajit/lib")
	if t.PCRE1 {
		libs += ":" + path.Join(t.Prefix, "pcre/lib")
	}
	t.LD = []Addition{{"-Wl,-rpath," + libs, "nginx finds LuaJIT there, whatever its environment (env-stripped)"}}
	t.Add = []Addition{
		{"--sbin-path=" + path.Join(t.Prefix, "nginx/sbin/nginx"), "where OpenResty's lies"},
		{"--add-module=../ngx_devel_kit", "as OpenResty has"},
		{"--add-module=../lua-nginx-module", "as OpenResty has"},
	}
	lualib, site := path.Join(t.Prefix, "lualib"), path.Join(t.Prefix, "site/lualib")
	t.Defines = []Define{
		{"LUA_DEFAULT_PATH", site + "/?.lua;" + site + "/?/init.lua;" + lualib + "/?.lua;" + lualib + "/?/init.lua;" +
			path.Join(t.Prefix, "luajit/share/luajit-2.1/?.lua")},
		{"LUA_DEFAULT_CPATH", site + "/?.so;" + lualib + "/?.so"},
	}
}
