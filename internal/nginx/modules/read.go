package modules

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// ErrNotKnown says that the file has no tables that can be read: it is not of the nginx family, or
// its linker left them out, or it is for another kind of machine. Nothing follows about what nginx
// itself would say.
var ErrNotKnown = errors.New("the modules in it are not known")

func notKnown(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotKnown, fmt.Sprintf(format, args...))
}

const (
	maxFile    = 512 << 20 // bytes; with debugging information a binary can be large
	maxModules = 1024      // NGX_MAX_DYNAMIC_MODULES is 128; nginx itself has some 60
	maxTotal   = 1 << 16   // directives or variables of one file
	maxName    = 256       // bytes of a name, or of a signature
)

// Read reads the tables of an nginx binary or of a dynamic module. path may be /proc/PID/exe. The
// error is ErrNotKnown if the file does not tell, or one of the file system's.
func Read(path string) (Table, error) {
	// O_NONBLOCK: opening a FIFO would wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Table{}, fmt.Errorf("read the modules: %w", err)
	}
	defer f.Close()
	return readFile(f, path)
}

func readFile(f *os.File, path string) (Table, error) {
	info, err := f.Stat()
	if err != nil {
		return Table{}, fmt.Errorf("read the modules: %w", err)
	}
	var t Table
	switch {
	case !info.Mode().IsRegular():
		err = notKnown("it is no regular file")
	case info.Size() > maxFile:
		err = notKnown("it is larger than %d MB", maxFile>>20)
	default:
		t, err = readTable(f, info.Size())
	}
	if err != nil {
		return Table{}, fmt.Errorf("read the modules of %s: %w", path, err)
	}
	return t, nil
}

// readTable reads the tables of an ELF file.
func readTable(r io.ReaderAt, size int64) (Table, error) {
	m, err := load(r, size)
	if err != nil {
		return Table{}, err
	}
	list, names := m.exported()
	if list == nil {
		// Before 1.9.11 ngx_modules was exported only by chance (the perl module needed it).
		if err := m.loadAllSymbols(); err != nil {
			return Table{}, err
		}
		if list, names = m.exported(); list == nil {
			list = m.scan()
		}
	}
	if list == nil {
		return Table{}, notKnown("it has no array ngx_modules")
	}
	l, ok := m.layoutOf(list)
	if !ok {
		return Table{}, notKnown("its ngx_module_t is of a shape never seen")
	}
	if names == nil {
		if err := m.loadAllSymbols(); err != nil {
			return Table{}, err
		}
		names = m.namesBySymbol(list)
	}
	return m.table(list, names, l)
}

// table reads every module of the list.
func (m *image) table(list []uint64, names []string, l layout) (Table, error) {
	var t Table
	total := 0
	for i, at := range list {
		module := Module{Type: m.moduleType(at, l)}
		if i < len(names) {
			module.Name = names[i]
		}
		commands, ok := m.pointer(at + l.commands())
		if !ok {
			return Table{}, notKnown("module %d (%s) does not lead to its directives", i, module.Name)
		}
		if module.Directives, ok = m.directives(commands, maxTotal-total); !ok {
			return Table{}, notKnown("the directives of module %d (%s) cannot be read", i, module.Name)
		}
		total += len(module.Directives)
		t.Modules = append(t.Modules, module)
	}
	t.Signature, t.Version = m.signature(list, l)
	m.variables(list, l, &t)
	return t, nil
}

// The fields of ngx_command_t: its name (a length, then the text), type, set, conf, offset, post. They
// have not changed since 0.1.
const (
	commandText = 8
	commandType = 16
	commandSize = 56
)

// directives reads an array of ngx_command_t up to the one without a name.
func (m *image) directives(at uint64, limit int) ([]Directive, bool) {
	var list []Directive
	if at == 0 {
		return nil, true
	}
	for ; len(list) < limit; at += commandSize {
		n, ok := m.number(at)
		if !ok {
			return nil, false
		}
		if n == 0 {
			return list, true
		}
		text, ok := m.pointer(at + commandText)
		if !ok {
			return nil, false
		}
		name, ok := m.text(text, n)
		if !ok {
			return nil, false
		}
		bits, ok := m.number(at + commandType)
		if !ok {
			return nil, false
		}
		list = append(list, Directive{name, bits})
	}
	return nil, false
}

// signature reads what 1.9.11 and later note in every module.
func (m *image) signature(list []uint64, l layout) (string, uint) {
	if l != layoutKnown {
		return "", 0
	}
	at, ok := m.pointer(list[0] + moduleSignature)
	if !ok || at == 0 {
		return "", 0
	}
	text, ok := m.cText(at)
	if !ok || strings.Count(text, ",") < 3 {
		return "", 0
	}
	version, ok := m.number(list[0] + moduleVersion)
	if !ok {
		return "", 0
	}
	return text, uint(version)
}
