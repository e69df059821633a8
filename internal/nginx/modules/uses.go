package modules

import "graft/internal/nginx/conf"

// Use is one place where a configuration needs a module.
type Use struct {
	Module    string   `json:"module,omitempty"`    // "" if it is not known which one
	Directive string   `json:"directive,omitempty"` // the directive that is used; "" if it is a variable
	Variable  string   `json:"variable,omitempty"`  // the variable that is used, without "$"
	Pos       conf.Pos `json:"pos"`
}

// Uses lists the directives of the configuration that nginx would hand to one of t's modules, in
// order, each with the first module that takes it where it stands. Asked of what [Table.Lost]
// returns, it tells what the configuration loses.
//
// Inside a block that only its own module understands (one of others' modules) a directive counts
// whatever its contexts are: too much may be listed there, never too little.
func (t Table) Uses(c *conf.Config) []Use {
	var uses []Use
	commands := t.commands()
	c.Walk(func(d *conf.Directive) bool {
		if d.Data {
			return false
		}
		at := placeOf(d)
		for _, cmd := range commands[d.Name] {
			if at.takes(*cmd.module, cmd.directive) {
				uses = append(uses, Use{Module: cmd.module.Name, Directive: d.Name, Pos: d.Pos()})
				break
			}
		}
		return true
	})
	return uses
}

// Unknown lists the directives that no module of t takes where they stand: nginx would refuse the
// configuration. t must be a binary with all the modules it loads. Blocks that are not known to t are
// listed, what is in them is not; nor is what is in blocks that only their module understands.
func (t Table) Unknown(c *conf.Config) []Use {
	var unknown []Use
	commands := t.commands()
	c.Walk(func(d *conf.Directive) bool {
		at := placeOf(d)
		if d.Data || at.bit == anyBit {
			return false
		}
		for _, cmd := range commands[d.Name] {
			if at.takes(*cmd.module, cmd.directive) {
				return true
			}
		}
		unknown = append(unknown, Use{Directive: d.Name, Pos: d.Pos()})
		return false
	})
	return unknown
}

// command is a directive with its module.
type command struct {
	module    *Module
	directive Directive
}

// commands lists the directives of each name, in the order in which nginx asks.
func (t Table) commands() map[string][]command {
	named := map[string][]command{}
	for i := range t.Modules {
		m := &t.Modules[i]
		for _, d := range m.Directives {
			named[d.Name] = append(named[d.Name], command{m, d})
		}
	}
	return named
}
