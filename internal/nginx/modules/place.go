package modules

import (
	"slices"

	"graft/internal/nginx/conf"
)

// place is where a directive of a configuration stands, as nginx asks its modules for it: the type of
// the modules asked (cf->module_type) and the one bit of the context (cf->cmd_type).
type place struct {
	module Type // "" in a block of the main context that nginx itself does not have
	bit    uint64
}

// anyBit is the place in a block whose own module alone knows what stands there.
const anyBit = contextBits

// block is one kind of block, seen from inside.
type block struct {
	place
	name string
}

// The bits of each type, in the order of their values (ngx_conf_file.h, ngx_event.h,
// ngx_http_config.h, ngx_stream.h, ngx_mail.h, and ngx_rtmp.h of nginx-rtmp-module).
var blocks = [...]block{
	{place{Core, 0x01000000}, "main"},
	{place{Event, 0x02000000}, "events"},
	{place{HTTP, 0x02000000}, "http"},
	{place{HTTP, 0x04000000}, "server"},
	{place{HTTP, 0x08000000}, "location"},
	{place{HTTP, 0x10000000}, "upstream"},
	{place{HTTP, 0x20000000}, "if in server"},
	{place{HTTP, 0x40000000}, "if in location"},
	{place{HTTP, 0x80000000}, "limit_except"},
	{place{Stream, 0x02000000}, "stream"},
	{place{Stream, 0x04000000}, "server"},
	{place{Stream, 0x08000000}, "upstream"},
	{place{Mail, 0x02000000}, "mail"},
	{place{Mail, 0x04000000}, "server"},
	{place{rtmp, 0x02000000}, "rtmp"},
	{place{rtmp, 0x04000000}, "server"},
	{place{rtmp, 0x08000000}, "application"},
	{place{rtmp, 0x10000000}, "recorder"},
}

const rtmp Type = "RTMP"

// Contexts names the blocks in which a directive of a module of type t may stand, in nginx's words
// ("main" for none). It is nil for types of modules that are not known here.
func (d Directive) Contexts(t Type) []string {
	if t == Conf {
		return []string{"any"}
	}
	var names []string
	for _, c := range blocks {
		if c.module == t && d.Bits&c.bit != 0 {
			names = append(names, c.name)
		}
	}
	return names
}

// placeOf tells where a directive of a configuration stands.
func placeOf(d *conf.Directive) place {
	if d.Parent == nil {
		return place{Core, 0x01000000}
	}
	var around []string // outermost first
	for p := d.Parent; p != nil; p = p.Parent {
		around = append(around, p.Name)
	}
	slices.Reverse(around)
	at := outermost(around[0])
	for i, name := range around[1:] {
		at.bit = inside(at, name, around[i])
	}
	return at
}

// outermost is the place inside a block of the main context.
func outermost(name string) place {
	switch name {
	case "events":
		return place{Event, 0x02000000}
	case "http":
		return place{HTTP, 0x02000000}
	case "stream":
		return place{Stream, 0x02000000}
	case "mail":
		return place{Mail, 0x02000000}
	case "rtmp":
		return place{rtmp, 0x02000000}
	}
	return place{"", anyBit}
}

// inside is the bit inside a block of that name that stands at the place at, in the block outer.
func inside(at place, name, outer string) uint64 {
	if at.module == HTTP && name == "if" {
		switch outer {
		case "server":
			name = "if in server"
		case "location":
			name = "if in location"
		}
	}
	for _, c := range blocks {
		if c.module == at.module && c.name == name {
			return c.bit
		}
	}
	return anyBit
}

// takes tells whether nginx hands a directive that stands at p to a module's command
// (ngx_conf_handler).
func (p place) takes(m Module, d Directive) bool {
	switch {
	case d.Bits&p.bit&contextBits == 0:
		return false
	case p.module == "":
		return !slices.Contains([]Type{Core, Event, HTTP, Stream, Mail}, m.Type)
	}
	return m.Type == p.module || m.Type == Conf
}
