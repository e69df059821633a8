package modules

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	wordSize = 8 // of the machines that relocations are known of
	// maxRead bounds what is read of one file, in bytes, and maxData what of it may be written to. The
	// largest real binaries, with OpenSSL and pagespeed linked in, load a tenth of it.
	maxRead     = 256 << 20
	maxData     = 32 << 20
	maxSegments = 64 // a linker makes some five
	maxSymbols  = 1 << 20
	// imported stands for the address of a symbol that another file defines.
	imported = ^uint64(0)
)

// image is a file as the dynamic linker would lay it out at address 0 (or where it insists to be).
type image struct {
	file   *elf.File
	source io.ReaderAt
	size   uint64 // of the file, in bytes
	budget uint64 // bytes that may still be read

	segments []segment
	fixed    bool     // not position-independent: pointers stand in the file as they are, unmarked
	symbols  []symbol // the dynamic ones, in their order, then perhaps all
	all      bool     // all are there
}

// segment is one loaded part of the file.
type segment struct {
	addr        uint64
	data        []byte
	exec, write bool
	pointers    []uint64 // a bit for each word that the dynamic linker makes a pointer
}

type symbol struct {
	name        string
	value, size uint64
	defined     bool
}

// load reads the parts of the file that hold its tables.
func load(r io.ReaderAt, size int64) (*image, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, notKnown("it is no ELF file that can be read: %v", err)
	}
	kinds, ok := relocationsOf(f.Machine)
	if !ok || f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil, notKnown("it is a %v for %v, %v", f.Type, f.Machine, f.Class)
	}
	m := &image{file: f, source: r, size: uint64(size), budget: maxRead, fixed: f.Type == elf.ET_EXEC}
	if err := m.loadSegments(); err != nil {
		return nil, err
	}
	if err := m.loadSymbols(elf.SHT_DYNSYM); err != nil {
		return nil, err
	}
	return m, m.relocate(kinds)
}

func (m *image) loadSegments() error {
	for _, p := range m.file.Progs {
		if p.Type != elf.PT_LOAD || p.Memsz == 0 {
			continue
		}
		if p.Vaddr%wordSize != p.Off%wordSize || p.Vaddr+p.Memsz < p.Vaddr || p.Filesz > p.Memsz {
			return notKnown("a segment at %#x has an impossible address", p.Vaddr)
		}
		data, err := m.read(p.Off, p.Filesz)
		if err != nil {
			return err
		}
		// What follows is zero and not in the file: an array of ngx_null_command alone lies there (ndk_http_module).
		if zeros := p.Memsz - p.Filesz; zeros <= m.budget {
			m.budget -= zeros
			data = append(data, make([]byte, zeros)...)
		}
		s := segment{addr: p.Vaddr, data: data, exec: p.Flags&elf.PF_X != 0, write: p.Flags&elf.PF_W != 0}
		s.pointers = make([]uint64, len(data)/wordSize/64+1)
		m.segments = append(m.segments, s)
	}
	return nil
}

// read reads from the file within what is left of the budget.
func (m *image) read(off, size uint64) ([]byte, error) {
	if off > m.size || size > m.size-off {
		return nil, notKnown("it ends before its own tables do")
	}
	if size > m.budget {
		return nil, notKnown("more than %d MB of it would have to be read", maxRead>>20)
	}
	m.budget -= size
	data := make([]byte, size)
	if _, err := m.source.ReadAt(data, int64(off)); err != nil {
		return nil, fmt.Errorf("at offset %d: %w", off, err)
	}
	return data, nil
}

// section reads a section as it lies in the file: what is compressed the loader does not know, either.
func (m *image) section(s *elf.Section) ([]byte, error) {
	if s.Type == elf.SHT_NOBITS {
		return nil, nil
	}
	return m.read(s.Offset, s.FileSize)
}

// loadAllSymbols adds the symbols that strip(1) takes away.
func (m *image) loadAllSymbols() error {
	if m.all {
		return nil
	}
	m.all = true
	return m.loadSymbols(elf.SHT_SYMTAB)
}

