// Package flags carries the configure arguments of a running binary over to another source tree: what is kept,
// dropped, rewritten or added, each with its reason.
package flags

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"graft/internal/artifact"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// PathsHeader is the name of the header that a build includes before every source file, by
// -include in --with-cc-opt, when compiled-in paths must differ from what configure would make them.
const PathsHeader = "graft-paths.h"

// Translation is what becomes of the old binary's configure arguments for a target.
type Translation struct {
	Configure []string        // arguments of the target's configure, unquoted
	Flags     []artifact.Flag // the fate of each old argument, then what was added
	Header    string          // content of PathsHeader; empty: none is needed
}

// Target is what the translation must know of the tree that is to be built.
type Target struct {
	Layout  source.Layout
	Nginx   string          // version of its nginx core, "1.21.4"; empty if not known
	Prefix  string          // OpenResty's own prefix, absolute; unused for source.LayoutNginx
	Options map[string]bool // option names its configure accepts, "--with-threads"; nil if not known

	PCRE1   bool     // its lua-nginx-module can only use PCRE1
	Modules []string // source directories of modules to build in, absolute
	Loaded  []string // base names of the .so files that the running configuration loads

	// CC and LD are words for --with-cc-opt and --with-ld-opt, Add whole arguments, that this
	// source needs; Defines are macros for the paths header.
	CC, LD, Add []Addition
	Defines     []Define

	Exists func(path string) bool // whether a file or directory is on the build machine

	sources map[string]bool // libraries ("pcre") that are built from a source directory that is here
}

// Addition is an argument, or a word of one, that the source needs, and why.
type Addition struct{ Text, Reason string }

// Define is a string macro of the paths header.
type Define struct{ Name, Value string }

// argument is one configure argument, cut at the first "=".
type argument struct {
	text, name, value string
	valued            bool
}

func parseArgument(text string) argument {
	name, value, valued := strings.Cut(text, "=")
	return argument{text: text, name: name, value: value, valued: valued}
}

// Translate carries the configure arguments of an old binary over to a target. It is pure: what it
// must know of the machine it asks t.Exists.
func Translate(like nginx.Build, t Target) Translation {
	tr := translator{target: t}
	tr.target.sources = map[string]bool{}
	for _, text := range like.Configure {
		if a := parseArgument(text); a.valued && valueExists(a, t) {
			tr.target.sources[strings.TrimPrefix(a.name, "--with-")] = true
		}
	}
	oldPrefix := path.Clean(like.Prefix)
	if t.Layout == source.LayoutOpenResty && oldPrefix != path.Join(t.Prefix, "nginx") {
		tr.target.Defines = append(slices.Clone(t.Defines), Define{"NGX_PREFIX", oldPrefix + "/"})
	}
	if len(tr.target.Defines) > 0 {
		tr.target.CC = append(slices.Clone(t.CC), Addition{"-include " + PathsHeader, tr.headerReason()})
	}
	for _, text := range like.Configure {
		tr.translate(parseArgument(text), oldPrefix)
	}
	tr.addMissing(oldPrefix)
	return Translation{Configure: tr.configure, Flags: tr.flags, Header: header(tr.target.Defines)}
}

// translator collects the result argument by argument.
type translator struct {
	target    Target
	configure []string
	flags     []artifact.Flag
	prefix    bool // --prefix has been dealt with
	cc, ld    bool // likewise --with-cc-opt, --with-ld-opt
}

func (tr *translator) translate(a argument, oldPrefix string) {
	switch a.name {
	case "--prefix":
		tr.setPrefix(a, oldPrefix)
		return
	case "--with-cc-opt":
		tr.words(a, tr.target.CC, !tr.cc)
		tr.cc = true
		return
	case "--with-ld-opt":
		tr.words(a, tr.target.LD, !tr.ld)
		tr.ld = true
		return
	}
	for _, r := range rules {
		if r.fits(a, tr.target) {
			tr.apply(a, r)
			return
		}
	}
	tr.keep(a)
}

