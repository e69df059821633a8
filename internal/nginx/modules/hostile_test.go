package modules

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

// A file of the largest size that is read, made so that every search in it finds much to do.
func TestAHostileFileTakesNoTime(t *testing.T) {
	const (
		code = 0x400000
		data = 0x10000000
		http = 0x50545448
	)
	variable := []uint64{3, code + 0x100, code + 0x200, code + 0x200, 0, 0, 0}
	for name, pattern := range map[string][]uint64{
		"types everywhere":                  {http},
		"modules everywhere":                {data, data, data, data, data, data, 0, http},
		"variables without end":             variable,
		"many arrays of one variable":       append(variable[:7:7], 0, 0, 0, 0, 0, 0, 0),
		"types and pointers to all of them": {http, data + 72*3},
		"rows that lead to modules":         {data, data + 0x100},
	} {
		file := hostileELF(code, data, pattern)
		start := time.Now()
		_, err := readTable(bytes.NewReader(file), int64(len(file)))
		took := time.Since(start)
		t.Logf("%s: %v, %v", name, took, err)
		if took > 10*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
		if err != nil && !errors.Is(err, ErrNotKnown) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hostileELF is a program at fixed addresses without any section: a page of code, and data with six
// modules, their array, and as much of the pattern as is read.
func hostileELF(code, data uint64, pattern []uint64) []byte {
	words := make([]uint64, maxData/wordSize)
	const each = 0x100 / wordSize
	for i := range 6 {
		m := words[i*each:]
		m[7] = data + 6*0x100 // context
		m[9] = 0x50545448
		words[8*each+i] = data + uint64(i)*0x100
	}
	words[6*each], words[6*each+1] = code+0x300, code+0x400
	for i := 9 * each; i < len(words); i++ {
		words[i] = pattern[(i-9*each)%len(pattern)]
	}
	var b bytes.Buffer
	write := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	write(elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2,
	})
	write(elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: 0x1000, Vaddr: code, Filesz: 0x1000, Memsz: 0x1000})
	write(elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: 0x2000, Vaddr: data, Filesz: maxData, Memsz: maxData})
	b.Write(make([]byte, 0x2000-b.Len()))
	copy(b.Bytes()[0x1100:], "abc\x00")
	write(words)
	return b.Bytes()
}
