package source

import (
	"fmt"
	"graft/internal/nginx"
	"path"
	"regexp"
	"strings"
)

// Facts are what a source tree's own files tell about it.
type Facts struct {
	Layout  Layout
	Name    string          // "openresty", "nginx", "freenginx", …
	Version string          // its own: "1.21.4.1"
	Nginx   string          // of its nginx core: "1.21.4"; empty if not known
	Lua     string          // of its lua-nginx-module; empty if it has none
	Options map[string]bool // of its configure; nil if not known
}

// factsPattern fits the files that readFacts looks at, relative to the tree's top.
var factsPattern = regexp.MustCompile(`^(bundle/nginx-[^/]+/)?(auto/options|src/core/(nginx|angie)\.h)$|^configure$`)

// readFacts recognises a source tree by its files. read returns a file's text, list the tree's
// names one level deep in a directory ("." or "bundle"); both are relative to the tree's top.
func readFacts(read func(string) (string, bool), list func(string) []string) (Facts, error) {
	core := "."
	f := Facts{Layout: LayoutNginx}
	for _, name := range list("bundle") {
		if strings.HasPrefix(name, "nginx-") {
			core, f.Layout = path.Join("bundle", name), LayoutOpenResty
		}
		if v, ok := strings.CutPrefix(name, "ngx_lua-"); ok {
			f.Lua = v
		}
	}
	header, ok := read(path.Join(core, "src/core/nginx.h"))
	if !ok {
		return Facts{}, fmt.Errorf("not a source tree of the nginx family: it has neither bundle/nginx-VERSION/src/core/nginx.h (OpenResty) nor src/core/nginx.h (nginx)")
	}
	if f.Nginx = define(header, "NGINX_VERSION"); f.Nginx == "" {
		return Facts{}, fmt.Errorf("%s/src/core/nginx.h defines no NGINX_VERSION", core)
	}
	options, ok := read(path.Join(core, "auto/options"))
	if !ok {
		return Facts{}, fmt.Errorf("%s has no auto/options, which lists the options of its configure", core)
	}
	f.Options = configureOptions(options)
	f.Name, f.Version = flavor(header, f.Nginx)
	if angie, ok := read(path.Join(core, "src/core/angie.h")); ok {
		f.Name, f.Version = "angie", define(angie, "ANGIE_VERSION")
	}
	if f.Layout == LayoutOpenResty {
		f.Name = "openresty"
		// NGINX_VER is "openresty/" NGINX_VERSION ".1": what follows is OpenResty's own number.
		f.Version = f.Nginx + openRestySuffix(header)
		own, ok := read("configure")
		if !ok {
			return Facts{}, fmt.Errorf("has bundle/, as OpenResty's releases have, but no configure: a tree from version control is made into a release by its util/mirror-tarballs")
		}
		for _, m := range openRestyOption.FindAllStringSubmatch(own, -1) {
			f.Options[m[1]] = true
		}
	}
	return f, nil
}

// flavor tells the member of the family, and its own version, by nginx.h: Tengine adds macros to it,
// freenginx has its name in NGINX_NAME, others in NGINX_VER.
func flavor(header, nginxVersion string) (name, version string) {
	if v := define(header, "TENGINE_VERSION"); v != "" {
		return "tengine", v
	}
	if name := define(header, "NGINX_NAME"); name != "" {
		return strings.ToLower(name), nginxVersion
	}
	if name, _, ok := strings.Cut(define(header, "NGINX_VER"), "/"); ok {
		return strings.ToLower(name), nginxVersion
	}
	return "nginx", nginxVersion
}

// openRestyOption fits the options that OpenResty's configure, in Perl, compares with or matches; all
// others go on to nginx's.
var openRestyOption = regexp.MustCompile(`['^](--[a-z][A-Za-z0-9_-]*)`)

var optionLabel = regexp.MustCompile(`(?m)^\s*(--[A-Za-z0-9_-]+)(=[^)]*)?\)`)

// configureOptions reads the case labels of nginx's auto/options.
func configureOptions(text string) map[string]bool {
	options := map[string]bool{}
	for _, m := range optionLabel.FindAllStringSubmatch(text, -1) {
		options[m[1]] = true
	}
	return options
}

// define returns the string that a header defines a macro as, its first literal.
func define(header, name string) string {
	value := defineRaw(header, name)
	value, _, _ = strings.Cut(value, `"`)
	return value
}

// defineRaw returns what follows the opening quote of a macro's definition.
func defineRaw(header, name string) string {
	for line := range strings.Lines(header) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[0] == "#define" && fields[1] == name {
			_, value, _ := strings.Cut(line, `"`)
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// openRestySuffix returns ".1" of `#define NGINX_VER "openresty/" NGINX_VERSION ".1"`.
func openRestySuffix(header string) string {
	_, after, ok := strings.Cut(defineRaw(header, "NGINX_VER"), "NGINX_VERSION")
	if !ok {
		return ""
	}
	return strings.Trim(strings.TrimSpace(after), `"`)
}

var namedVersion = regexp.MustCompile(`^(openresty-|nginx-|freenginx-|angie-|tengine-)?([0-9]+(?:\.[0-9]+)+)$`)

// OfVersion tells what the name of a release alone gives away. OpenResty's versions have four
// numbers, the first three being nginx's.
func OfVersion(source string) (Facts, bool) {
	m := namedVersion.FindStringSubmatch(source)
	if m == nil {
		return Facts{}, false
	}
	name, version := strings.TrimSuffix(m[1], "-"), m[2]
	numbers := strings.Split(version, ".")
	switch {
	case name == "openresty" && len(numbers) >= 4, name == "" && len(numbers) == 4:
		return Facts{Layout: LayoutOpenResty, Name: "openresty", Version: version, Nginx: strings.Join(numbers[:3], ".")}, true
	case name == "nginx", name == "freenginx":
		return Facts{Layout: LayoutNginx, Name: name, Version: version, Nginx: version}, true
	case name == "angie", name == "tengine":
		// Their numbers are not nginx's.
		return Facts{Layout: LayoutNginx, Name: name, Version: version}, true
	}
	return Facts{}, false
}

// PCRE1 tells whether its Lua module is too old for PCRE2.
func (f Facts) PCRE1() bool { return f.Lua != "" && !nginx.AtLeast(f.Lua, "0.10.26") }
