package elffile

// Difference is a protection that one file has and another lacks.
type Difference struct {
	Name    string `json:"name"`
	Meaning string `json:"meaning"` // what the protection does, in one sentence without its full stop
	// Unseen: the new file cannot show whether it has it, as a static program cannot.
	Unseen bool `json:"unseen,omitempty"`
	// What gives it, for --with-cc-opt and --with-ld-opt; either may be empty.
	CompilerFlags string `json:"compiler_flags,omitempty"`
	LinkerFlags   string `json:"linker_flags,omitempty"`
	Note          string `json:"note,omitempty"` // what else it takes, a sentence without its full stop
}

// Compare tells what the new file lacks that the old one has, the most important first. What the old one
// cannot show is not lost.
func Compare(old, new File) []Difference {
	var lost []Difference
	for _, p := range protections {
		if p.machine != "" && (p.machine != family(old.Machine) || p.machine != family(new.Machine)) {
			continue
		}
		if p.of(old) != Yes || p.of(new) == Yes {
			continue
		}
		d := p.Difference
		d.Unseen = p.of(new) == Unknown
		lost = append(lost, d)
	}
	return lost
}

type protection struct {
	Difference
	of      func(File) Answer
	machine string // the family that has it; "" for all
}

const (
	x86     = "x86"
	aarch64 = "aarch64"
)

func family(machine string) string {
	if machine == "x86_64" || machine == "i386" {
		return x86
	}
	return machine
}

var protections = []protection{
	{
		Difference{
			Name:          "PIE",
			Meaning:       "the program lies at another address at every start, so that an attack cannot know where its code is",
			CompilerFlags: "-fPIE", LinkerFlags: "-pie",
		},
		func(f File) Answer { return f.PIE }, "",
	},
	{
		Difference{
			Name:          "stack protector",
			Meaning:       "a function whose buffer on the stack overflowed ends the program instead of returning to where the overflow points",
			CompilerFlags: "-fstack-protector-strong",
		},
		func(f File) Answer { return f.StackProtector }, "",
	},
	{
		Difference{
			Name:          "FORTIFY_SOURCE",
			Meaning:       "copies and reads into a buffer of known size are checked, and one that is too long ends the program",
			CompilerFlags: "-O2 -D_FORTIFY_SOURCE=2",
		},
		func(f File) Answer { return f.Fortify.State }, "",
	},
	{
		Difference{
			Name:        "non-executable stack",
			Meaning:     "what an attack writes onto the stack cannot be executed",
			LinkerFlags: "-Wl,-z,noexecstack",
		},
		func(f File) Answer { return f.NXStack }, "",
	},
	{
		Difference{
			Name:        "RELRO",
			Meaning:     "the linker's tables are read-only once the program runs, so that a stray write cannot redirect calls through them",
			LinkerFlags: "-Wl,-z,relro",
		},
		func(f File) Answer { return answer(f.RELRO != RELRONone) }, "",
	},
	{
		Difference{
			Name:        "immediate binding (-z now)",
			Meaning:     "every function is found before the program starts, so that the table of their addresses can be read-only, too (full RELRO)",
			LinkerFlags: "-Wl,-z,relro -Wl,-z,now",
		},
		func(f File) Answer { return f.Now }, "",
	},
	{
		Difference{
			Name:          "CET indirect branch tracking",
			Meaning:       "an indirect jump can only reach places that the compiler marked, where processor and kernel check it",
			CompilerFlags: "-fcf-protection", Note: allObjectsCET,
		},
		func(f File) Answer { return f.IBT }, x86,
	},
	{
		Difference{
			Name:          "CET shadow stack",
			Meaning:       "a return address that was overwritten on the stack ends the program, where processor and kernel check it",
			CompilerFlags: "-fcf-protection", Note: allObjectsCET,
		},
		func(f File) Answer { return f.SHSTK }, x86,
	},
	{
		Difference{
			Name:          "BTI",
			Meaning:       "an indirect jump can only reach places that the compiler marked, where the processor checks it",
			CompilerFlags: "-mbranch-protection=standard", Note: allObjects,
		},
		func(f File) Answer { return f.BTI }, aarch64,
	},
	{
		Difference{
			Name:          "PAC",
			Meaning:       "return addresses are signed, and one that was overwritten ends the program, where the processor checks it",
			CompilerFlags: "-mbranch-protection=standard", Note: allObjects,
		},
		func(f File) Answer { return f.PAC }, aarch64,
	},
}

// The linker keeps these marks only if every object has them. Its flags that set the mark all the same (-z
// ibt, -z shstk, -z force-bti) are not to be advised: where the check is enforced, the program ends in the
// first object that was compiled without.
const (
	allObjects    = "every object that is linked must be compiled so, assembler code and static libraries included"
	allObjectsCET = allObjects + "; -Wl,-z,cet-report=warning names those that are not"
)