// loadSymbols adds the symbols of the first section of that type.
func (m *image) loadSymbols(kind elf.SectionType) error {
	const entry = 24 // Elf64_Sym
	sections := m.file.Sections
	i := slices.IndexFunc(sections, func(s *elf.Section) bool { return s.Type == kind })
	if i < 0 || uint64(sections[i].Link) >= uint64(len(sections)) {
		return nil
	}
	table, err := m.section(sections[i])
	if err != nil {
		return err
	}
	names, err := m.section(sections[sections[i].Link])
	if err != nil {
		return err
	}
	text := string(names)
	for ; len(table) >= entry; table = table[entry:] {
		le := binary.LittleEndian
		s := symbol{value: le.Uint64(table[8:]), size: le.Uint64(table[16:]), defined: le.Uint16(table[6:]) != uint16(elf.SHN_UNDEF)}
		if at := int64(le.Uint32(table)); at < int64(len(text)) {
			s.name, _, _ = strings.Cut(text[at:min(int64(len(text)), at+maxName)], "\x00")
		}
		if len(m.symbols) == maxSymbols {
			return notKnown("it has more than %d symbols", maxSymbols)
		}
		m.symbols = append(m.symbols, s)
	}
	return nil
}

// symbol finds a defined symbol by its name.
func (m *image) symbol(name string) (symbol, bool) {
	for _, s := range m.symbols {
		if s.defined && s.name == name {
			return s, true
		}
	}
	return symbol{}, false
}

func (m *image) segment(addr uint64) *segment {
	for i := range m.segments {
		if s := &m.segments[i]; addr >= s.addr && addr-s.addr < uint64(len(s.data)) {
			return s
		}
	}
	return nil
}

// bytes are the n bytes at addr, or nil if they are not all in the file.
func (m *image) bytes(addr, n uint64) []byte {
	s := m.segment(addr)
	if s == nil || uint64(len(s.data))-(addr-s.addr) < n {
		return nil
	}
	return s.data[addr-s.addr:][:n]
}

// word is the number at addr.
func (m *image) word(addr uint64) (uint64, bool) {
	b := m.bytes(addr, wordSize)
	if b == nil {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b), true
}

// number is the word at addr, if it is not a pointer.
func (m *image) number(addr uint64) (uint64, bool) {
	w, ok := m.word(addr)
	return w, ok && !m.marked(addr)
}

// pointer is where the word at addr leads to; 0 is NULL. The second result is false if the word is
// neither a pointer nor NULL.
func (m *image) pointer(addr uint64) (uint64, bool) {
	w, ok := m.word(addr)
	switch {
	case !ok:
		return 0, false
	case m.marked(addr), w == 0:
		return w, true
	case m.fixed:
		return w, m.segment(w) != nil
	}
	return 0, false
}

func (m *image) marked(addr uint64) bool {
	s := m.segment(addr)
	if s == nil || addr%wordSize != 0 {
		return false
	}
	n := addr/wordSize - s.addr/wordSize
	return s.pointers[n/64]>>(n%64)&1 != 0
}

// isCode tells whether a pointer leads to a function.
func (m *image) isCode(target uint64) bool {
	if target == imported {
		return true
	}
	s := m.segment(target)
	return s != nil && s.exec
}

// text is the string of n bytes at addr, if all of them are fit for a name.
func (m *image) text(addr, n uint64) (string, bool) {
	if n > maxName {
		return "", false
	}
	b := m.bytes(addr, n)
	if b == nil || slices.ContainsFunc(b, func(c byte) bool { return c <= ' ' || c > '~' }) {
		return "", false
	}
	return string(b), true
}

// cText is the string at addr that a zero byte ends.
func (m *image) cText(addr uint64) (string, bool) {
	for n := uint64(0); n <= maxName; n++ {
		b := m.bytes(addr+n, 1)
		if b == nil {
			return "", false
		}
		if b[0] == 0 {
			return m.text(addr, n)
		}
	}
	return "", false
}
