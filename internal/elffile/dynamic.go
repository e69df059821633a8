package elffile

import (
	"debug/elf"
	"fmt"
	"strings"
)

// dynamic is what a file tells the loader. It is read through the segments, as the loader does: section
// headers may be missing or lie. The zero value is that of a static program.
type dynamic struct {
	present bool
	values  map[elf.DynTag]uint64 // the last of each tag, as the loader takes it
	strings []byte

	needed         []string // DT_NEEDED, in order
	soname         string
	rpath, runpath []string
	flags          elf.DynFlag
	flags1         elf.DynFlag1
}

// maxEntries bounds a dynamic section. libLLVM has some forty entries.
const maxEntries = 1 << 13

func (im *image) dynamic() (dynamic, error) {
	d := dynamic{values: map[elf.DynTag]uint64{}}
	p, ok := im.prog(elf.PT_DYNAMIC)
	if !ok {
		return d, nil
	}
	d.present = true
	table, err := im.mapped(p.Vaddr, p.Filesz)
	if err != nil {
		return d, fmt.Errorf("dynamic section: %w", err)
	}
	var needed []uint64
	word := im.word()
	for i := 0; uint64(len(table)) >= 2*word; i++ {
		tag, value := elf.DynTag(im.address(table)), im.address(table[word:])
		table = table[2*word:]
		if tag == elf.DT_NULL {
			break
		}
		if i >= maxEntries {
			return d, fmt.Errorf("dynamic section: more than %d entries", maxEntries)
		}
		if tag == elf.DT_NEEDED {
			needed = append(needed, value)
		}
		d.values[tag] = value
	}
	d.flags, d.flags1 = elf.DynFlag(d.values[elf.DT_FLAGS]), elf.DynFlag1(d.values[elf.DT_FLAGS_1])
	if d.strings, err = im.dynamicStrings(d.values); err != nil {
		return d, fmt.Errorf("dynamic strings: %w", err)
	}
	for _, at := range needed {
		library, err := text(d.strings, at, maxName)
		if err != nil {
			return d, fmt.Errorf("DT_NEEDED: %w", err)
		}
		d.needed = append(d.needed, library)
	}
	if at, ok := d.values[elf.DT_SONAME]; ok {
		if d.soname, err = text(d.strings, at, maxName); err != nil {
			return d, fmt.Errorf("DT_SONAME: %w", err)
		}
	}
	if d.rpath, err = d.path(elf.DT_RPATH); err != nil {
		return d, err
	}
	d.runpath, err = d.path(elf.DT_RUNPATH)
	return d, err
}

func (im *image) dynamicStrings(values map[elf.DynTag]uint64) ([]byte, error) {
	at, ok := values[elf.DT_STRTAB]
	if !ok {
		return nil, nil
	}
	return im.mapped(at, values[elf.DT_STRSZ])
}

// path reads a search path. An empty element is kept: it means the working directory.
func (d dynamic) path(tag elf.DynTag) ([]string, error) {
	at, ok := d.values[tag]
	if !ok {
		return nil, nil
	}
	path, err := text(d.strings, at, maxPaths)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", tag, err)
	}
	return strings.Split(path, ":"), nil
}

// has tells whether there is an entry of that tag.
func (d dynamic) has(tag elf.DynTag) bool {
	_, ok := d.values[tag]
	return ok
}

// now tells whether the file asks for all functions to be found before it starts.
func (d dynamic) now() bool {
	return d.has(elf.DT_BIND_NOW) || d.flags&elf.DF_BIND_NOW != 0 || d.flags1&elf.DF_1_NOW != 0
}
