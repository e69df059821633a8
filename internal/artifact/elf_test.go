package artifact

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"
)

// smallELF is an x86-64 executable that needs one library and does nothing: headers, a dynamic section
// and its strings are all that is looked at here.
func smallELF(t testing.TB, library string) []byte {
	t.Helper()
	names := append([]byte("\x00"+library+"\x00"), make([]byte, 64)...)[:64]
	const (
		phoff   = 64
		strings = phoff + 2*56
		dynamic = strings + 64
		shoff   = dynamic + 4*16
		size    = shoff + 3*64
	)
	head := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: phoff, Shoff: shoff,
		Ehsize: 64, Phentsize: 56, Phnum: 2, Shentsize: 64, Shnum: 3, Shstrndx: 1,
	}
	copy(head.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}))
	var out bytes.Buffer
	for _, part := range []any{
		head,
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Filesz: size, Memsz: size, Align: 4096},
		elf.Prog64{Type: uint32(elf.PT_DYNAMIC), Flags: uint32(elf.PF_R), Off: dynamic, Vaddr: dynamic, Filesz: 64, Memsz: 64, Align: 8},
		names,
		[]elf.Dyn64{
			{Tag: int64(elf.DT_NEEDED), Val: 1}, {Tag: int64(elf.DT_STRTAB), Val: strings},
			{Tag: int64(elf.DT_STRSZ), Val: uint64(len(library) + 2)}, {},
		},
		elf.Section64{},
		elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: strings, Addr: strings, Size: uint64(len(library) + 2), Addralign: 1},
		elf.Section64{Type: uint32(elf.SHT_DYNAMIC), Off: dynamic, Addr: dynamic, Size: 64, Link: 1, Addralign: 8, Entsize: 16},
	} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}
