package flags

import (
	"path"
	"slices"
	"strings"

	"graft/internal/artifact"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// rule says what becomes of the arguments it fits. The first rule that fits decides.
type rule struct {
	names  []string // option names without value; "*" at the end stands for the rest
	value  string   // the value it needs: "" any or none, "dynamic", "DIR" for any value
	when   func(a argument, t Target) bool
	action artifact.Action
	to     func(a argument) string // for Rewrite
	reason string
}

func (r rule) fits(a argument, t Target) bool {
	if !slices.ContainsFunc(r.names, func(pattern string) bool {
		stem, open := strings.CutSuffix(pattern, "*")
		return a.name == pattern || open && strings.HasPrefix(a.name, stem)
	}) {
		return false
	}
	switch r.value {
	case "DIR":
		if !a.valued {
			return false
		}
	case "dynamic":
		if a.value != "dynamic" {
			return false
		}
	}
	return r.when == nil || r.when(a, t)
}

// rules are what is known of nginx's own options, oldest to newest releases, and of OpenResty's
// configure. --prefix, --with-cc-opt and --with-ld-opt are not here: see Translate.
var rules = []rule{
	{names: []string{"--with-debug"}, action: artifact.Drop,
		reason: "it also turns on assertions in the Lua module and API checks in LuaJIT, which slow requests down and can stop a worker"},
	{names: []string{"--build", "--builddir"}, action: artifact.Drop,
		reason: "names the old build, not this one"},
	{names: []string{"--with-ipv6"}, action: artifact.Drop, when: sinceNginx("1.11.5"),
		reason: "does nothing since nginx 1.11.5: IPv6 is always there"},
	{names: []string{"--with-md5*", "--with-sha1*"}, action: artifact.Drop, when: sinceNginx("1.11.2"),
		reason: "does nothing since nginx 1.11.2, which brings its own"},
	{names: []string{"--with-imap"}, action: artifact.Rewrite, to: fixed("--with-mail"),
		reason: "the old name of the same module"},
	{names: []string{"--with-imap_ssl_module"}, action: artifact.Rewrite, to: fixed("--with-mail_ssl_module"),
		reason: "the old name of the same module"},
	{names: []string{"--with-http_spdy_module"}, action: artifact.Rewrite, to: fixed("--with-http_v2_module"), when: sinceNginx("1.9.5"),
		reason: "SPDY is gone since nginx 1.9.5; HTTP/2 took its place (in the configuration too: listen … http2)"},

	{names: []string{"--sbin-path"}, action: artifact.Drop, when: notLayout(source.LayoutNginx),
		reason: "in the artifact the binary lies under OpenResty's prefix; the migration puts it where the running one is"},

	{names: []string{"--with-stream", "--with-mail"}, value: "dynamic", action: artifact.Rewrite, to: bareName,
		reason: "built in: OpenResty's own --with-stream makes stream static, and the old build's .so file does not fit; a load_module line for it must go"},
	{names: []string{"--with-*"}, value: "dynamic", action: artifact.Rewrite, to: bareName, when: loaded,
		reason: "built in, because the running configuration loads it and the old build's .so file does not fit; its load_module line must go"},
	{names: []string{"--with-*"}, value: "dynamic", action: artifact.Drop,
		reason: "a dynamic module that the running configuration is not known to load"},

	{names: []string{"--add-module", "--add-dynamic-module"}, action: artifact.Drop, when: given,
		reason: "its source was given: see the added --add-module"},
	{names: []string{"--add-module", "--add-dynamic-module"}, action: artifact.Drop, when: bundled,
		reason: "the target brings this module itself, built in; a load_module line for it must go"},
	{names: []string{"--add-module"}, action: artifact.Keep, when: valueExists,
		reason: "its source is on this machine"},
	{names: []string{"--add-dynamic-module"}, action: artifact.Rewrite, when: and(valueExists, loaded),
		to:     func(a argument) string { return "--add-module=" + a.value },
		reason: "built in, because the running configuration loads it and the old build's .so file does not fit; its load_module line must go"},
	{names: []string{"--add-module", "--add-dynamic-module"}, action: artifact.Drop,
		reason: "the old build's source directory is not on this machine, or the running configuration is not known to load the module: if the configuration uses its directives, give the source with --add-module DIR"},

	{names: []string{"--with-pcre", "--with-libatomic"}, value: "DIR", action: artifact.Rewrite, to: bareName, when: valueMissing,
		reason: "the old build's source directory is not on this machine: the system's library is used"},
	{names: []string{"--with-openssl", "--with-zlib", "--with-perl"}, value: "DIR", action: artifact.Drop, when: valueMissing,
		reason: "the old build's source directory is not on this machine: the system's is used"},
	{names: []string{"--with-openssl-opt", "--with-pcre-opt", "--with-pcre-conf-opt", "--with-zlib-opt", "--with-zlib-asm"}, action: artifact.Drop,
		when:   libraryGone,
		reason: "is for building the library from its source, which is not on this machine"},
	{names: []string{"--with-cc", "--with-cpp"}, action: artifact.Drop,
		when:   func(a argument, t Target) bool { return path.IsAbs(a.value) && !t.Exists(a.value) },
		reason: "the old build's compiler is not on this machine: its own is used"},
	{names: []string{"--without-pcre2"}, action: artifact.Drop,
		when:   func(_ argument, t Target) bool { return t.Layout == source.LayoutDistro && !t.PCRE1 },
		reason: "the distribution's Lua module uses PCRE2"},
}

func sinceNginx(version string) func(argument, Target) bool {
	return func(_ argument, t Target) bool { return t.Nginx == "" || nginx.AtLeast(t.Nginx, version) }
}

func notLayout(l source.Layout) func(argument, Target) bool {
	return func(_ argument, t Target) bool { return t.Layout != l }
}

func and(conditions ...func(argument, Target) bool) func(argument, Target) bool {
	return func(a argument, t Target) bool {
		return !slices.ContainsFunc(conditions, func(c func(argument, Target) bool) bool { return !c(a, t) })
	}
}

func fixed(to string) func(argument) string { return func(argument) string { return to } }

func bareName(a argument) string { return a.name }

func valueExists(a argument, t Target) bool { return path.IsAbs(a.value) && t.Exists(a.value) }

func valueMissing(a argument, t Target) bool { return !valueExists(a, t) }

// libraryGone tells of --with-pcre-opt and its like whether the library's source is not used either.
func libraryGone(a argument, t Target) bool {
	lib, _, _ := strings.Cut(strings.TrimPrefix(a.name, "--with-"), "-")
	return !t.sources[lib]
}

// loaded tells whether the running configuration loads the module of --with-X_module=dynamic or
// --add-dynamic-module=DIR. nginx names the file ngx_X_module.so; a third-party module's file is
// named by its author, so the words of its name must all be in it.
func loaded(a argument, t Target) bool {
	if a.name != "--add-dynamic-module" {
		name := strings.TrimSuffix(strings.TrimPrefix(a.name, "--with-"), "_module")
		return slices.Contains(t.Loaded, "ngx_"+name+"_module.so")
	}
	words := strings.Split(moduleName(a.value), "-")
	return slices.ContainsFunc(t.Loaded, func(so string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(so, w) })
	})
}

