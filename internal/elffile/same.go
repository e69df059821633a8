package elffile

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
)

// sameProgram tells whether two files are the same once they are loaded: their segments, and every section
// in them, byte for byte. objcopy breaks files that other tools rearranged, and does not notice.
func sameProgram(before, after string) error {
	a, f, err := open(before)
	if err != nil {
		return err
	}
	defer f.Close()
	b, g, err := open(after)
	if err != nil {
		return err
	}
	defer g.Close()
	if !slices.EqualFunc(a.progs, b.progs, sameSegment) {
		return fmt.Errorf("objcopy changed the segments of %s: it is left as it was", before)
	}
	old, made := a.loaded(), b.loaded()
	if len(old) != len(made) {
		return fmt.Errorf("objcopy made %d sections to be loaded of the %d of %s: it is left as it was", len(made), len(old), before)
	}
	for i, s := range old {
		same, err := sameContents(a, s, b, made[i])
		if err != nil {
			return fmt.Errorf("compare section %s of %s: %w", s.Name, before, err)
		}
		if !same {
			return fmt.Errorf("objcopy changed section %s of %s: it is left as it was", s.Name, before)
		}
	}
	return nil
}

// sameSegment leaves out where the segment lies in the file: taking out what is before may move it.
func sameSegment(a, b elf.ProgHeader) bool {
	return a.Type == b.Type && a.Flags == b.Flags && a.Vaddr == b.Vaddr && a.Filesz == b.Filesz && a.Memsz == b.Memsz
}

// loaded are the sections that are there when the program runs.
func (im *image) loaded() []elf.SectionHeader {
	return slices.DeleteFunc(slices.Clone(im.sections), func(s elf.SectionHeader) bool { return s.Flags&elf.SHF_ALLOC == 0 })
}

func sameContents(a *image, s elf.SectionHeader, b *image, t elf.SectionHeader) (bool, error) {
	if s.Name != t.Name || s.Type != t.Type || s.Addr != t.Addr || s.Size != t.Size {
		return false, nil
	}
	if s.Type == elf.SHT_NOBITS || s.Size == 0 {
		return true, nil
	}
	// Through the segments: a section that moved by itself is not what is loaded.
	before, err := a.mapped(s.Addr, s.Size)
	if err != nil {
		return false, err
	}
	after, err := b.mapped(t.Addr, t.Size)
	return bytes.Equal(before, after), err
}
