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
var factsPattern = regexp.MustCompile(`^(bundle/nginx-[^/]+/)?(auto/options|src/core/nginx\.h)$|^configure$|^auto/configure$`)

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
	f.Name, f.Version = "nginx", f.Nginx
	if flavor, _, ok := strings.Cut(defineRaw(header, "NGINX_VER"), "/"); ok {
		f.Name = strings.ToLower(flavor)
	}
	if f.Layout == LayoutOpenResty {
		f.Name = "openresty"
		// NGINX_VER is "openresty/" NGINX_VERSION ".1": what follows is OpenResty's own number.
		f.Version = f.Nginx + openRestySuffix(header)
		for name := range strings.FieldsSeq(openRestyOptions) {
			f.Options[name] = true
		}
	}
	return f, nil
}

// openRestyOptions are taken by OpenResty's configure itself; the others go on to nginx's.
const openRestyOptions = `--with-make --with-luajit --with-luajit-xcflags --with-luajit-ldflags --without-luajit-lua52
	--without-luajit-gc64 --with-no-pool-patch --without-stream --without-http_ssl_module --without-stream_ssl_module`

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
