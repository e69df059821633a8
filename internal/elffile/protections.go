package elffile

import (
	"bytes"
	"debug/elf"
	"strings"
)

// protections fills in what headers, flags and notes tell.
func (im *image) protections(f *File, d dynamic, n notes) {
	f.Now = im.now(d, f.Static)
	if _, ok := im.prog(elf.PT_GNU_RELRO); ok {
		f.RELRO = RELROPartial
		if f.Now == Yes {
			f.RELRO = RELROFull
		}
	}
	f.NXStack = im.nxStack()
	switch im.machine {
	case elf.EM_X86_64, elf.EM_386:
		f.IBT, f.SHSTK = answer(n.x86&x86IBT != 0), answer(n.x86&x86SHSTK != 0)
	case elf.EM_AARCH64:
		f.BTI, f.PAC = answer(n.aarch64&aarch64BTI != 0), answer(n.aarch64&aarch64PAC != 0)
	}
}

// now tells of a static program whether it was linked with -z now by its table of functions' addresses:
// without, that table lies by itself in .got.plt, and stays writable. Its first three words are reserved.
func (im *image) now(d dynamic, static bool) Answer {
	if d.now() || !static {
		return answer(d.now())
	}
	if len(im.sections) == 0 {
		return Unknown
	}
	s, ok := im.named(".got.plt")
	return answer(!ok || s.Size <= 3*im.word())
}

// nxStack follows kernel and glibc where the mark is missing: x86 then has an executable stack, arm64 has
// none.
func (im *image) nxStack() Answer {
	if p, ok := im.prog(elf.PT_GNU_STACK); ok {
		return answer(p.Flags&elf.PF_X == 0)
	}
	switch im.machine {
	case elf.EM_X86_64, elf.EM_386:
		return No
	case elf.EM_AARCH64:
		return Yes
	}
	return Unknown
}

// checks fills in what calls of the C library tell.
func (im *image) checks(f *File, d dynamic) error {
	if f.Static {
		return im.staticChecks(f)
	}
	s, ok, err := im.dynamicSymbols(d)
	if err != nil || !ok {
		return err
	}
	seen := map[string]bool{}
	f.StackProtector = No
	for n, undefined := range s.names() {
		switch {
		case isStackCheck(n) && undefined:
			f.StackProtector = Yes
		case isStackCheck(n) && f.StackProtector == No:
			// It is a C library, or has one in it (see staticChecks).
			f.StackProtector = Unknown
		case !undefined || seen[string(n)]:
		case isFortified(n):
			f.Fortify.Checked++
			seen[string(n)] = true
		case fortifiable[string(n)]:
			f.Fortify.Unchecked++
			seen[string(n)] = true
		}
	}
	switch {
	case f.Fortify.Checked > 0:
		f.Fortify.State = Yes
	case f.Fortify.Unchecked > 0 && !f.musl():
		f.Fortify.State = No
	}
	return nil
}

// staticChecks: a static program contains the C library, which brings the functions that a failed check
// ends in, whoever calls them. Only their absence proves something; of checking variants only with glibc,
// as musl's are inlined.
func (im *image) staticChecks(f *File) error {
	s, ok, err := im.staticSymbols()
	if err != nil || !ok {
		return err
	}
	var stack, fortified, glibc bool
	for n := range s.names() {
		stack = stack || isStackCheck(n)
		fortified = fortified || isFortified(n)
		glibc = glibc || string(n) == "__libc_setup_tls"
	}
	if !stack {
		f.StackProtector = No
	}
	if glibc && !fortified {
		f.Fortify.State = No
	}
	return nil
}

func isStackCheck(name []byte) bool {
	return string(name) == "__stack_chk_fail" || string(name) == "__stack_chk_guard"
}

func isFortified(name []byte) bool {
	name, checks := bytes.CutSuffix(name, []byte("_chk"))
	name, internal := bytes.CutPrefix(name, []byte("__"))
	return checks && internal && (fortifiable[string(name)] || string(name) == "fdelt")
}

// fortifiable are the functions that glibc has in a checking variant (debug/ of its sources), as far as
// programs call them with buffers.
var fortifiable = set(`memcpy memmove mempcpy memset explicit_bzero
	strcpy stpcpy strncpy stpncpy strcat strncat strlcpy strlcat
	printf fprintf vprintf vfprintf sprintf snprintf vsprintf vsnprintf asprintf vasprintf dprintf vdprintf
	syslog vsyslog
	read pread pread64 recv recvfrom fread fread_unlocked fgets fgets_unlocked
	readlink readlinkat getcwd getwd realpath confstr getgroups gethostname getdomainname getlogin_r
	ttyname_r ptsname_r poll ppoll longjmp
	wcscpy wcpcpy wcsncpy wcpncpy wcscat wcsncat wmemcpy wmemmove wmempcpy wmemset
	wprintf fwprintf vwprintf vfwprintf swprintf vswprintf
	mbstowcs wcstombs mbsrtowcs wcsrtombs mbsnrtowcs wcsnrtombs wcrtomb wctomb`)

func set(words string) map[string]bool {
	all := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		all[w] = true
	}
	return all
}
