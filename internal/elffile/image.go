package elffile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// What is read of a file is bounded before memory is taken for it: debug/elf's own reader trusts counts,
// sizes of compressed sections and an index that a broken file can choose, and panics or takes gigabytes.
// Only its definitions are used.
const (
	maxProgs    = 1 << 10
	maxSections = 1 << 14
	maxTable    = 64 << 20 // bytes of one table, strings included; nginx with OpenSSL in it has 2 MiB
	maxName     = 4 << 10  // PATH_MAX
	maxPaths    = 64 << 10 // bytes of a whole search path
)

// image is an ELF file as its headers arrange it, with 32-bit headers widened.
type image struct {
	r        io.ReaderAt
	size     uint64
	class    elf.Class
	order    binary.ByteOrder
	kind     elf.Type
	machine  elf.Machine
	progs    []elf.ProgHeader
	sections []elf.SectionHeader
}

// open parses the headers of a file. The caller closes it.
func open(path string) (*image, *os.File, error) {
	// A fifo would block, and a device never end.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	var im *image
	if err == nil {
		if im, err = parse(f, st.Size()); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return im, f, nil
}

// errNotELF is a file of another kind, such as a script.
var errNotELF = errors.New("not an ELF file")

func parse(r io.ReaderAt, size int64) (*image, error) {
	im := &image{r: r, size: uint64(max(size, 0))}
	ident, err := im.read(0, elf.EI_NIDENT)
	if err != nil || string(ident[:4]) != elf.ELFMAG {
		return nil, errNotELF
	}
	switch elf.Data(ident[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		im.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		im.order = binary.BigEndian
	default:
		return nil, fmt.Errorf("ELF header: unknown byte order %d", ident[elf.EI_DATA])
	}
	im.class = elf.Class(ident[elf.EI_CLASS])
	h, err := im.header()
	if err != nil {
		return nil, fmt.Errorf("ELF header: %w", err)
	}
	im.kind, im.machine = elf.Type(h.Type), elf.Machine(h.Machine)
	if err := im.readProgs(h); err != nil {
		return nil, fmt.Errorf("program headers: %w", err)
	}
	if err := im.readSections(h); err != nil {
		return nil, fmt.Errorf("section headers: %w", err)
	}
	return im, nil
}

func (im *image) header() (h elf.Header64, err error) {
	switch im.class {
	case elf.ELFCLASS64:
		err = im.decode(0, &h)
	case elf.ELFCLASS32:
		var n elf.Header32
		err = im.decode(0, &n)
		h = elf.Header64{
			Ident: n.Ident, Type: n.Type, Machine: n.Machine, Version: n.Version,
			Phoff: uint64(n.Phoff), Phentsize: n.Phentsize, Phnum: n.Phnum,
			Shoff: uint64(n.Shoff), Shentsize: n.Shentsize, Shnum: n.Shnum, Shstrndx: n.Shstrndx,
		}
	default:
		err = fmt.Errorf("unknown class %d", im.class)
	}
	return h, err
}

func (im *image) readProgs(h elf.Header64) error {
	if h.Phnum > maxProgs || h.Phnum > 0 && h.Phentsize == 0 {
		return fmt.Errorf("%d of %d bytes each; up to %d are read", h.Phnum, h.Phentsize, maxProgs)
	}
	for i := range uint64(h.Phnum) {
		at := h.Phoff + i*uint64(h.Phentsize)
		var p elf.Prog64
		var err error
		if im.class == elf.ELFCLASS64 {
			err = im.decode(at, &p)
		} else {
			var n elf.Prog32
			err = im.decode(at, &n)
			p = elf.Prog64{Type: n.Type, Flags: n.Flags, Off: uint64(n.Off), Vaddr: uint64(n.Vaddr), Filesz: uint64(n.Filesz), Memsz: uint64(n.Memsz), Align: uint64(n.Align)}
		}
		if err != nil {
			return err
		}
		im.progs = append(im.progs, elf.ProgHeader{
			Type: elf.ProgType(p.Type), Flags: elf.ProgFlag(p.Flags), Off: p.Off, Vaddr: p.Vaddr, Filesz: p.Filesz, Memsz: p.Memsz, Align: p.Align,
		})
	}
	return nil
}

func (im *image) readSections(h elf.Header64) error {
	if h.Shoff == 0 {
		return nil
	}
	// No count means one too large for its field, which no program has.
	if h.Shnum == 0 || h.Shnum > maxSections || h.Shstrndx >= h.Shnum {
		return fmt.Errorf("%d of them with names in number %d; 1 to %d are read", h.Shnum, h.Shstrndx, maxSections)
	}
	names := make([]uint32, h.Shnum)
	for i := range uint64(h.Shnum) {
		at := h.Shoff + i*uint64(h.Shentsize)
		var s elf.Section64
		var err error
		if im.class == elf.ELFCLASS64 {
			err = im.decode(at, &s)
		} else {
			var n elf.Section32
			err = im.decode(at, &n)
			s = elf.Section64{Name: n.Name, Type: n.Type, Flags: uint64(n.Flags), Addr: uint64(n.Addr), Off: uint64(n.Off), Size: uint64(n.Size), Link: n.Link, Entsize: uint64(n.Entsize)}
		}
		if err != nil {
			return err
		}
		names[i] = s.Name
		im.sections = append(im.sections, elf.SectionHeader{
			Type: elf.SectionType(s.Type), Flags: elf.SectionFlag(s.Flags), Addr: s.Addr, Offset: s.Off, Size: s.Size, Link: s.Link, Entsize: s.Entsize,
		})
	}
	strings, err := im.section(im.sections[h.Shstrndx])
	if err != nil {
		return fmt.Errorf("names: %w", err)
	}
	for i, at := range names {
		if im.sections[i].Name, err = text(strings, uint64(at), maxName); err != nil {
			return fmt.Errorf("name of number %d: %w", i, err)
		}
	}
	return nil
}

// read returns a part of the file.
func (im *image) read(offset, n uint64) ([]byte, error) {
	switch {
	case offset > im.size || n > im.size-offset:
		return nil, fmt.Errorf("%d bytes at offset %d: the file has %d (is it cut off?)", n, offset, im.size)
	case n > maxTable:
		return nil, fmt.Errorf("a table of %d bytes, more than the %d that are read", n, maxTable)
	}
	data := make([]byte, n)
	// io.EOF comes with a whole read at the end, too.
	if got, err := im.r.ReadAt(data, int64(offset)); uint64(got) < n {
		return nil, fmt.Errorf("%d bytes at offset %d: %w", n, offset, err)
	}
	return data, nil
}

// decode fills a struct of debug/elf from the file.
func (im *image) decode(offset uint64, to any) error {
	data, err := im.read(offset, uint64(binary.Size(to)))
	if err != nil {
		return err
	}
	_, err = binary.Decode(data, im.order, to)
	return err
}

// section returns a section's bytes as they are: none that is needed is ever compressed.
func (im *image) section(s elf.SectionHeader) ([]byte, error) {
	if s.Type == elf.SHT_NOBITS || s.Flags&elf.SHF_COMPRESSED != 0 {
		return nil, fmt.Errorf("section %q has no plain contents", s.Name)
	}
	return im.read(s.Offset, s.Size)
}

// at is the file's part that the loader maps to a virtual address: its offset, and the bytes up to the
// end of the segment.
func (im *image) at(addr uint64) (offset, rest uint64, err error) {
	for _, p := range im.progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return p.Off + (addr - p.Vaddr), p.Filesz - (addr - p.Vaddr), nil
		}
	}
	return 0, 0, fmt.Errorf("address %#x is in no segment", addr)
}