func (tr *translator) apply(a argument, r rule) {
	f := artifact.Flag{Flag: a.text, Action: r.action, Reason: r.reason}
	switch r.action {
	case artifact.Keep:
		tr.configure = append(tr.configure, a.text)
	case artifact.Rewrite:
		f.To = r.to(a)
		tr.configure = append(tr.configure, f.To)
	}
	tr.flags = append(tr.flags, f)
}

// keep decides on an argument that no rule names: kept if the target's configure takes it.
func (tr *translator) keep(a argument) {
	since, known := optionSince(a.name)
	t := tr.target
	switch {
	case t.Options != nil && !t.Options[a.name]:
		tr.flags = append(tr.flags, artifact.Flag{Flag: a.text, Action: artifact.Drop, Reason: "the target's configure has no such option"})
		return
	case t.Options == nil && t.Nginx != "" && since != "" && !nginx.AtLeast(t.Nginx, since):
		tr.flags = append(tr.flags, artifact.Flag{Flag: a.text, Action: artifact.Drop, Reason: "exists since nginx " + since + "; the target is " + t.Nginx})
		return
	}
	reason := "same meaning in the target"
	if !known {
		reason = "unknown to graft: kept as it is"
	}
	tr.configure = append(tr.configure, a.text)
	tr.flags = append(tr.flags, artifact.Flag{Flag: a.text, Action: artifact.Keep, Reason: reason})
}

// setPrefix gives the target's configure its --prefix: OpenResty's own, or the old nginx's.
func (tr *translator) setPrefix(a argument, oldPrefix string) {
	to, reason := tr.wantedPrefix(oldPrefix)
	switch {
	case tr.prefix:
		tr.flags = append(tr.flags, artifact.Flag{Flag: a.text, Action: artifact.Drop, Reason: "--prefix is given more than once: the one in effect is carried over"})
		return
	case a.text == to:
		tr.flags = append(tr.flags, artifact.Flag{Flag: a.text, Action: artifact.Keep, Reason: reason})
	default:
		tr.flags = append(tr.flags, artifact.Flag{Flag: a.text, Action: artifact.Rewrite, To: to, Reason: reason})
	}
	tr.prefix = true
	tr.configure = append(tr.configure, to)
}

func (tr *translator) wantedPrefix(oldPrefix string) (arg, reason string) {
	if tr.target.Layout == source.LayoutOpenResty {
		return "--prefix=" + tr.target.Prefix, "to OpenResty's configure this is where LuaJIT and lualib go; nginx itself keeps the prefix " + oldPrefix + "/"
	}
	return "--prefix=" + oldPrefix, "relative paths of the configuration keep their meaning"
}

// addMissing adds what the target needs and the old binary was not given.
func (tr *translator) addMissing(oldPrefix string) {
	if !tr.prefix {
		to, reason := tr.wantedPrefix(oldPrefix)
		tr.add(to, reason)
	}
	for _, o := range []struct {
		name  string
		done  bool
		words []Addition
	}{{"--with-cc-opt", tr.cc, tr.target.CC}, {"--with-ld-opt", tr.ld, tr.target.LD}} {
		if o.done || len(o.words) == 0 {
			continue
		}
		texts, reasons := split(o.words)
		tr.add(o.name+"="+strings.Join(texts, " "), strings.Join(reasons, "; "))
	}
	if tr.target.PCRE1 && (tr.target.Nginx == "" || nginx.AtLeast(tr.target.Nginx, "1.21.5")) && !slices.Contains(tr.configure, "--without-pcre2") {
		tr.add("--without-pcre2", "lua-nginx-module before 0.10.26 can only use PCRE1")
	}
	for _, a := range tr.target.Add {
		tr.add(a.Text, a.Reason)
	}
	for _, dir := range tr.target.Modules {
		tr.add("--add-module="+dir, "asked for")
	}
}

