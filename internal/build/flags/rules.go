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
	to     func(a argument, t Target) string // for Rewrite
	reason string
	loses  bool // the target will lack a module that the old binary has
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

	{names: []string{"--with-stream"}, value: "dynamic", action: artifact.Rewrite, to: bareName, when: layout(source.LayoutOpenResty),
		reason: "built in: OpenResty's configure adds --with-stream, and the later one wins; a load_module line for it stays as it is"},
	{names: []string{"--with-*"}, value: "dynamic", action: artifact.Rewrite, to: bareName, when: beforeNginx("1.9.11"),
		reason: "built in: nginx has no dynamic modules before 1.9.11"},
	{names: []string{"--with-*"}, value: "dynamic", action: artifact.Keep, when: keptDynamic,
		reason: "built anew as a .so file, since the old build's does not fit; its load_module line stays as it is"},
	{names: []string{"--with-*"}, value: "dynamic", action: artifact.Drop,
		reason: "a dynamic module that the running configuration does not load"},
	{names: []string{"--modules-path"}, action: artifact.Rewrite,
		when:   func(_ argument, t Target) bool { return t.dynamic && t.ModulesPath != "" },
		to:     func(_ argument, t Target) string { return "--modules-path=" + t.ModulesPath },
		reason: "the old directory belongs to the old binary's modules; load_module lines that name it find these first"},
	{names: []string{"--with-perl_modules_path"}, action: artifact.Rewrite,
		when:   func(_ argument, t Target) bool { return t.ModulesPath != "" },
		to:     func(_ argument, t Target) string { return perlPath(t) },
		reason: "nginx.pm and its library belong to one build of nginx: the old one's stay where they are"},

	{names: []string{"--add-module"}, action: artifact.Drop, when: ours,
		reason: "graft's own, by which load_module finds modules: added anew where it is needed"},
	{names: []string{"--add-module", "--add-dynamic-module"}, action: artifact.Drop, when: given,
		reason: "its source was found or given: see what is added"},
	{names: []string{"--add-module", "--add-dynamic-module"}, action: artifact.Drop, when: bundled,
		reason: "the target brings this module itself, built in; a load_module line for it stays as it is"},
	{names: []string{"--add-dynamic-module"}, action: artifact.Drop, when: notLoaded,
		reason: "a dynamic module that the running configuration does not load"},
	{names: []string{"--add-module", "--add-dynamic-module"}, action: artifact.Drop, loses: true,
		reason: "the old build's source directory is not on this machine: give the module's source with --add-module DIR, if the configuration uses it"},

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

func beforeNginx(version string) func(argument, Target) bool {
	return func(_ argument, t Target) bool { return t.Nginx != "" && !nginx.AtLeast(t.Nginx, version) }
}

func notLayout(l source.Layout) func(argument, Target) bool {
	return func(_ argument, t Target) bool { return t.Layout != l }
}

func layout(l source.Layout) func(argument, Target) bool {
	return func(_ argument, t Target) bool { return t.Layout == l }
}

func fixed(to string) func(argument, Target) string {
	return func(argument, Target) string { return to }
}

func bareName(a argument, _ Target) string { return a.name }

func valueExists(a argument, t Target) bool { return path.IsAbs(a.value) && t.Exists(a.value) }

func valueMissing(a argument, t Target) bool { return !valueExists(a, t) }

// libraryGone tells of --with-pcre-opt and its like whether the library's source is not used either.
func libraryGone(a argument, t Target) bool {
	lib, _, _ := strings.Cut(strings.TrimPrefix(a.name, "--with-"), "-")
	return !t.sources[lib]
}
