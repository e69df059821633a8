package modules

import (
	"debug/elf"
	"encoding/binary"
)

// relocations are those of a machine that make a word a pointer.
type relocations struct{ relative, absolute, slot uint32 }

func relocationsOf(machine elf.Machine) (relocations, bool) {
	switch machine {
	case elf.EM_X86_64:
		return relocations{uint32(elf.R_X86_64_RELATIVE), uint32(elf.R_X86_64_64), uint32(elf.R_X86_64_GLOB_DAT)}, true
	case elf.EM_AARCH64:
		return relocations{uint32(elf.R_AARCH64_RELATIVE), uint32(elf.R_AARCH64_ABS64), uint32(elf.R_AARCH64_GLOB_DAT)}, true
	}
	return relocations{}, false
}

// relocate does the dynamic linker's work on the words that become pointers.
func (m *image) relocate(kinds relocations) error {
	for _, s := range m.file.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type != elf.SHT_RELA && s.Type != shtRELR {
			continue
		}
		table, err := m.section(s)
		if err != nil {
			return err
		}
		if s.Type == shtRELR {
			m.relocatePacked(table)
		} else {
			m.relocateAll(table, kinds)
		}
	}
	return nil
}

func (m *image) relocateAll(table []byte, kinds relocations) {
	const entry = 24 // Elf64_Rela
	for ; len(table) >= entry; table = table[entry:] {
		le := binary.LittleEndian
		at, info, addend := le.Uint64(table), le.Uint64(table[8:]), le.Uint64(table[16:])
		switch kind, sym := uint32(info), info>>32; {
		case kind == kinds.relative:
			m.point(at, addend)
		case kind == kinds.absolute || kind == kinds.slot:
			var target uint64 = imported
			if sym < uint64(len(m.symbols)) && m.symbols[sym].defined {
				target = m.symbols[sym].value + addend
			}
			m.point(at, target)
		}
	}
}

// shtRELR is SHT_RELR: relative relocations packed to one bit each (gABI). An even word is the address
// of one; an odd word has a bit for each of the 63 words that follow.
const shtRELR elf.SectionType = 19

func (m *image) relocatePacked(table []byte) {
	var next uint64
	for ; len(table) >= wordSize; table = table[wordSize:] {
		entry := binary.LittleEndian.Uint64(table)
		if entry&1 == 0 {
			m.mark(entry)
			next = entry + wordSize
			continue
		}
		for i := uint64(0); i < 63; i++ {
			if entry>>(i+1)&1 != 0 {
				m.mark(next + i*wordSize)
			}
		}
		next += 63 * wordSize
	}
}

// mark notes that the word at addr is a pointer.
func (m *image) mark(addr uint64) {
	if s := m.segment(addr); s != nil && addr%wordSize == 0 {
		n := addr/wordSize - s.addr/wordSize
		s.pointers[n/64] |= 1 << (n % 64)
	}
}

// point makes the word at addr a pointer to target.
func (m *image) point(addr, target uint64) {
	if b := m.bytes(addr, wordSize); b != nil {
		binary.LittleEndian.PutUint64(b, target)
		m.mark(addr)
	}
}