func (tr *translator) add(text, reason string) {
	tr.configure = append(tr.configure, text)
	tr.flags = append(tr.flags, artifact.Flag{Flag: text, Action: artifact.Add, Reason: reason})
}

// words translates --with-cc-opt or --with-ld-opt word by word; the first of its kind gets the
// additions in front, as the rest may end in a library.
func (tr *translator) words(a argument, additions []Addition, first bool) {
	kept, reasons := []string{}, []string{}
	if first {
		kept, reasons = split(additions)
		for i, text := range kept {
			reasons[i] = text + " is added: " + reasons[i]
		}
	}
	// An old binary that graft built: the header is added anew where it is needed.
	value := strings.ReplaceAll(a.value, "-include "+PathsHeader, "")
	for _, word := range splitWords(value) {
		to, reason := translateWord(word, tr.target)
		if reason != "" {
			reasons = append(reasons, reason)
		}
		if to != "" {
			kept = append(kept, to)
		}
	}
	value = strings.Join(kept, " ")
	f := artifact.Flag{Flag: a.text, Action: artifact.Rewrite, To: a.name + "=" + value, Reason: strings.Join(reasons, "; ")}
	switch {
	case value == "" && len(reasons) > 0:
		f.Action, f.To = artifact.Drop, ""
	case len(reasons) == 0:
		f.Action, f.To, f.Reason = artifact.Keep, "", "hardening and code generation stay as they were"
	}
	if f.Action == artifact.Keep {
		tr.configure = append(tr.configure, a.text)
	} else if f.To != "" {
		tr.configure = append(tr.configure, f.To)
	}
	tr.flags = append(tr.flags, f)
}

func (tr *translator) headerReason() string {
	reasons := []string{}
	for _, d := range tr.target.Defines {
		if d.Name == "NGX_PREFIX" {
			reasons = append(reasons, "OpenResty's configure derives nginx's prefix from its own; the header sets the old one, "+d.Value)
		} else {
			reasons = append(reasons, "it sets "+d.Name)
		}
	}
	return strings.Join(reasons, ", ")
}

// header writes the paths header. nginx's generated ngx_auto_config.h and lua-nginx-module guard
// these macros with #ifndef, so the first definition wins.
func header(defines []Define) string {
	text := ""
	for _, d := range defines {
		text += "#define " + d.Name + " \"" + d.Value + "\"\n"
	}
	return text
}

func split(additions []Addition) (texts, reasons []string) {
	for _, a := range additions {
		texts, reasons = append(texts, a.Text), append(reasons, a.Reason)
	}
	return texts, reasons
}

// splitWords cuts an option's value into words as make's shell will, but leaves each word as it is
// written, quotes included. "-include FILE" and the like stay two words.
func splitWords(value string) []string {
	var words []string
	quote, start := byte(0), -1
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == ' ' || c == '\t' || c == '\n':
			if start >= 0 {
				words = append(words, value[start:i])
			}
			start = -1
			continue
		case c == '\'' || c == '"':
			quote = c
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		words = append(words, value[start:])
	}
	return words
}

var (
	versionSuffix = regexp.MustCompile(`[-_]v?[0-9][0-9A-Za-z.+~]*$`)
	modulePrefix  = regexp.MustCompile(`^(nginx-|ngx[-_]|libnginx-mod-|http-)+(http[-_])?`)
	moduleSuffix  = regexp.MustCompile(`([-_]nginx)?[-_]module$|[-_]filter$`)
)

// moduleName reduces the source directory of a third-party module to a name that is the same for
// all who package it: lua-nginx-module-0.10.20, ngx_lua-0.10.20 and debian/modules/http-lua are "lua".
func moduleName(dir string) string {
	name := strings.ToLower(path.Base(dir))
	name = versionSuffix.ReplaceAllString(name, "")
	name = moduleSuffix.ReplaceAllString(name, "")
	name = modulePrefix.ReplaceAllString(name, "")
	return strings.ReplaceAll(name, "_", "-")
}
