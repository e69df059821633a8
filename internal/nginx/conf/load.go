package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"
)

// Options say what to load, as nginx's command line does.
type Options struct {
	Root string // the file system to read in; "" is "/". For a process in a container, /proc/PID/root
	File string // the conf file, absolute inside Root (-c, or the compiled-in path)
	// ConfPrefix is what relative includes and certificates resolve against. "" is the directory
	// of File, which is what nginx uses.
	ConfPrefix string
	Global     string // the text of -g
}

// Config is a whole configuration as nginx would read it.
type Config struct {
	// Directives are those of the main context: first those of -g, then those of the conf file.
	Directives []*Directive
	// Files are the files read, each once, in the order nginx first opens them (and -T lists them).
	Files []File

	ConfPrefix string // ends in a slash

	lua map[string]string // content by path of the files with Lua blocks
}

// File is one file of a configuration.
type File struct {
	Path   string `json:"path"`   // as nginx names it, inside the root
	SHA256 string `json:"sha256"` // of its content, hexadecimal
	Size   int64  `json:"size"`   // in bytes
}

// maxDepth bounds nested includes. nginx holds every file of the chain open; its default limit of
// descriptors is 1024.
const maxDepth = 1000

// Load reads a configuration with all its includes. An error in it is an *Error.
func Load(opts Options) (*Config, error) {
	if !path.IsAbs(opts.File) {
		return nil, fmt.Errorf("load configuration: the conf file's path %q is not absolute", opts.File)
	}
	tree, err := openTree(opts.Root)
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	defer tree.close()
	l := &loader{tree: tree, confPrefix: opts.ConfPrefix, seen: map[string][]byte{}, lua: map[string]string{}}
	if l.confPrefix == "" {
		l.confPrefix = dirOf(opts.File)
	}
	config := &Config{ConfPrefix: fullName(l.confPrefix, "")}
	if opts.Global != "" {
		p := l.parser(CommandLine, nil, nil)
		p.lx = lexer{src: opts.Global, param: true}
		if config.Directives, err = p.run(); err != nil {
			return nil, err
		}
	}
	main, err := l.file(opts.File, nil, asked{})
	if err != nil {
		return nil, err
	}
	config.Directives = append(config.Directives, main...)
	config.Files, config.lua = l.files, l.lua
	return config, nil
}

// loader reads the files of one configuration.
type loader struct {
	tree       *tree
	confPrefix string
	files      []File
	lua        map[string]string // content by path of those with Lua blocks
	seen       map[string][]byte // content by path: a snippet is often included by every server
	stack      []string          // the files being read, outermost first
}

// asked is the include directive that a file is read for, the zero value for the main file.
type asked struct {
	via  *Directive
	line int // where it ends, which is the line that nginx names if the file cannot be read
}

func (l *loader) parser(file string, parent, via *Directive) *parser {
	p := &parser{file: file, parent: parent, via: via}
	p.include = l.include
	return p
}

// file reads one file into parent's block.
func (l *loader) file(name string, parent *Directive, by asked) ([]*Directive, error) {
	for _, open := range l.stack {
		if open == name {
			return nil, by.fail(fmt.Sprintf("include of \"%s\" never ends", name),
				"the file includes itself through this chain; nginx would open it until it has no descriptors left: remove this include", nil)
		}
	}
	if len(l.stack) == maxDepth {
		return nil, by.fail(fmt.Sprintf("include of \"%s\" is nested more than %d deep", name, maxDepth), "", nil)
	}
	data, err := l.read(name)
	if err != nil {
		return nil, by.unreadable(name, err)
	}
	l.stack = append(l.stack, name)
	defer func() { l.stack = l.stack[:len(l.stack)-1] }()
	p := l.parser(name, parent, by.via)
	p.lx = lexer{src: string(data), line: 1}
	ds, err := p.run()
	if p.lua {
		l.lua[name] = p.lx.src
	}
	return ds, err
}

func (l *loader) read(name string) ([]byte, error) {
	if data, ok := l.seen[name]; ok {
		return data, nil
	}
	data, err := l.tree.read(name)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	l.seen[name] = data
	l.files = append(l.files, File{name, hex.EncodeToString(sum[:]), int64(len(data))})
	return data, nil
}

// include reads what an include directive asks for. In geo a pattern is an ordinary name.
func (l *loader) include(d *Directive, line int) ([]*Directive, error) {
	name, _, _ := strings.Cut(fullName(l.confPrefix, d.Arg(0)), "\x00") // for the kernel it ends there
	if !hasWildcard(name) || d.Parent != nil && d.Parent.Name == "geo" {
		return l.file(name, d.Parent, asked{d, line})
	}
	var all []*Directive
	for _, match := range l.tree.glob(name) {
		included, err := l.file(match, d.Parent, asked{d, line})
		if err != nil {
			return nil, err
		}
		all = append(all, included...)
	}
	return all, nil
}

// unreadable words a file that cannot be read as nginx does.
func (by asked) unreadable(name string, err error) *Error {
	op, hint := "open", ""
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) && pathErr.Op == "pread" {
		op = "pread"
	}
	cause := err.Error()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text := errno.Error()
		cause = fmt.Sprintf("%d: %s%s", int(errno), strings.ToUpper(text[:1]), text[1:])
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && by.via != nil && !path.IsAbs(by.via.Arg(0)):
		hint = "a relative include is looked for in the conf file's directory"
	case errors.Is(err, fs.ErrPermission):
		hint = "run graft as the user that starts nginx (root, usually)"
	case errors.Is(err, syscall.EISDIR):
		hint = "to include the files of a directory, write a pattern: " + path.Join(name, "*.conf")
	}
	return by.fail(fmt.Sprintf("%s() \"%s\" failed (%s)", op, name, cause), hint, err)
}

// fail is an error at the include directive, or at none for the main file.
func (by asked) fail(msg, hint string, cause error) *Error {
	e := &Error{Msg: msg, Hint: hint, Err: cause}
	if by.via != nil {
		e.File, e.Line = by.via.File, by.line
		e.IncludedFrom = by.via.IncludedFrom()
	}
	return e
}
