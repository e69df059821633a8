package elffile

import (
	"debug/elf"
	"fmt"
	"iter"
)

// maxSymbol bounds a symbol's name. What is looked for is short; C++ makes longer ones, which are passed
// over.
const maxSymbol = 255

// symbols is a symbol table. The zero value is empty.
type symbols struct {
	im             *image
	table, strings []byte
}

// names yields every symbol's name and whether the symbol is defined elsewhere.
func (s symbols) names() iter.Seq2[[]byte, bool] {
	return func(yield func([]byte, bool) bool) {
		if s.im == nil {
			return
		}
		size, section := uint64(elf.Sym64Size), 6 // offset of st_shndx
		if s.im.class == elf.ELFCLASS32 {
			size, section = elf.Sym32Size, 14
		}
		for sym := s.table; uint64(len(sym)) >= size; sym = sym[size:] {
			n, err := name(s.strings, uint64(s.im.order.Uint32(sym)), maxSymbol)
			if err != nil || len(n) == 0 {
				continue
			}
			if !yield(n, elf.SectionIndex(s.im.order.Uint16(sym[section:])) == elf.SHN_UNDEF) {
				return
			}
		}
	}
}

// dynamicSymbols returns the symbols that the loader knows; ok is false if their number is not to be had.
func (im *image) dynamicSymbols(d dynamic) (s symbols, ok bool, err error) {
	at, ok := d.values[elf.DT_SYMTAB]
	if !ok {
		return symbols{}, true, nil
	}
	size, ok, err := im.dynamicSymbolSize(d, at)
	if !ok || err != nil {
		return symbols{}, false, err
	}
	table, err := im.mapped(at, size)
	if err != nil {
		return symbols{}, false, fmt.Errorf("dynamic symbols: %w", err)
	}
	return symbols{im, table, d.strings}, true, nil
}

// dynamicSymbolSize is the size of the table at the address, in bytes. Nothing but a section header or
// the older hash table tells it, and the linkers put the strings right behind it.
func (im *image) dynamicSymbolSize(d dynamic, at uint64) (size uint64, ok bool, err error) {
	for _, s := range im.sections {
		if s.Type == elf.SHT_DYNSYM && s.Addr == at {
			return s.Size, true, nil
		}
	}
	entry := uint64(elf.Sym64Size)
	if im.class == elf.ELFCLASS32 {
		entry = elf.Sym32Size
	}
	// s390x has a hash table of 64-bit words.
	if hash, has := d.values[elf.DT_HASH]; has && im.machine != elf.EM_S390 {
		head, err := im.mapped(hash, 8)
		if err != nil {
			return 0, false, fmt.Errorf("DT_HASH: %w", err)
		}
		return uint64(im.order.Uint32(head[4:])) * entry, true, nil
	}
	if strings, has := d.values[elf.DT_STRTAB]; has && strings > at && (strings-at)%entry == 0 {
		return strings - at, true, nil
	}
	return 0, false, nil
}

// staticSymbols returns the symbols of the linker; ok is false in a stripped file.
func (im *image) staticSymbols() (s symbols, ok bool, err error) {
	for _, h := range im.sections {
		if h.Type != elf.SHT_SYMTAB {
			continue
		}
		table, err := im.section(h)
		if err != nil {
			return symbols{}, false, fmt.Errorf("symbols: %w", err)
		}
		if uint64(h.Link) >= uint64(len(im.sections)) {
			return symbols{}, false, fmt.Errorf("symbols: their names are in section %d of %d", h.Link, len(im.sections))
		}
		strings, err := im.section(im.sections[h.Link])
		if err != nil {
			return symbols{}, false, fmt.Errorf("names of symbols: %w", err)
		}
		return symbols{im, table, strings}, true, nil
	}
	return symbols{}, false, nil
}
