package conf

import (
	"fmt"
	"strings"
)

// Parse reads one file's text, without following its includes. file is the name for messages.
// Strings of the result share one copy of data. The error is an *Error.
func Parse(file string, data []byte) ([]*Directive, error) {
	p := &parser{lx: lexer{src: string(data), line: 1}, file: file}
	return p.run()
}

// parser reads one file, or the text of -g, into directives.
type parser struct {
	lx     lexer
	file   string
	parent *Directive // the block the file is included in
	via    *Directive // the include directive it is read for
	// include reads what an include directive asks for, which ends on the line; nil leaves includes alone.
	include func(d *Directive, line int) ([]*Directive, error)

	lua  bool       // it has Lua blocks
	open *Directive // the innermost block opened in this file
	slab slab

	// done are the directives of the blocks that are open, the outermost block's first; begins tells
	// for each block where its own begin.
	done   []*Directive
	begins []int
}

const byteOrderMark = "\uFEFF"

func (p *parser) run() ([]*Directive, error) {
	for {
		end, lexErr := p.lx.next()
		if lexErr != nil {
			return nil, p.fail(lexErr)
		}
		switch end {
		case endOfFile:
			if p.open != nil {
				return nil, p.fail(&lexError{p.lx.line, `unexpected end of file, expecting "}"`,
					fmt.Sprintf("the block %q opened on line %d is not closed", p.open.Name, p.open.Line)})
			}
			return p.slab.list(p.done), nil
		case closeBrace:
			if p.open == nil {
				hint := "no block is open in this file: remove it, or look for a block closed too early above"
				if p.lx.param {
					hint = ""
				}
				return nil, p.fail(&lexError{p.lx.line, `unexpected "}"`, hint})
			}
			p.close()
		case semicolon, openBrace:
			if err := p.directive(end == openBrace); err != nil {
				return nil, err
			}
		}
	}
}

// directive takes the words of the last run.
func (p *parser) directive(block bool) error {
	parent := p.open
	if parent == nil {
		parent = p.parent
	}
	d := p.slab.directive(p.lx.words)
	d.Quoted = p.lx.quoted >> 1
	d.File, d.Line = p.file, p.line(p.lx.first)
	d.Parent, d.Via = parent, p.via
	if block && p.lx.param {
		return p.fail(&lexError{0, "block directives are not supported in -g option", ""})
	}
	holdsData := parent != nil && isDataBlock(parent.Name) && !parent.Data
	if holdsData && block {
		return p.fail(&lexError{p.lx.line, `unexpected "{"`,
			fmt.Sprintf("the block %q of %s holds lines of data, not blocks; is a \";\" missing?", parent.Name, parent.Pos())})
	}
	d.IsBlock = block
	includes := d.Name == "include" && (!holdsData || dataBlockIncludes(parent.Name))
	d.Data = holdsData && !includes
	if !d.Data {
		if err := p.check(d); err != nil {
			return p.fail(err)
		}
	}
	p.done = append(p.done, d)

	switch {
	case block && isLuaBlock(d.Name):
		p.lua = true
		lua, err := p.lx.luaBlock()
		if err != nil {
			return p.fail(err)
		}
		d.Lua = lua
	case block:
		p.open = d
		p.begins = append(p.begins, len(p.done))
	case includes && p.include != nil:
		included, err := p.include(d, p.line(p.lx.line))
		if err != nil {
			return err
		}
		p.done = append(p.done, included...)
	}
	return nil
}

// close ends the innermost block.
func (p *parser) close() {
	last := len(p.begins) - 1
	begin := p.begins[last]
	p.open.Block = p.slab.list(p.done[begin:])
	p.done, p.begins = p.done[:begin], p.begins[:last]
	if p.open = p.open.Parent; p.open == p.parent {
		p.open = nil
	}
}

// check refuses a directive whose shape nginx would refuse wherever it stood.
func (p *parser) check(d *Directive) *lexError {
	switch {
	case strings.HasPrefix(d.Name, byteOrderMark):
		return &lexError{p.lx.line, fmt.Sprintf("unknown directive \"%s\"", d.Name),
			"the file begins with a UTF-8 byte order mark, which nginx takes as part of the first word: save it without"}
	case d.IsBlock && isSimple(d):
		return &lexError{p.lx.line, fmt.Sprintf("directive \"%s\" is not terminated by \";\"", d.Name),
			fmt.Sprintf("it begins on line %d and takes no block", d.Line)}
	case !d.IsBlock && isBlock(d):
		return &lexError{p.lx.line, fmt.Sprintf("directive \"%s\" has no opening \"{\"", d.Name), ""}
	case d.Name == "include" && len(d.Args) != 1:
		return &lexError{p.lx.line, `invalid number of arguments in "include" directive`,
			"it takes one file name or pattern"}
	}
	return nil
}

// line is a line of the file; the text of -g has none, even if it has line feeds.
func (p *parser) line(n int) int {
	if p.lx.param {
		return 0
	}
	return n
}

func (p *parser) fail(err *lexError) *Error {
	e := &Error{File: p.file, Line: p.line(err.line), Msg: err.msg, Hint: err.hint, uncounted: p.lx.uncounted}
	for via := p.via; via != nil; via = via.Via {
		e.IncludedFrom = append(e.IncludedFrom, via.Pos())
	}
	return e
}

// slab hands out directives and argument lists from larger allocations: a big configuration is
// mostly these.
type slab struct {
	directives []Directive
	strings    []string
	pointers   []*Directive
}

// list copies ds.
func (s *slab) list(ds []*Directive) []*Directive {
	n := len(ds)
	if n == 0 {
		return nil
	}
	if len(s.pointers) < n {
		s.pointers = make([]*Directive, max(256, n))
	}
	list := s.pointers[:n:n]
	s.pointers = s.pointers[n:]
	copy(list, ds)
	return list
}

func (s *slab) directive(words []string) *Directive {
	if len(s.directives) == 0 {
		s.directives = make([]Directive, 128)
	}
	d := &s.directives[0]
	s.directives = s.directives[1:]
	d.Name = words[0]
	if n := len(words) - 1; n > 0 {
		if len(s.strings) < n {
			s.strings = make([]string, max(256, n))
		}
		d.Args = s.strings[:n:n]
		s.strings = s.strings[n:]
		copy(d.Args, words[1:])
	}
	return d
}
