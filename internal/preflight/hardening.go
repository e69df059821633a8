package preflight

import (
	"fmt"
	"slices"
	"strings"

	"graft/internal/elffile"
)

func hardeningLost(e *examination) Check {
	old, err := elffile.Read(e.FS.Path(e.Instance.Master.PID, "exe"))
	if err != nil {
		return warning("", "not checked: the running binary: %v", err)
	}
	target, err := elffile.Read(e.Target.BinaryPath())
	if err != nil {
		return warning("", "not checked: the target: %v", err)
	}
	lost := elffile.Compare(old, target)
	if len(lost) == 0 {
		return ok("the target is hardened as the running binary is (%s)", hardening(target))
	}
	return warning(hardenedBuild(e.Instance.Master.PID, lost), "%s", hardeningEvidence(lost))
}

// hardeningEvidence tells apart what the target lacks and what it cannot show.
func hardeningEvidence(lost []elffile.Difference) string {
	var lacking, unseen []string
	for _, d := range lost {
		text := fmt.Sprintf("%s (%s: %s)", d.Name, d.Meaning, strings.TrimSpace(d.CompilerFlags+" "+d.LinkerFlags))
		if d.Unseen {
			unseen = append(unseen, text)
		} else {
			lacking = append(lacking, text)
		}
	}
	var sentences []string
	if len(lacking) > 0 {
		sentences = append(sentences, "the running binary has what the target lacks: "+strings.Join(lacking, "; "))
	}
	if len(unseen) > 0 {
		sentences = append(sentences, "the running binary has what cannot be seen of the target: "+strings.Join(unseen, "; "))
	}
	return strings.Join(sentences, ". And ")
}

// hardenedBuild is the build that loses nothing: with the old flags, and with those that give what is lost
// where the old compiler did so by itself.
func hardenedBuild(pid int, lost []elffile.Difference) string {
	var compiler, linker, notes []string
	for _, d := range lost {
		compiler = addFlags(compiler, d.CompilerFlags)
		linker = addFlags(linker, d.LinkerFlags)
		if d.Note != "" && !slices.Contains(notes, d.Note) {
			notes = append(notes, d.Note)
		}
	}
	remedy := fmt.Sprintf("build the target with the running binary's --with-cc-opt and --with-ld-opt (graft build --like %d)", pid)
	var more []string
	if len(compiler) > 0 {
		more = append(more, fmt.Sprintf("--with-cc-opt='%s'", strings.Join(compiler, " ")))
	}
	if len(linker) > 0 {
		more = append(more, fmt.Sprintf("--with-ld-opt='%s'", strings.Join(linker, " ")))
	}
	remedy += "; what is missing needs at least " + strings.Join(more, " ")
	for _, n := range notes {
		remedy += "; " + n
	}
	return remedy
}

func addFlags(flags []string, more string) []string {
	for f := range strings.FieldsSeq(more) {
		if !slices.Contains(flags, f) {
			flags = append(flags, f)
		}
	}
	return flags
}

func hardening(f elffile.File) string {
	all := fmt.Sprintf("PIE %v, RELRO %v, -z now %v, stack protector %v, FORTIFY_SOURCE %v, non-executable stack %v",
		f.PIE, f.RELRO, f.Now, f.StackProtector, f.Fortify.State, f.NXStack)
	switch {
	case f.IBT != elffile.Unknown:
		all += fmt.Sprintf(", CET indirect branch tracking %v, CET shadow stack %v", f.IBT, f.SHSTK)
	case f.BTI != elffile.Unknown:
		all += fmt.Sprintf(", BTI %v, PAC %v", f.BTI, f.PAC)
	}
	return all
}
