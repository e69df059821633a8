package elffile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// The cache that ldconfig writes (sysdeps/generic/dl-cache.h of glibc). The first format may stand before
// the second, for programs of before glibc 2.2.
const (
	oldCacheMagic = "ld.so-1.7.0"
	newCacheMagic = "glibc-ld.so.cache1.1"

	oldCacheHeader, oldCacheEntry = 16, 12 // bytes
	newCacheHeader, newCacheEntry = 48, 24

	maxCache = 64 << 20 // bytes

	// Since glibc 2.33 entries of a glibc-hwcaps directory have this bit, and a number into a list that the
	// file's extension has.
	hwcapExtension      = 1 << 62
	hwcapLevelBits      = 42 // below are that number, and from bit 32 a level of x86
	cacheExtensionMagic = 0xeaa42174
	cacheHwcapsTag      = 1
)

// socache is the loader's cache as it lies in the file. The zero value is empty.
type socache struct {
	order   binary.ByteOrder
	entries []byte
	size    uint64 // of an entry
	strings []byte // what the entries' offsets count from
	levels  []string
}

func parseCache(data []byte, order binary.ByteOrder) (socache, error) {
	if !bytes.HasPrefix(data, []byte(oldCacheMagic)) {
		return parseNewCache(data, order)
	}
	entries, err := cacheEntries(data, order, 12, oldCacheHeader, oldCacheEntry)
	if err != nil {
		return socache{}, err
	}
	end := uint64(oldCacheHeader + len(entries))
	if start := round(end, 8); start < uint64(len(data)) && bytes.HasPrefix(data[start:], []byte(newCacheMagic)) {
		return parseNewCache(data[start:], order)
	}
	return socache{order: order, entries: entries, size: oldCacheEntry, strings: data[end:]}, nil
}

func parseNewCache(data []byte, order binary.ByteOrder) (socache, error) {
	if !bytes.HasPrefix(data, []byte(newCacheMagic)) {
		return socache{}, errors.New("library cache: of an unknown format")
	}
	entries, err := cacheEntries(data, order, 20, newCacheHeader, newCacheEntry)
	if err != nil {
		return socache{}, err
	}
	return socache{order: order, entries: entries, size: newCacheEntry, strings: data, levels: cacheLevels(data, order)}, nil
}

// cacheEntries returns the entries, whose number stands in the header at an offset.
func cacheEntries(data []byte, order binary.ByteOrder, number, header, size uint64) ([]byte, error) {
	if header > uint64(len(data)) {
		return nil, errors.New("library cache: it is cut off")
	}
	n := uint64(order.Uint32(data[number:])) * size
	if n > uint64(len(data))-header {
		return nil, errors.New("library cache: it is cut off")
	}
	return data[header : header+n], nil
}

// lookup returns the paths for a name, best first: those made for this processor, whose levels are given
// best first, then the plain ones, then those of the older scheme of directories for processors.
func (c socache) lookup(library string, levels []string) []string {
	type candidate struct {
		path string
		rank int
	}
	var found []candidate
	for e := range slices.Chunk(c.entries, int(max(c.size, 1))) {
		key, err := name(c.strings, uint64(c.order.Uint32(e[4:])), maxSymbol)
		if err != nil || string(key) != library {
			continue
		}
		path, err := text(c.strings, uint64(c.order.Uint32(e[8:])), maxName)
		if rank := c.rank(e, levels); rank >= 0 && err == nil {
			found = append(found, candidate{path, rank})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.rank - b.rank })
	paths := make([]string, len(found))
	for i, f := range found {
		paths[i] = f.path
	}
	return paths
}

// rank orders entries of the same name; it is negative for those of another processor.
func (c socache) rank(entry []byte, levels []string) int {
	var hwcap uint64
	if c.size == newCacheEntry {
		hwcap = c.order.Uint64(entry[16:])
	}
	switch {
	case hwcap == 0:
		return len(levels)
	case hwcap>>hwcapLevelBits != hwcapExtension>>hwcapLevelBits:
		return len(levels) + 1
	}
	i := uint32(hwcap)
	if uint64(i) >= uint64(len(c.levels)) {
		return -1
	}
	return slices.Index(levels, c.levels[i])
}

// cacheLevels reads the names of the directories from the extension. One that cannot be read is as good
// as none: the loader then takes the plain libraries.
func cacheLevels(data []byte, order binary.ByteOrder) []string {
	at := uint64(order.Uint32(data[32:]))
	if at == 0 || at+8 > uint64(len(data)) || order.Uint32(data[at:]) != cacheExtensionMagic {
		return nil
	}
	sections := data[at+8:]
	var names []string
	for i := uint64(0); i < uint64(order.Uint32(data[at+4:])) && uint64(len(sections)) >= (i+1)*16; i++ {
		s := sections[i*16:]
		start, size := uint64(order.Uint32(s[8:])), uint64(order.Uint32(s[12:]))
		if order.Uint32(s) != cacheHwcapsTag || start+size > uint64(len(data)) {
			continue
		}
		for word := data[start : start+size]; len(word) >= 4; word = word[4:] {
			n, err := text(data, uint64(order.Uint32(word)), maxSymbol)
			if err != nil {
				return nil
			}
			names = append(names, n)
		}
	}
	return names
}

// hwcapsLevels are the directories below glibc-hwcaps that fit a processor, best first, by the flags of
// /proc/cpuinfo (x86-64 psABI, "Micro-Architecture Levels").
func hwcapsLevels(machine, cpuinfo string) []string {
	if machine != "x86_64" {
		return nil
	}
	has := map[string]bool{}
	for line := range strings.Lines(cpuinfo) {
		if flags, ok := strings.CutPrefix(line, "flags"); ok {
			for f := range strings.FieldsSeq(flags) {
				has[f] = true
			}
			break
		}
	}
	var levels []string
	for _, l := range []struct{ dir, flags string }{
		{"x86-64-v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"},
		{"x86-64-v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"},
		{"x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"},
	} {
		for f := range strings.FieldsSeq(l.flags) {
			if !has[f] {
				return levels
			}
		}
		levels = slices.Insert(levels, 0, l.dir)
	}
	return levels
}
