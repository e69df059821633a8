package build

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/build/flags"
	"graft/internal/nginx/modules"
)

// Lost is a module of the old binary that the target will not have, and where the running configuration
// needs it. Nothing is lost in silence: where the running configuration is not at hand, Uses is nil.
type Lost struct {
	Module string        `json:"module"` // "ngx_http_auth_pam_module", or what the argument calls it
	Flag   string        `json:"flag,omitempty"`
	File   string        `json:"file,omitempty"` // the .so file that is loaded
	Why    string        `json:"why"`
	Uses   []modules.Use `json:"uses"`
}

// mostUses is how many uses of a module are named to people.
const mostUses = 8

func (l Lost) String() string {
	text := "the target will not have " + l.Module + ": " + l.Why
	var uses []string
	for _, u := range l.Uses {
		name := u.Directive
		if name == "" {
			name = "$" + u.Variable
		}
		uses = append(uses, name+" at "+u.Pos.String())
	}
	switch {
	case l.Uses == nil:
		return text + "; whether the configuration needs it is not known"
	case len(uses) == 0:
		return text + "; the running configuration does not use it"
	case len(uses) > mostUses:
		uses = append(uses[:mostUses:mostUses], fmt.Sprintf("and %d more", len(l.Uses)-mostUses))
	}
	return text + "; the running configuration uses " + strings.Join(uses, ", ")
}

// oldModules reads what the running binary and the .so files that it loads are made of. ok is false where
// that cannot be told: the binary is not at hand, or so old that it does not say.
func (r Request) oldModules() (table modules.Table, ok bool) {
	if r.Binary == "" {
		return modules.Table{}, false
	}
	table, err := modules.Read(r.Binary)
	if err != nil {
		return modules.Table{}, false
	}
	for _, so := range r.Loaded {
		if t, err := modules.Read(so.File); err == nil {
			table = table.With(t)
		}
	}
	return table, true
}

// uses lists where the running configuration needs what is in t.
func (r Request) uses(t modules.Table) []modules.Use {
	if r.Config == nil {
		return nil
	}
	return append(append([]modules.Use{}, t.Uses(r.Config)...), t.UsesVariables(r.Config)...)
}

// foreseeLost tells before the build which modules the dropped arguments and the missing .so files cost.
func foreseeLost(r Request, pr prepared) []Lost {
	lost := []Lost{}
	old, known := r.oldModules()
	for _, f := range pr.Lost {
		name, dir, addon := strings.Cut(f.Flag, "=")
		l := Lost{Module: strings.TrimPrefix(name, "--with-"), Flag: f.Flag, Why: f.Reason}
		if addon && dir != "dynamic" {
			l.Module = path.Base(dir)
		}
		if mine := named(old, l.Module); known && len(mine.Modules) > 0 {
			l.Module, l.Uses = strings.Join(mine.Names(), ", "), r.uses(mine)
		}
		lost = append(lost, l)
	}
	for _, so := range pr.addons.missing {
		l := Lost{Module: strings.TrimSuffix(filepath.Base(so.File), ".so"), File: so.File, Why: "loaded at " + so.At + ", but its source is not at hand (" + so.why + "): give it with --add-module DIR"}
		if t, err := modules.Read(so.File); err == nil {
			l.Uses = r.uses(t)
		}
		lost = append(lost, l)
	}
	return lost
}

// named returns those modules of a table whose name is, reduced, that of an argument's module.
func named(t modules.Table, name string) modules.Table {
	want := flags.ModuleName(name)
	t.Modules = slices.DeleteFunc(slices.Clone(t.Modules), func(m modules.Module) bool { return flags.ModuleName(m.Name) != want })
	t.Variables = nil
	return t
}
