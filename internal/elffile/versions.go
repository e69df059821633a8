package elffile

import (
	"debug/elf"
	"fmt"
)

const (
	maxVersions = 1 << 15 // a symbol's version has 15 bits
	weakVersion = 0x2     // VER_FLG_WEAK: the loader does not insist

	verneedSize, vernauxSize = 16, 16 // bytes, in both classes
	verdefSize, verdauxSize  = 20, 8
)

// version is a set of symbols that a file needs of a library.
type version struct {
	library, name string
	weak          bool
}

// versionNeeds reads DT_VERNEED.
func (im *image) versionNeeds(d dynamic) ([]version, error) {
	var all []version
	err := im.chain(d, elf.DT_VERNEED, elf.DT_VERNEEDNUM, verneedSize, func(at uint64, need []byte) (next uint32, err error) {
		library, err := text(d.strings, uint64(im.order.Uint32(need[4:])), maxName)
		if err != nil {
			return 0, err
		}
		aux := at + uint64(im.order.Uint32(need[8:]))
		for range im.order.Uint16(need[2:]) {
			b, err := im.mapped(aux, vernauxSize)
			if err != nil {
				return 0, err
			}
			if len(all) >= maxVersions {
				return 0, fmt.Errorf("more than %d versions", maxVersions)
			}
			name, err := text(d.strings, uint64(im.order.Uint32(b[8:])), maxSymbol)
			if err != nil {
				return 0, err
			}
			all = append(all, version{library, name, im.order.Uint16(b[4:])&weakVersion != 0})
			step := im.order.Uint32(b[12:])
			if step == 0 {
				break
			}
			aux += uint64(step)
		}
		return im.order.Uint32(need[12:]), nil
	})
	return all, err
}

// versionDefinitions reads DT_VERDEF: the versions that a library has; nil if it has none at all.
func (im *image) versionDefinitions(d dynamic) (map[string]bool, error) {
	if !d.has(elf.DT_VERDEF) {
		return nil, nil
	}
	all := map[string]bool{}
	err := im.chain(d, elf.DT_VERDEF, elf.DT_VERDEFNUM, verdefSize, func(at uint64, def []byte) (next uint32, err error) {
		// The first name is the version's own, further ones are those it inherits from.
		if im.order.Uint16(def[6:]) > 0 {
			aux, err := im.mapped(at+uint64(im.order.Uint32(def[12:])), verdauxSize)
			if err != nil {
				return 0, err
			}
			name, err := text(d.strings, uint64(im.order.Uint32(aux)), maxSymbol)
			if err != nil {
				return 0, err
			}
			all[name] = true
		}
		return im.order.Uint32(def[16:]), nil
	})
	return all, err
}

// chain visits the entries of a table whose entries tell the distance to the next one.
func (im *image) chain(d dynamic, table, count elf.DynTag, size uint64, visit func(at uint64, entry []byte) (next uint32, err error)) error {
	at, ok := d.values[table]
	if !ok {
		return nil
	}
	n := d.values[count]
	if n > maxVersions {
		return fmt.Errorf("%v: %d entries, more than %d", table, n, maxVersions)
	}
	for range n {
		entry, err := im.mapped(at, size)
		if err != nil {
			return fmt.Errorf("%v: %w", table, err)
		}
		next, err := visit(at, entry)
		if err != nil {
			return fmt.Errorf("%v: %w", table, err)
		}
		if next == 0 {
			return nil
		}
		at += uint64(next)
	}
	return nil
}
