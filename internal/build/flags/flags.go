// Package flags carries the configure arguments of a running binary over to another source tree: what is kept,
// dropped, rewritten or added, each with its reason.
package flags

import (
	"path"
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
	// LoadModule: the configuration may have load_module lines, so Target.LoadModule is built in.
	LoadModule bool
	// Lost are those of Flags that take a module away from the target which the old binary has.
	Lost []artifact.Flag
	// Unmatched are those of Target.Without that took nothing away.
	Unmatched []string
}

// Target is what the translation must know of the tree that is to be built.
type Target struct {
	Layout  source.Layout
	Nginx   string          // version of its nginx core, "1.21.4"; empty if not known
	Prefix  string          // OpenResty's own prefix, absolute; unused for source.LayoutNginx
	Options map[string]bool // option names its configure accepts, "--with-threads"; nil if not known

	PCRE1   bool     // its lua-nginx-module can only use PCRE1
	Modules []Module // modules to build from sources of their own
	Loaded  []string // base names of the .so files that the running configuration loads; nil: not known

	With    []string // arguments that the user wants, whatever the rules say
	Without []string // arguments, or names of options, that the user does not want

	// Hardening is what the running binary has, whichever flags or compiler gave it.
	Hardening Hardening
	// DefaultPIE: the compiler makes position-independent executables unless told otherwise.
	DefaultPIE bool

	// CC and LD are words for --with-cc-opt and --with-ld-opt, Add whole arguments, that this
	// source needs; Defines are macros for the paths header.
	CC, LD, Add []Addition
	Defines     []Define

	// ModulesPath is the directory on the host that gets the .so modules, LoadModule the addon, as
	// configure is to be given it, by which load_module finds them there.
	ModulesPath, LoadModule string

	Exists func(path string) bool // whether a file or directory is on the build machine

	sources map[string]bool // libraries ("pcre") that are built from a source directory that is here
	dynamic bool            // the build will have .so modules
}

// Module is a module that is built from a source of its own.
type Module struct {
	Name    string // what it is called, as moduleName reduces it
	Dir     string // as configure is to be given it
	Dynamic bool   // as a .so file
	Reason  string
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
	tr := translator{target: t, without: map[string]bool{}}
	tr.target.sources = map[string]bool{}
	for _, text := range like.Configure {
		if a := parseArgument(text); a.valued && valueExists(a, t) {
			tr.target.sources[strings.TrimPrefix(a.name, "--with-")] = true
		}
	}
	tr.target.dynamic = t.hasDynamic(like.Configure)
	oldPrefix := path.Clean(like.Prefix)
	if t.Layout == source.LayoutOpenResty && oldPrefix != path.Join(t.Prefix, "nginx") {
		tr.target.Defines = append(slices.Clone(t.Defines), Define{"NGX_PREFIX", oldPrefix + "/"})
	}
	if len(tr.target.Defines) > 0 {
		tr.target.CC = append(slices.Clone(t.CC), Addition{"-include " + PathsHeader, tr.headerReason()})
	}
	tr.harden(like.Configure)
	for _, text := range like.Configure {
		tr.translate(parseArgument(text), oldPrefix)
	}
	load := t.wantsLoadModule(like.Configure)
	tr.addMissing(oldPrefix, load)
	result := Translation{Configure: tr.configure, Flags: tr.flags, Header: header(tr.target.Defines), LoadModule: load, Lost: tr.lost}
	for _, text := range t.Without {
		if !tr.without[text] {
			result.Unmatched = append(result.Unmatched, text)
		}
	}
	return result
}

// translator collects the result argument by argument.
type translator struct {
	target    Target
	configure []string
	flags     []artifact.Flag
	prefix    bool            // --prefix has been dealt with
	cc, ld    bool            // likewise --with-cc-opt, --with-ld-opt
	lost      []artifact.Flag // likewise Translation.Lost
	without   map[string]bool // which of Target.Without took something away
}

