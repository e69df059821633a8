// Package elffile reads what ELF files say of themselves: how a program is protected, which libraries it
// needs and whether a host has them, and where its symbols are. Nothing of the file is executed, and no
// other program is asked, except to take symbols out.
package elffile

import (
	"debug/elf"
	"fmt"
	"strings"
)

// File is what an executable or a shared object says of itself. In JSON it is the "elf" object of an
// artifact's manifest.
type File struct {
	Kind    string `json:"kind"`    // Executable or SharedObject
	Machine string `json:"machine"` // as uname -m names it, "x86_64"
	Class   int    `json:"class"`   // bits of an address
	Static  bool   `json:"static"`  // an executable that no loader completes

	PIE            Answer  `json:"pie"` // of an executable; No for a shared object
	RELRO          RELRO   `json:"relro"`
	Now            Answer  `json:"now"` // every function is found before the start (-z now)
	StackProtector Answer  `json:"stack_protector"`
	Fortify        Fortify `json:"fortify"`
	NXStack        Answer  `json:"nx_stack"`
	// Checks on indirect jumps and returns. Those of another machine are Unknown.
	IBT   Answer `json:"ibt,omitzero"`   // x86
	SHSTK Answer `json:"shstk,omitzero"` // x86
	BTI   Answer `json:"bti,omitzero"`   // aarch64
	PAC   Answer `json:"pac,omitzero"`   // aarch64

	Interpreter string   `json:"interpreter,omitempty"`
	SOName      string   `json:"soname,omitempty"`
	Needed      []string `json:"needed,omitempty"`
	RPath       []string `json:"rpath,omitempty"`   // with $ORIGIN and the like as written
	RunPath     []string `json:"runpath,omitempty"` // if there is one, the loader ignores RPath

	BuildID   string `json:"build_id,omitempty"`   // hex
	Stripped  bool   `json:"stripped"`             // without .symtab
	DebugInfo bool   `json:"debug_info"`           // DWARF is in the file
	DebugLink string `json:"debug_link,omitempty"` // name of the file beside it that has the symbols
}

// The kinds of files that are read.
const (
	Executable   = "executable"
	SharedObject = "shared-object"
)

// Fortify is what can be seen of FORTIFY_SOURCE. Its level cannot.
type Fortify struct {
	State     Answer `json:"state"`
	Checked   int    `json:"checked"`   // functions imported in their checking variant, such as __memcpy_chk
	Unchecked int    `json:"unchecked"` // functions imported without, though a checking variant exists
}

// Read reads the file, which may be /proc/PID/exe. A file that is cut off or broken is an error; so are
// object files, core dumps and files that hold debug symbols only.
func Read(path string) (File, error) {
	im, f, err := open(path)
	if err != nil {
		return File{}, fmt.Errorf("read ELF: %w", err)
	}
	defer f.Close()
	file, err := im.describe()
	if err != nil {
		return File{}, fmt.Errorf("read ELF: %s: %w", path, err)
	}
	return file, nil
}

func (im *image) describe() (File, error) {
	if err := im.runnable(); err != nil {
		return File{}, err
	}
	d, err := im.dynamic()
	if err != nil {
		return File{}, err
	}
	n, err := im.notes()
	if err != nil {
		return File{}, err
	}
	f := File{
		Kind: SharedObject, Machine: im.machineName(), Class: int(im.word() * 8),
		SOName: d.soname, Needed: d.needed, RPath: d.rpath, RunPath: d.runpath,
		BuildID: n.buildID,
	}
	if f.Interpreter, err = im.interpreter(); err != nil {
		return File{}, err
	}
	if im.executable(d) {
		f.Kind = Executable
		f.PIE = answer(im.kind == elf.ET_DYN)
		f.Static = f.Interpreter == "" && len(f.Needed) == 0
	} else {
		f.PIE = No
	}
	im.protections(&f, d, n)
	if err := im.checks(&f, d); err != nil {
		return File{}, err
	}
	f.Stripped, f.DebugInfo = true, false
	for _, s := range im.sections {
		f.Stripped = f.Stripped && s.Type != elf.SHT_SYMTAB
		f.DebugInfo = f.DebugInfo || s.Name == ".debug_info" || s.Name == ".zdebug_info"
	}
	f.DebugLink, _, err = im.debugLink()
	return f, err
}

// runnable refuses what is ELF and no program or library.
func (im *image) runnable() error {
	switch im.kind {
	case elf.ET_EXEC, elf.ET_DYN:
	case elf.ET_REL:
		return fmt.Errorf("an object file, not yet linked")
	case elf.ET_CORE:
		return fmt.Errorf("a core dump")
	default:
		return fmt.Errorf("of type %v, neither a program nor a library", im.kind)
	}
	if _, ok := im.prog(elf.PT_LOAD); !ok {
		return fmt.Errorf("nothing to load is in it")
	}
	for _, s := range im.sections {
		if s.Type == elf.SHT_NOBITS && s.Flags&elf.SHF_EXECINSTR != 0 {
			return fmt.Errorf("it holds debug symbols only: the program that they belong to is another file")
		}
	}
	return nil
}

// executable tells programs from shared objects. Position-independent programs are of the same type as
// those: the flag marks them since binutils 2.26, and before only programs had DT_DEBUG, for debuggers.
// An interpreter alone proves nothing: libc.so.6 can be started, too, but it has a name to be needed by.
func (im *image) executable(d dynamic) bool {
	if im.kind == elf.ET_EXEC || d.flags1&elf.DF_1_PIE != 0 || d.has(elf.DT_DEBUG) {
		return true
	}
	_, started := im.prog(elf.PT_INTERP)
	return started && d.soname == ""
}

func (im *image) interpreter() (string, error) {
	p, ok := im.prog(elf.PT_INTERP)
	if !ok {
		return "", nil
	}
	if p.Filesz > maxName {
		return "", fmt.Errorf("interpreter: a name of %d bytes", p.Filesz)
	}
	data, err := im.read(p.Off, p.Filesz)
	if err != nil {
		return "", fmt.Errorf("interpreter: %w", err)
	}
	path, err := text(data, 0, maxName)
	if err != nil {
		return "", fmt.Errorf("interpreter: %w", err)
	}
	return path, nil
}

// musl tells whether the file is linked to musl, which has no checking variants of functions.
func (f File) musl() bool {
	if isMuslLoader(f.Interpreter) {
		return true
	}
	for _, n := range f.Needed {
		// Alpine's name, and musl's own.
		if strings.HasPrefix(n, "libc.musl-") || n == "libc.so" {
			return true
		}
	}
	return false
}

var machines = map[elf.Machine]string{
	elf.EM_X86_64: "x86_64", elf.EM_386: "i386", elf.EM_AARCH64: "aarch64", elf.EM_ARM: "arm",
	elf.EM_RISCV: "riscv", elf.EM_PPC64: "ppc64", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loongarch64",
	elf.EM_MIPS: "mips",
}

func (im *image) machineName() string {
	n, ok := machines[im.machine]
	switch {
	case !ok:
		return strings.ToLower(strings.TrimPrefix(im.machine.String(), "EM_"))
	case im.machine == elf.EM_PPC64 && im.order.String() == "LittleEndian":
		return "ppc64le"
	case im.machine == elf.EM_RISCV:
		return fmt.Sprintf("%s%d", n, im.word()*8)
	}
	return n
}