// mapped returns n bytes at a virtual address.
func (im *image) mapped(addr, n uint64) ([]byte, error) {
	offset, rest, err := im.at(addr)
	if err != nil {
		return nil, err
	}
	if n > rest {
		return nil, fmt.Errorf("%d bytes at address %#x go beyond their segment", n, addr)
	}
	return im.read(offset, n)
}

// prog returns the first program header of a type.
func (im *image) prog(t elf.ProgType) (elf.ProgHeader, bool) {
	for _, p := range im.progs {
		if p.Type == t {
			return p, true
		}
	}
	return elf.ProgHeader{}, false
}

func (im *image) named(name string) (elf.SectionHeader, bool) {
	for _, s := range im.sections {
		if s.Name == name {
			return s, true
		}
	}
	return elf.SectionHeader{}, false
}

// word is the size of an address, in bytes.
func (im *image) word() uint64 {
	if im.class == elf.ELFCLASS64 {
		return 8
	}
	return 4
}

// address reads one address.
func (im *image) address(b []byte) uint64 {
	if im.class == elf.ELFCLASS64 {
		return im.order.Uint64(b)
	}
	return uint64(im.order.Uint32(b))
}

// text is the string at an offset of a string table, of at most limit bytes.
func text(table []byte, at uint64, limit int) (string, error) {
	b, err := name(table, at, limit)
	return string(b), err
}

func name(table []byte, at uint64, limit int) ([]byte, error) {
	if at >= uint64(len(table)) {
		return nil, fmt.Errorf("string at %d of a table of %d bytes", at, len(table))
	}
	b := table[at:]
	end := bytes.IndexByte(b[:min(len(b), limit+1)], 0)
	if end < 0 {
		return nil, fmt.Errorf("string at %d: no end within %d bytes", at, limit)
	}
	return b[:end], nil
}
