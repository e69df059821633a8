package elffile

import (
	"debug/elf"
	"encoding/hex"
	"fmt"
)

// Notes of the name "GNU" (elf.h).
const (
	noteBuildID  = 3 // NT_GNU_BUILD_ID
	noteProperty = 5 // NT_GNU_PROPERTY_TYPE_0
)

// Properties that a linker keeps only if every object it linked has them (linux-abi, x86-64 and AArch64
// psABI): one library's object without them takes them from the whole program.
const (
	x86Feature1And     = 0xc0000002
	aarch64Feature1And = 0xc0000000

	x86IBT, x86SHSTK       = 1 << 0, 1 << 1
	aarch64BTI, aarch64PAC = 1 << 0, 1 << 1
)

const maxNotes = 256 << 10 // bytes

// notes is what the GNU notes of a file tell.
type notes struct {
	buildID      string // hex
	x86, aarch64 uint32 // the bits of the feature properties
}

func (im *image) notes() (notes, error) {
	var n notes
	for _, p := range im.progs {
		if p.Type != elf.PT_NOTE && p.Type != elf.PT_GNU_PROPERTY {
			continue
		}
		if p.Filesz > maxNotes {
			return notes{}, fmt.Errorf("notes: %d bytes, more than the %d that are read", p.Filesz, maxNotes)
		}
		data, err := im.read(p.Off, p.Filesz)
		if err != nil {
			return notes{}, fmt.Errorf("notes: %w", err)
		}
		im.readNotes(&n, data, max(4, p.Align))
	}
	return n, nil
}

// readNotes takes notes until one that is cut off, as the kernel and the loader do.
func (im *image) readNotes(n *notes, data []byte, align uint64) {
	for len(data) >= 12 {
		nameSize, size := uint64(im.order.Uint32(data)), uint64(im.order.Uint32(data[4:]))
		kind := im.order.Uint32(data[8:])
		start := round(12+nameSize, align)
		if nameSize > uint64(len(data)) || start > uint64(len(data)) || size > uint64(len(data))-start {
			return
		}
		contents := data[start : start+size]
		if string(data[12:12+nameSize]) == "GNU\x00" {
			switch kind {
			case noteBuildID:
				n.buildID = hex.EncodeToString(contents[:min(len(contents), maxSymbol)])
			case noteProperty:
				im.readProperties(n, contents)
			}
		}
		data = data[min(round(start+size, align), uint64(len(data))):]
	}
}

func (im *image) readProperties(n *notes, data []byte) {
	for len(data) >= 8 {
		kind, size := im.order.Uint32(data), uint64(im.order.Uint32(data[4:]))
		if size > uint64(len(data))-8 {
			return
		}
		if size >= 4 {
			switch bits := im.order.Uint32(data[8:]); {
			case kind == x86Feature1And && (im.machine == elf.EM_X86_64 || im.machine == elf.EM_386):
				n.x86 = bits
			case kind == aarch64Feature1And && im.machine == elf.EM_AARCH64:
				n.aarch64 = bits
			}
		}
		data = data[min(round(8+size, im.word()), uint64(len(data))):]
	}
}

// round is n rounded up to a multiple of the alignment, which a note has as 4 or 8.
func round(n, align uint64) uint64 {
	if align != 8 {
		align = 4
	}
	return (n + align - 1) &^ (align - 1)
}