func (tr *translator) translate(a argument, oldPrefix string) {
	if tr.overridden(a) {
		return
	}
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
		if tr.target.Options != nil && !tr.target.Options[a.name] {
			tr.keep(a)
			return
		}
		tr.configure = append(tr.configure, a.text)
	case artifact.Rewrite:
		f.To = r.to(a, tr.target)
		tr.configure = append(tr.configure, f.To)
	}
	if r.loses {
		tr.lost = append(tr.lost, f)
	}
	tr.flags = append(tr.flags, f)
}

const noSuchOption = "the target's configure has no such option"

// keep decides on an argument that no rule names: kept if the target's configure takes it.
func (tr *translator) keep(a argument) {
	since, known := optionSince(a.name)
	t := tr.target
	switch {
	case t.Options != nil && !t.Options[a.name]:
		tr.drop(a, noSuchOption)
		return
	case t.Options == nil && t.Nginx != "" && since != "" && !nginx.AtLeast(t.Nginx, since):
		tr.drop(a, "exists since nginx "+since+"; the target is "+t.Nginx)
		return
	}
	reason := "same meaning in the target"
	if !known {
		reason = "unknown to graft: kept as it is"
	}
	tr.configure = append(tr.configure, a.text)
	tr.flags = append(tr.flags, artifact.Flag{Flag: a.text, Action: artifact.Keep, Reason: reason})
}

// drop leaves an argument out, and with it the module that it may name.
func (tr *translator) drop(a argument, reason string) {
	f := artifact.Flag{Flag: a.text, Action: artifact.Drop, Reason: reason}
	if isAddon(a.name) || strings.HasPrefix(a.name, "--with-") && strings.HasSuffix(a.name, "_module") || a.name == "--with-stream" || a.name == "--with-mail" {
		tr.lost = append(tr.lost, f)
	}
	tr.flags = append(tr.flags, f)
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
func (tr *translator) addMissing(oldPrefix string, loadModule bool) {
	if !tr.prefix {
		to, reason := tr.wantedPrefix(oldPrefix)
		tr.add(to, reason)
	}
	for _, o := range []struct {
		name  string
		done  bool
		words []Addition
	}{{"--with-cc-opt", tr.cc, tr.target.CC}, {"--with-ld-opt", tr.ld, tr.target.LD}} {
		texts, reasons := split(o.words)
		if words := tr.target.wantedWords(o.name); len(words) > 0 {
			texts, reasons = append(texts, words...), append(reasons, "asked for by --flag")
		}
		if o.done || len(texts) == 0 {
			continue
		}
		tr.add(o.name+"="+strings.Join(texts, " "), strings.Join(reasons, "; "))
	}
	if tr.target.PCRE1 && (tr.target.Nginx == "" || nginx.AtLeast(tr.target.Nginx, "1.21.5")) && !slices.Contains(tr.configure, "--without-pcre2") {
		tr.add("--without-pcre2", "lua-nginx-module before 0.10.26 can only use PCRE1")
	}
	for _, a := range tr.target.Add {
		tr.add(a.Text, a.Reason)
	}
	tr.addModules(loadModule)
	for _, text := range tr.target.With {
		if a := parseArgument(text); !isWords(a.name) && !slices.Contains(tr.configure, text) {
			tr.add(text, "asked for by --flag")
		}
	}
}

// add appends an argument that the old binary was not given, unless the user does not want it.
func (tr *translator) add(text, reason string) {
	if tr.unwanted(parseArgument(text)) {
		tr.flags = append(tr.flags, artifact.Flag{Flag: text, Action: artifact.Drop, Reason: "not added (" + reason + "): --without-flag"})
		return
	}
	tr.configure = append(tr.configure, text)
	tr.flags = append(tr.flags, artifact.Flag{Flag: text, Action: artifact.Add, Reason: reason})
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
