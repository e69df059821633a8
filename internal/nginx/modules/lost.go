package modules

import (
	"errors"
	"fmt"
	"slices"
)

// Lost is what t has and the others have not, all of them together: t with the modules, and of each
// module the directives and variables, that none of the others offers. A directive that is left has
// only the contexts in which it is lost; another module that takes it over counts. A module that is
// gone (not Has of the others) is in the result even if nothing of it can be named in a
// configuration.
func (t Table) Lost(others ...Table) Table {
	var all Table
	all = all.With(others...)
	type key struct {
		module Type
		name   string
	}
	offered := map[key]uint64{}
	variables := map[key]bool{}
	for _, m := range all.Modules {
		for _, d := range m.Directives {
			offered[key{m.Type, d.Name}] |= d.Bits
		}
		for _, v := range m.Variables {
			variables[key{m.Type, v.Name}] = true
		}
	}
	for _, v := range all.Variables {
		variables[key{"", v.Name}] = true
	}
	kept := func(of Type, v Variable) bool {
		// Before 1.13.4 nginx knew its prefixes ($http_…, $arg_…) by code, not by variables.
		if v.Prefix && !all.hasPrefixes() {
			return true
		}
		return variables[key{"", v.Name}] || variables[key{of, v.Name}] ||
			of == "" && (variables[key{HTTP, v.Name}] || variables[key{Stream, v.Name}])
	}

	lost := Table{Signature: t.Signature, Version: t.Version}
	for _, m := range t.Modules {
		left := Module{Name: m.Name, Type: m.Type}
		for _, d := range m.Directives {
			missing := d.Bits & contextBits &^ offered[key{m.Type, d.Name}]
			if missing != 0 {
				d.Bits = d.Bits&^contextBits | missing
				left.Directives = append(left.Directives, d)
			}
		}
		for _, v := range m.Variables {
			if !kept(m.Type, v) {
				left.Variables = append(left.Variables, v)
			}
		}
		gone := m.Name != "" && !all.Has(m.Name)
		if gone || left.Directives != nil || left.Variables != nil {
			lost.Modules = append(lost.Modules, left)
		}
	}
	for _, v := range t.Variables {
		if !kept("", v) {
			lost.Variables = append(lost.Variables, v)
		}
	}
	return lost
}

func (t Table) hasPrefixes() bool {
	isPrefix := func(v Variable) bool { return v.Prefix }
	return slices.ContainsFunc(t.Variables, isPrefix) ||
		slices.ContainsFunc(t.Modules, func(m Module) bool { return slices.ContainsFunc(m.Variables, isPrefix) })
}

// Why a binary refuses a dynamic module (ngx_add_module in core/ngx_module.c).
var (
	ErrVersion   = errors.New("it is compiled for another version of nginx")
	ErrSignature = errors.New("it is not binary compatible")
	ErrLoaded    = errors.New("the module is already loaded")
)

// Accepts tells whether a binary with t, and all it has loaded so far, would load the dynamic module:
// nil if so. It is not the whole of compatibility: what is compiled against other sources of the same
// version may pass and crash. An error is one of those above, or ErrNotKnown if t or the module is
// older than dynamic modules.
func (t Table) Accepts(module Table) error {
	switch {
	case t.Signature == "" || module.Signature == "":
		return notKnown("they do not say what they are compatible with (before 1.9.11)")
	case module.Version != t.Version:
		return fmt.Errorf("%w: %d instead of %d", ErrVersion, module.Version, t.Version)
	case module.Signature != t.Signature:
		return fmt.Errorf("%w: its signature is %s instead of %s", ErrSignature, module.Signature, t.Signature)
	}
	if i := slices.IndexFunc(module.Modules, func(m Module) bool { return t.Has(m.Name) }); i >= 0 {
		return fmt.Errorf("%w: %s", ErrLoaded, module.Modules[i].Name)
	}
	return nil
}