// given tells whether the user gave the source of the old build's module.
func given(a argument, t Target) bool {
	name := moduleName(a.value)
	return slices.ContainsFunc(t.Modules, func(dir string) bool { return moduleName(dir) == name })
}

// bundled tells whether the target brings the module. The names are those of moduleName.
func bundled(a argument, t Target) bool {
	name := moduleName(a.value)
	switch t.Layout {
	case source.LayoutOpenResty:
		return slices.Contains(openRestyModules, name)
	case source.LayoutDistro:
		return slices.Contains(distroModules, name)
	}
	return false
}

var distroModules = []string{"lua", "ndk", "devel-kit", "development-kit"}

// openRestyModules are built in by OpenResty's configure unless told otherwise.
var openRestyModules = append([]string{
	"echo", "xss", "coolkit", "set-misc", "form-input", "encrypted-session", "srcache", "lua-upstream",
	"headers-more", "array-var", "memc", "redis2", "redis", "rds-json", "rds-csv", "stream-lua",
}, distroModules...)

// translateWord decides on one word of --with-cc-opt or --with-ld-opt: an empty result drops it, an
// empty reason means nothing was done.
func translateWord(word string, t Target) (to, reason string) {
	name, value, _ := strings.Cut(word, "=")
	switch {
	case strings.HasPrefix(name, "-f") && strings.HasSuffix(name, "-prefix-map"):
		return "", name + " is dropped: it names the old build's directory"
	case word == "-DNGX_LUA_USE_ASSERT" || word == "-DNGX_LUA_ABORT_AT_PANIC":
		return "", word + " is dropped: a debugging aid of the Lua module"
	case strings.HasPrefix(word, "-Wl,-rpath,") && strings.Contains(word+":", "/luajit/lib:") && t.Layout != source.LayoutNginx:
		return "", word + " is dropped: the target sets its own path to LuaJIT"
	case name == "-specs" && !t.Exists(value) && strings.HasSuffix(value, "-cc1"):
		return "-fPIE", word + " is not on this machine: -fPIE does what it is for"
	case name == "-specs" && !t.Exists(value) && strings.HasSuffix(value, "-ld"):
		return "-pie", word + " is not on this machine: -pie does what it is for"
	case name == "-specs" && !t.Exists(value):
		return "", word + " is dropped: the file is not on this machine"
	case t.Layout == source.LayoutOpenResty && strings.ContainsAny(word, `'"`):
		return "", word + " is dropped: OpenResty's configure cannot pass a quote on"
	}
	return word, ""
}
