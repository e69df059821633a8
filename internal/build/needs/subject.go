package needs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"graft/internal/build/flags"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// subject is a query, and what its modules' own config files ask of nginx's configure.
type subject struct {
	Query
	modules []module
}

// module is a third-party module of the configure line.
type module struct {
	name   string // as flags.ModuleName reduces it
	arg    string // the whole argument
	dir    string // its source; empty if not at hand
	config string // the text of its file "config"
}

func newSubject(q Query) subject {
	s := subject{Query: q}
	for _, arg := range q.Configure {
		option, dir, _ := strings.Cut(arg, "=")
		if option != "--add-module" && option != "--add-dynamic-module" {
			continue
		}
		m := module{name: flags.ModuleName(dir), arg: arg}
		// A module in a directory below its source, "../modules/NAME/sub", goes by the source's name.
		sub := ""
		if rest, ok := strings.CutPrefix(path.Clean(dir), "../modules/"); ok {
			first, below, _ := strings.Cut(rest, "/")
			m.name, sub = flags.ModuleName(first), below
		}
		if from := q.Modules[m.name]; from != "" {
			m.dir = filepath.Join(from, sub)
		} else if path.IsAbs(dir) {
			m.dir = dir
		}
		if m.dir != "" {
			// A module without the file is configure's to refuse.
			text, _ := os.ReadFile(filepath.Join(m.dir, "config"))
			m.config = string(text)
		}
		s.modules = append(s.modules, m)
	}
	return s
}

// optionName is what stands before the "=".
func optionName(arg string) string { name, _, _ := strings.Cut(arg, "="); return name }

// arg returns the first argument of one of these names, whatever its value; "=dynamic" counts, too.
func (s subject) arg(names ...string) string {
	at := slices.IndexFunc(s.Configure, func(arg string) bool { return slices.Contains(names, optionName(arg)) })
	if at < 0 {
		return ""
	}
	return s.Configure[at]
}

// bare tells whether the argument is there, word for word.
func (s subject) bare(arg string) bool { return slices.Contains(s.Configure, arg) }

// value returns the value of the last --name=value, as configure itself takes it.
func (s subject) value(name string) string {
	for _, arg := range slices.Backward(s.Configure) {
		if value, ok := strings.CutPrefix(arg, name+"="); ok {
			return value
		}
	}
	return ""
}

func (s subject) http() bool { return !s.bare("--without-http") }

func (s subject) openResty() bool { return s.Layout == source.LayoutOpenResty }

// older tells whether the source's nginx is known to be older than a release.
func (s subject) older(version string) bool { return s.Nginx != "" && !nginx.AtLeast(s.Nginx, version) }

// module returns the argument that brings a third-party module of one of these names.
func (s subject) module(names ...string) string {
	for _, m := range s.modules {
		if slices.Contains(names, m.name) {
			return m.arg
		}
	}
	return ""
}

// uses returns the argument of a module whose config file asks for one of the libraries that nginx's
// configure looks for by itself: "OPENSSL", "PCRE", "ZLIB", "LIBXSLT", "LIBGD", "GEOIP", "PERL".
func (s subject) uses(library string) string {
	word := regexp.MustCompile(`(?m)^[^#\n]*(USE_` + library + `=YES|_libs=["']?[^"'\n]*\b` + library + `\b)`)
	for _, m := range s.modules {
		if word.MatchString(m.config) {
			return m.arg
		}
	}
	return ""
}

// compiler is the command that compiles: cc, or what --with-cc names, which may have words after it.
func (s subject) compiler() []string {
	if words := strings.Fields(s.value("--with-cc")); len(words) > 0 {
		return words
	}
	return []string{"cc"}
}

// pcre returns what needs PCRE, of either kind.
func (s subject) pcre() string {
	switch {
	case s.value("--with-pcre") != "" || s.bare("--without-pcre"):
		return ""
	case s.bare("--with-pcre"):
		return "--with-pcre"
	case s.http() && !s.bare("--without-http_rewrite_module"):
		return "nginx's rewrite module"
	}
	return s.uses("PCRE")
}

// pcre1 returns what needs PCRE1: nginx takes PCRE2 since 1.21.5, unless it is switched off.
func (s subject) pcre1() string {
	why := s.pcre()
	// The distribution's PCRE1 is unpacked beside its sources.
	if why == "" || s.Layout == source.LayoutDistro && s.PCRE1 {
		return ""
	}
	switch {
	case s.older("1.21.5"):
		return why + "; nginx " + s.Nginx + " knows no PCRE2"
	case s.PCRE1:
		return why + "; lua-nginx-module before 0.10.26 knows no PCRE2"
	case s.bare("--without-pcre2"):
		return why + "; --without-pcre2"
	}
	return ""
}

func (s subject) pcre2() string {
	if s.older("1.21.5") || s.PCRE1 || s.bare("--without-pcre2") {
		return ""
	}
	return s.pcre()
}

// openSSL returns what needs the system's OpenSSL. OpenResty's configure adds the TLS modules of http
// and stream unless told not to.
func (s subject) openSSL() string {
	if s.value("--with-openssl") != "" {
		return ""
	}
	if s.http() {
		if arg := s.arg("--with-http_ssl_module", "--with-http_v3_module"); arg != "" {
			return arg
		}
		if s.openResty() && !s.bare("--without-http_ssl_module") {
			return "OpenResty's configure adds --with-http_ssl_module"
		}
	}
	if arg := s.arg("--with-stream_ssl_module", "--with-stream_quic_module"); arg != "" && (s.openResty() || s.arg("--with-stream") != "") {
		return arg
	}
	if s.openResty() && !s.bare("--without-stream") && !s.bare("--without-stream_ssl_module") {
		return "OpenResty's configure adds --with-stream_ssl_module"
	}
	if arg := s.arg("--with-mail_ssl_module", "--with-imap_ssl_module"); arg != "" && s.arg("--with-mail", "--with-imap") != "" {
		return arg
	}
	if arg := s.uses("OPENSSL"); arg != "" {
		return arg
	}
	return s.module("rtmp", "encrypted-session")
}

// zlib returns what needs the system's zlib.
func (s subject) zlib() string {
	switch {
	case s.value("--with-zlib") != "":
		return ""
	case s.http() && !s.bare("--without-http_gzip_module"):
		return "nginx's gzip module"
	case s.http() && s.bare("--with-http_gunzip_module"):
		return "--with-http_gunzip_module"
	}
	return s.uses("ZLIB")
}
