// Package conf reads nginx's configuration language: the files nginx would read, in the order it
// would read them, as a tree of directives with file and line.
//
// It accepts what nginx's own reader accepts and refuses what that refuses (ngx_conf_read_token and
// ngx_conf_parse in nginx's core/ngx_conf_file.c; for *_by_lua_block the lexer of
// lua-nginx-module). It knows the language, not the directives: a misspelt directive or a bad
// value is for `nginx -t` to find. What is in effect, `nginx -T` decides.
package conf

import "fmt"

// CommandLine is the File of directives that came from -g.
const CommandLine = "command line"

// Pos is a place in a configuration file. Line counts from 1; it is 0 on the command line.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

func (p Pos) String() string {
	if p.File == CommandLine {
		return CommandLine
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Directive is one directive of the configuration, or one line of a data block (map, types, …).
type Directive struct {
	Name string
	Args []string // unescaped, without quotes, as nginx hands them to its modules
	// Quoted has bit i set if Args[i] was written in quotes (arguments past the 64th are not
	// told). nginx forgets it; it is there for showing a directive as its author wrote it.
	Quoted uint64

	IsBlock bool
	// Block is what stands between the braces. The directives of an included file follow their
	// include directive, so that a block lists what is in effect there, in order.
	Block []*Directive
	Lua   string // the raw text between the braces of a *_by_lua_block

	// Data marks a line of a block that holds data instead of directives: Name is a key.
	Data bool

	File string // as nginx names it in messages and in -T
	Line int    // where the directive begins

	Parent *Directive // the block it is in, through includes; nil in the main context
	Via    *Directive // the include directive its file was read for; nil in the main file
}

// Pos tells where the directive begins.
func (d *Directive) Pos() Pos { return Pos{d.File, d.Line} }

// Arg is the i-th argument, or "" if there are fewer.
func (d *Directive) Arg(i int) string {
	if i >= len(d.Args) {
		return ""
	}
	return d.Args[i]
}

// IncludedFrom tells the include directives that led to d's file, the innermost first.
func (d *Directive) IncludedFrom() []Pos {
	var chain []Pos
	for via := d.Via; via != nil; via = via.Via {
		chain = append(chain, via.Pos())
	}
	return chain
}

// Enclosing is the nearest block of that name around d, or nil.
func (d *Directive) Enclosing(name string) *Directive {
	for p := d.Parent; p != nil; p = p.Parent {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Context names the outermost block d is in: "http", "stream", "mail", "events"; "main" if none.
func (d *Directive) Context() string {
	if d.Parent == nil {
		return "main"
	}
	p := d.Parent
	for p.Parent != nil {
		p = p.Parent
	}
	return p.Name
}
