package flags

import (
	"graft/internal/build/source"
	"graft/internal/nginx"
	"path"
	"regexp"
	"slices"
	"strings"
)

// loaded tells whether the running configuration loads the module of --with-X_module=dynamic or
// --add-dynamic-module=DIR. nginx names the file ngx_X_module.so, or ngx_X_filter_module.so for a
// filter; a third-party module's file is named by its author, so the words of its name must all be in it.
func loaded(a argument, t Target) bool {
	if a.name != "--add-dynamic-module" {
		name := "ngx_" + strings.TrimSuffix(strings.TrimPrefix(a.name, "--with-"), "_module")
		return slices.Contains(t.Loaded, name+"_module.so") || slices.Contains(t.Loaded, name+"_filter_module.so")
	}
	words := strings.Split(ModuleName(a.value), "-")
	return slices.ContainsFunc(t.Loaded, func(so string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(so, w) })
	})
}

// OwnModule tells whether a .so file is one of nginx's own modules, which the old build made dynamic.
func OwnModule(configure []string, so string) bool {
	return slices.ContainsFunc(configure, func(text string) bool {
		a := parseArgument(text)
		return a.value == "dynamic" && loaded(a, Target{Loaded: []string{so}})
	})
}

// notLoaded: what the running configuration loads is known, and the module is not among it.
func notLoaded(a argument, t Target) bool { return t.Loaded != nil && !loaded(a, t) }

func keptDynamic(a argument, t Target) bool { return !notLoaded(a, t) }

// hasDynamic tells whether the build will have .so modules.
func (t Target) hasDynamic(old []string) bool {
	if slices.ContainsFunc(t.Modules, func(m Module) bool { return m.Dynamic }) {
		return true
	}
	static := func(a argument) bool { return t.Layout == source.LayoutOpenResty && a.name == "--with-stream" }
	return slices.ContainsFunc(slices.Concat(old, t.With), func(text string) bool {
		a := parseArgument(text)
		asked := slices.Contains(t.With, text)
		return a.value == "dynamic" && !static(a) && (asked || keptDynamic(a, t) && t.unwanted(a) == "")
	})
}

// wantsLoadModule tells whether the configuration may name .so files of the old build.
func (t Target) wantsLoadModule(old []string) bool {
	if t.LoadModule == "" || t.Nginx != "" && !nginx.AtLeast(t.Nginx, "1.9.11") {
		return false
	}
	return t.dynamic || len(t.Loaded) > 0 || t.Loaded == nil && slices.ContainsFunc(old, func(text string) bool {
		a := parseArgument(text)
		return a.value == "dynamic" || a.name == "--add-dynamic-module"
	})
}

// addModules adds the modules that have a source of their own, and where .so files go.
func (tr *translator) addModules(loadModule bool) {
	t := tr.target
	if t.dynamic && t.ModulesPath != "" && !tr.configured("--modules-path") {
		tr.add("--modules-path="+t.ModulesPath, "modules are built as .so files; load_module lines find them there first")
	}
	if t.ModulesPath != "" && tr.configured("--with-http_perl_module") && !tr.configured("--with-perl_modules_path") {
		tr.add(perlPath(t), "nginx.pm and its library belong to one build of nginx: the old one's stay where they are")
	}
	for _, m := range t.Modules {
		option := "--add-module="
		if m.Dynamic {
			option = "--add-dynamic-module="
		}
		tr.add(option+m.Dir, m.Reason)
	}
	if loadModule {
		tr.add("--add-module="+t.LoadModule, "load_module lines that name the old build's files find this build's, or that the module is built in: one configuration serves both binaries")
	}
}

func (tr *translator) configured(name string) bool {
	return slices.ContainsFunc(tr.configure, func(text string) bool { return parseArgument(text).name == name })
}

// perlPath is where the Perl module's own Perl files go.
func perlPath(t Target) string {
	return "--with-perl_modules_path=" + path.Join(path.Dir(t.ModulesPath), "perl")
}

// ours tells graft's own addon in the arguments of a binary that graft built.
func ours(a argument, t Target) bool {
	return t.LoadModule != "" && path.Base(a.value) == path.Base(t.LoadModule)
}

// given tells whether the old build's module is built from a source of its own.
func given(a argument, t Target) bool {
	name := ModuleName(a.value)
	return slices.ContainsFunc(t.Modules, func(m Module) bool { return m.Name == name })
}

// bundled tells whether the target brings the module of an --add-module argument.
func bundled(a argument, t Target) bool { return Bundled(t.Layout, ModuleName(a.value)) }

// Bundled tells whether trees of this layout bring a module, built in; the name is one of ModuleName.
func Bundled(layout source.Layout, name string) bool {
	switch layout {
	case source.LayoutOpenResty:
		return slices.Contains(openRestyModules, name)
	case source.LayoutDistro:
		return slices.Contains(distroModules, name)
	}
	return false
}

var distroModules = []string{"lua", "ndk", "ndk-http", "devel-kit", "development-kit"}

// openRestyModules are built in by OpenResty's configure unless told otherwise.
var openRestyModules = append([]string{
	"echo", "xss", "coolkit", "set-misc", "form-input", "encrypted-session", "srcache", "lua-upstream",
	"headers-more", "array-var", "memc", "redis2", "redis", "rds-json", "rds-csv", "stream-lua",
}, distroModules...)

var (
	versionSuffix = regexp.MustCompile(`[-_]v?[0-9][0-9A-Za-z.+~]*$`)
	modulePrefix  = regexp.MustCompile(`^(nginx-|ngx[-_]|libnginx-mod-|http-)+(http[-_])?`)
	moduleSuffix  = regexp.MustCompile(`([-_]filter)?([-_]nginx)?[-_]module$|[-_]filter$`)
)

// ModuleName reduces the source directory of a third-party module to a name that is the same for
// all who package it: lua-nginx-module-0.10.20, ngx_lua-0.10.20 and debian/modules/http-lua are "lua".
func ModuleName(dir string) string {
	name := strings.ToLower(path.Base(dir))
	name = versionSuffix.ReplaceAllString(name, "")
	name = moduleSuffix.ReplaceAllString(name, "")
	name = modulePrefix.ReplaceAllString(name, "")
	return strings.ReplaceAll(name, "_", "-")
}
