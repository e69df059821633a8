package modules

import (
	"regexp"
	"strings"

	"graft/internal/nginx/conf"
)

// UsesVariables lists where the configuration uses a variable of one of t's modules: in arguments, and
// in Lua that stands in the configuration. What the configuration defines itself (set, map, named
// captures, …) is not listed. Lua, JavaScript, Perl and SSI in files of their own are not read.
func (t Table) UsesVariables(c *conf.Config) []Use {
	known := t.variablesByName()
	if len(known.exact) == 0 && len(known.prefixes) == 0 {
		return nil
	}
	defined := definedVariables(c)
	var uses []Use
	c.Walk(func(d *conf.Directive) bool {
		family := familyOf(d)
		if family == "" {
			return true
		}
		seen := map[string]bool{}
		for _, u := range variablesIn(d) {
			if defined[variableKey{family, u.name}] || seen[u.name] {
				continue
			}
			if module, ok := known.find(family, u.name); ok {
				seen[u.name] = true
				pos := d.Pos()
				pos.Line += u.line
				uses = append(uses, Use{Module: module, Variable: u.name, Pos: pos})
			}
		}
		return true
	})
	return uses
}

// familyOf is the type of modules whose variables d may use; "" if it can use none.
func familyOf(d *conf.Directive) Type {
	switch d.Context() {
	case "http":
		return HTTP
	case "stream":
		return Stream
	}
	return ""
}

type variableKey struct {
	family Type // "" for both
	name   string
}

// variableOwners tells the module of each variable.
type variableOwners struct {
	exact, prefixes map[variableKey]string
}

func (t Table) variablesByName() variableOwners {
	o := variableOwners{map[variableKey]string{}, map[variableKey]string{}}
	add := func(module string, family Type, list []Variable) {
		for _, v := range list {
			into := o.exact
			if v.Prefix {
				into = o.prefixes
			}
			key := variableKey{family, v.Name}
			if _, taken := into[key]; !taken {
				into[key] = module
			}
		}
	}
	for _, m := range t.Modules {
		add(m.Name, m.Type, m.Variables)
	}
	add("", "", t.Variables)
	return o
}

// find is the module of a variable, "" if it is not known which one.
func (o variableOwners) find(family Type, name string) (module string, ok bool) {
	for _, f := range []Type{family, ""} {
		if module, ok := o.exact[variableKey{f, name}]; ok {
			return module, true
		}
	}
	for n := len(name); n > 0; n-- { // the longest prefix first, as nginx looks for it
		for _, f := range []Type{family, ""} {
			if module, ok := o.prefixes[variableKey{f, name[:n]}]; ok {
				return module, true
			}
		}
	}
	return "", false
}

// variableUse is a variable's name and how many lines below the directive's own it stands.
type variableUse struct {
	name string
	line int
}

var (
	inArgument = regexp.MustCompile(`\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))`)
	inLua      = regexp.MustCompile(`\bngx\s*\.\s*var\s*(?:\.\s*([A-Za-z_][A-Za-z0-9_]*)|\[\s*["']([A-Za-z0-9_]+)["']\s*\])`)
	inCapture  = regexp.MustCompile(`\(\?P?[<']([A-Za-z_][A-Za-z0-9_]*)[>']`)
)

// variablesIn lists the variables that d itself names, in order.
func variablesIn(d *conf.Directive) []variableUse {
	var uses []variableUse
	for _, arg := range d.Args {
		if !strings.ContainsAny(arg, "$.[") {
			continue
		}
		for _, name := range submatches(inArgument, arg) {
			uses = append(uses, variableUse{name, 0})
		}
		if strings.HasSuffix(d.Name, "_by_lua") {
			for _, name := range submatches(inLua, arg) {
				uses = append(uses, variableUse{name, 0})
			}
		}
	}
	for _, at := range inLua.FindAllStringSubmatchIndex(d.Lua, -1) {
		from, to := at[2], at[3]
		if from < 0 {
			from, to = at[4], at[5]
		}
		uses = append(uses, variableUse{strings.ToLower(d.Lua[from:to]), strings.Count(d.Lua[:from], "\n")})
	}
	return uses
}

// submatches lists what the expression's groups matched, in lower case, as nginx compares names.
func submatches(re *regexp.Regexp, s string) []string {
	var list []string
	for _, m := range re.FindAllStringSubmatch(s, -1) {
		list = append(list, strings.ToLower(strings.Join(m[1:], "")))
	}
	return list
}

// definedVariables lists the variables that the configuration defines.
func definedVariables(c *conf.Config) map[variableKey]bool {
	defined := map[variableKey]bool{}
	c.Walk(func(d *conf.Directive) bool {
		family := familyOf(d)
		if family == "" {
			return true
		}
		if i := definesIn(d); i >= 0 && i < len(d.Args) {
			for _, name := range submatches(inArgument, d.Args[i]) {
				defined[variableKey{family, name}] = true
			}
		}
		for _, arg := range d.Args {
			if strings.Contains(arg, "(?") {
				for _, name := range submatches(inCapture, arg) {
					defined[variableKey{family, name}] = true
				}
			}
		}
		return true
	})
	return defined
}

// definesIn is which argument of d names the variable it defines, or -1.
func definesIn(d *conf.Directive) int {
	switch d.Name {
	case "set", "perl_set", "js_set", "js_var", "auth_request_set", "set_by_lua", "set_by_lua_block", "set_by_lua_file":
		return 0
	case "map", "geo", "split_clients":
		return len(d.Args) - 1
	}
	return -1
}
