// Package modules reads which modules an nginx binary or a dynamic module is made of, and which
// directives and variables each of them defines, out of the ELF file: nothing is run.
//
// nginx is linked with -Wl,-E, so even a stripped binary exports ngx_modules, the array of its
// modules, and, since 1.9.11, ngx_module_names; a dynamic module exports both, too. Each
// ngx_module_t leads to its array of ngx_command_t, where nginx itself looks a directive up
// (ngx_conf_handler in core/ngx_conf_file.c). So the answer holds for every binary of the family
// and every third-party module, and there is no list of directives to keep.
package modules

import "slices"

// Table is what one file, or a binary and the dynamic modules it loads ([Table.With]), defines.
type Table struct {
	Modules []Module // in the order nginx asks them

	// Signature is nginx's own word on what a dynamic module must agree on with its binary,
	// "8,4,8,0011…"; "" before 1.9.11.
	Signature string
	// Version is the nginx_version the modules were compiled for, 1022001 for 1.22.1 (Angie's is
	// its own version); 0 before 1.9.11.
	Version uint

	// Variables are those whose module cannot be told for sure.
	Variables []Variable
}

// Module is one ngx_module_t.
type Module struct {
	Name       string // "ngx_http_geoip_module"; "" if the file does not tell (stripped, before 1.9.11)
	Type       Type
	Directives []Directive
	Variables  []Variable // the static ones, without "$"
}

// Directive is one ngx_command_t. A module may define one name several times, for different
// contexts.
type Directive struct {
	Name string
	// Bits are the command's type field: where it may stand, whether it opens a block, how many
	// arguments it takes (NGX_CONF_…, NGX_HTTP_…_CONF and so on).
	Bits uint64
}

// Variable is one static ngx_http_variable_t or ngx_stream_variable_t.
type Variable struct {
	Name   string // without "$"
	Prefix bool   // it stands for all names that begin so (NGX_HTTP_VAR_PREFIX)
}

// Type is a module's type as nginx spells it. Modules of others bring types of their own ("RTMP").
type Type string

// The types of nginx's own modules.
const (
	Core   Type = "CORE"
	Conf   Type = "CONF" // its directives (include) may stand anywhere
	Event  Type = "EVNT"
	HTTP   Type = "HTTP"
	Stream Type = "STRM"
	Mail   Type = "MAIL"
)

// The bits of a directive that hold whatever the type of its module (core/ngx_conf_file.h).
const (
	blockBit    = 0x00000100 // NGX_CONF_BLOCK
	contextBits = 0xff000000 // NGX_ANY_CONF since 1.11; bits that an older one lacked are 0 there
)

// Block tells whether the directive opens a block.
func (d Directive) Block() bool { return d.Bits&blockBit != 0 }

// With is the table of t's file with those of the dynamic modules it loads.
func (t Table) With(loaded ...Table) Table {
	t.Modules, t.Variables = slices.Clone(t.Modules), slices.Clone(t.Variables)
	for _, more := range loaded {
		t.Modules = append(t.Modules, more.Modules...)
		t.Variables = append(t.Variables, more.Variables...)
	}
	return t
}

// Names lists the modules' names, in order; those not known are left out.
func (t Table) Names() []string {
	var names []string
	for _, m := range t.Modules {
		if m.Name != "" {
			names = append(names, m.Name)
		}
	}
	return names
}

// Has tells whether a module of that name is in the table.
func (t Table) Has(name string) bool {
	return name != "" && slices.ContainsFunc(t.Modules, func(m Module) bool { return m.Name == name })
}
