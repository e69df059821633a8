package modules

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"slices"
	"sort"
)

const (
	maxFunction = 512 // bytes of a function that are looked at; those that add variables are short
	maxCalls    = 1   // how far calls are followed: a module may keep its variables in a file of its own
	maxVisits   = 64  // functions looked at for one module
)

// walk finds which arrays a function's instructions take the address of. It does not know where
// instructions begin (x86-64) nor where functions end, only that the next function something points
// to is another one; four bytes that are by chance the distance to one of a few arrays are not to be
// feared.
type walk struct {
	image     *image
	arrays    []array  // in the order of their addresses
	functions []uint64 // the known functions, in order
}

func (m *image) newWalk(arrays []array) *walk {
	w := &walk{image: m, arrays: arrays}
	m.eachWord(func(at, target uint64) {
		if (m.fixed || m.marked(at)) && target != imported && m.isCode(target) {
			w.functions = append(w.functions, target)
		}
	})
	slices.Sort(w.functions)
	slices.SortFunc(w.arrays, func(a, b array) int { return cmp.Compare(a.at, b.at) })
	return w
}

// reached tells the arrays that these functions, or those they call, take the address of.
func (w *walk) reached(functions []uint64) map[int]bool {
	hits := map[int]bool{}
	seen := map[uint64]bool{}
	var visit func(at uint64, calls int)
	visit = func(at uint64, calls int) {
		if seen[at] || len(seen) == maxVisits {
			return
		}
		seen[at] = true
		address := func(target uint64) {
			if i := w.array(target); i >= 0 {
				hits[i] = true
			}
		}
		call := func(target uint64) {
			if s := w.image.segment(target); s != nil && s.exec && calls < maxCalls {
				visit(target, calls+1)
			}
		}
		code := w.code(at)
		switch w.image.file.Machine {
		case elf.EM_X86_64:
			w.walkX86(at, code, address, call)
		case elf.EM_AARCH64:
			walkARM(at, code, address, call)
		}
	}
	for _, at := range functions {
		visit(at, 0)
	}
	return hits
}

// array is the index of the array whose first entry target is in, or -1.
func (w *walk) array(target uint64) int {
	if target < w.arrays[0].at || target >= w.arrays[len(w.arrays)-1].at+variableSize {
		return -1
	}
	i := sort.Search(len(w.arrays), func(i int) bool { return w.arrays[i].at > target }) - 1
	if target-w.arrays[i].at < variableSize {
		return i
	}
	return -1
}

// code is what there is of the function at that address.
func (w *walk) code(at uint64) []byte {
	s := w.image.segment(at)
	if s == nil || !s.exec {
		return nil
	}
	code := s.data[at-s.addr:]
	n := uint64(min(len(code), maxFunction))
	if i, found := slices.BinarySearch(w.functions, at); found || i < len(w.functions) {
		for ; i < len(w.functions) && w.functions[i] == at; i++ {
		}
		if i < len(w.functions) {
			n = min(n, w.functions[i]-at)
		}
	}
	return code[:n]
}

// walkX86 takes every four bytes for a distance from the byte after them, as lea, call and jmp have
// it last, and in a file that is not position-independent also for an address.
func (w *walk) walkX86(at uint64, code []byte, address, call func(uint64)) {
	for i := 0; i+4 <= len(code); i++ {
		distance := binary.LittleEndian.Uint32(code[i:])
		target := at + uint64(i) + 4 + uint64(int64(int32(distance)))
		address(target)
		if w.image.fixed {
			address(uint64(distance))
		}
		if i > 0 && (code[i-1] == 0xe8 || code[i-1] == 0xe9) {
			call(target)
		}
	}
}

// walkARM follows the instructions adrp and add, which together make an address (with one more add if
// the compiler counts from the start of a section), adr, and bl and b.
func walkARM(at uint64, code []byte, address, call func(uint64)) {
	var registers [32]uint64 // 0: not known
	for ; len(code) >= 4; code, at = code[4:], at+4 {
		word := binary.LittleEndian.Uint32(code)
		to, from := word&31, word>>5&31
		// The 21 bits of adr and adrp, the sign in front.
		near := uint64(int64(int32(word>>5&0x7ffff<<2|word>>29&3)<<11) >> 11)
		switch {
		case word&0x9f000000 == 0x90000000: // adrp
			registers[to] = at&^0xfff + near<<12
		case word&0x9f000000 == 0x10000000: // adr
			address(at + near)
		case word&0xffc00000 == 0x91000000 && registers[from] != 0: // add, 64 bits
			registers[to] = registers[from] + uint64(word>>10&0xfff)
			address(registers[to])
		case word&0x7c000000 == 0x14000000: // b, bl
			call(at + uint64(int64(int32(word<<6)>>6)<<2))
		}
	}
}
