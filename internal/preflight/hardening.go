package preflight

import (
	"debug/elf"
	"fmt"
	"strings"
)

// hardening is what the compiler and the linker were asked to make attacks harder.
type hardening struct {
	pie, relro, now, stackProtector, fortify bool
}

func hardeningLost(e *examination) Check {
	old, err := readHardening(e.FS.Path(e.Instance.Master.PID, "exe"))
	if err != nil {
		return warning("", "not checked: the running binary: %v", err)
	}
	target, err := readHardening(e.Target.BinaryPath())
	if err != nil {
		return warning("", "not checked: the target: %v", err)
	}
	var lost []string
	for _, p := range []struct {
		name    string
		had, is bool
	}{
		{"PIE", old.pie, target.pie},
		{"RELRO", old.relro, target.relro},
		{"immediate binding (-z now)", old.now, target.now},
		{"stack protector", old.stackProtector, target.stackProtector},
		{"FORTIFY_SOURCE", old.fortify, target.fortify},
	} {
		if p.had && !p.is {
			lost = append(lost, p.name)
		}
	}
	if len(lost) > 0 {
		return warning(fmt.Sprintf("build the target with the running binary's --with-cc-opt and --with-ld-opt (graft build --like %d)", e.Instance.Master.PID),
			"the running binary has what the target lacks: %s", strings.Join(lost, ", "))
	}
	return ok("the target is hardened as the running binary is (PIE %t, RELRO %t, -z now %t, stack protector %t, FORTIFY_SOURCE %t)",
		target.pie, target.relro, target.now, target.stackProtector, target.fortify)
}

func readHardening(path string) (hardening, error) {
	f, err := elf.Open(path)
	if err != nil {
		return hardening{}, fmt.Errorf("read %s as ELF: %w", path, err)
	}
	defer f.Close()
	h := hardening{pie: f.Type == elf.ET_DYN}
	for _, p := range f.Progs {
		h.relro = h.relro || p.Type == elf.PT_GNU_RELRO
	}
	// A static binary has neither dynamic flags nor imported symbols: what is not there is not lost.
	flags, err := f.DynValue(elf.DT_FLAGS)
	if err != nil {
		return hardening{}, fmt.Errorf("read %s: %w", path, err)
	}
	flags1, err := f.DynValue(elf.DT_FLAGS_1)
	if err != nil {
		return hardening{}, fmt.Errorf("read %s: %w", path, err)
	}
	for _, v := range flags {
		h.now = h.now || elf.DynFlag(v)&elf.DF_BIND_NOW != 0
	}
	for _, v := range flags1 {
		h.now = h.now || elf.DynFlag1(v)&elf.DF_1_NOW != 0
	}
	symbols, err := f.ImportedSymbols()
	if err != nil {
		return hardening{}, fmt.Errorf("read symbols of %s: %w", path, err)
	}
	for _, s := range symbols {
		switch {
		case s.Name == "__stack_chk_fail":
			h.stackProtector = true
		case strings.HasPrefix(s.Name, "__") && strings.HasSuffix(s.Name, "_chk"):
			h.fortify = true
		}
	}
	return h, nil
}
