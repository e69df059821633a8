package flags

import (
	"slices"
	"strings"
)

// Hardening is what makes attacks on a binary harder, as its ELF file shows it: the flags of the old
// build do not tell what its compiler did by default.
type Hardening struct {
	PIE, RELRO, Now, StackProtector, Fortify, CET bool
}

// harden adds the words by which the target becomes at least as hard as the running binary. A flag that
// is there already, in whichever form, is the user's own choice.
func (tr *translator) harden(old []string) {
	words := map[string]string{}
	for _, text := range old {
		a := parseArgument(text)
		words[a.name] += " " + a.value
	}
	h, t := tr.target.Hardening, tr.target
	pie := "-fPIE"
	if t.dynamic {
		pie = "-fPIC"
	}
	for _, w := range []struct {
		had      bool
		option   string
		there    []string // one of these says that it was thought of
		add, why string
	}{
		{h.PIE && !t.DefaultPIE, "--with-cc-opt", []string{"-fPIE", "-fpie", "-fPIC", "-fpic", "hardened-cc1"}, pie, "the running binary is position-independent"},
		{h.PIE && !t.DefaultPIE, "--with-ld-opt", []string{"-pie", "hardened-ld"}, "-pie", "the running binary is position-independent"},
		{h.RELRO, "--with-ld-opt", []string{"relro"}, "-Wl,-z,relro", "the running binary's relocations are read-only (RELRO)"},
		{h.Now, "--with-ld-opt", []string{"-z,now", "-z now", "hardened-ld"}, "-Wl,-z,now", "the running binary binds all symbols at its start"},
		{h.StackProtector, "--with-cc-opt", []string{"-fstack-protector", "-fno-stack-protector"}, "-fstack-protector-strong", "the running binary guards its stack"},
		{h.Fortify, "--with-cc-opt", []string{"_FORTIFY_SOURCE"}, "-D_FORTIFY_SOURCE=2", "the running binary checks buffer sizes (FORTIFY_SOURCE)"},
		{h.CET, "--with-cc-opt", []string{"-fcf-protection"}, "-fcf-protection", "the running binary has control-flow protection (CET)"},
	} {
		if !w.had || slices.ContainsFunc(w.there, func(s string) bool { return strings.Contains(words[w.option], s) }) {
			continue
		}
		a := Addition{w.add, w.why}
		if w.option == "--with-cc-opt" {
			tr.target.CC = append(slices.Clone(tr.target.CC), a)
		} else {
			tr.target.LD = append(slices.Clone(tr.target.LD), a)
		}
	}
}
