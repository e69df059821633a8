package elffile

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
)

func TestReadTellsEachProtection(t *testing.T) {
	for _, p := range []struct {
		name          string
		with, without []string
		of            func(File) string
		yes, no       string
	}{
		{
			"PIE", []string{"-fPIE", "-pie"}, []string{"-fno-pie", "-no-pie"},
			func(f File) string { return f.PIE.String() }, "yes", "no",
		},
		{
			"RELRO", []string{"-Wl,-z,relro", "-Wl,-z,lazy"}, []string{"-Wl,-z,norelro"},
			func(f File) string { return f.RELRO.String() }, "partial", "none",
		},
		{
			"full RELRO", []string{"-Wl,-z,relro", "-Wl,-z,now"}, []string{"-Wl,-z,relro", "-Wl,-z,lazy"},
			func(f File) string { return f.RELRO.String() + " " + f.Now.String() }, "full yes", "partial no",
		},
		{
			"now without RELRO", []string{"-Wl,-z,norelro", "-Wl,-z,now"}, []string{"-Wl,-z,norelro", "-Wl,-z,lazy"},
			func(f File) string { return f.RELRO.String() + " " + f.Now.String() }, "none yes", "none no",
		},
		{
			"stack protector", []string{"-fstack-protector-strong"}, []string{"-fno-stack-protector"},
			func(f File) string { return f.StackProtector.String() }, "yes", "no",
		},
		{
			"FORTIFY_SOURCE", []string{"-O2", "-D_FORTIFY_SOURCE=2"}, []string{"-O2", "-U_FORTIFY_SOURCE"},
			func(f File) string { return f.Fortify.State.String() }, "yes", "no",
		},
		{
			"NX stack", []string{"-Wl,-z,noexecstack"}, []string{"-Wl,-z,execstack"},
			func(f File) string { return f.NXStack.String() }, "yes", "no",
		},
		{
			// Debian's crt1.o is compiled without, and so the linker would drop both.
			"CET", []string{"-fcf-protection", "-Wl,-z,ibt", "-Wl,-z,shstk"}, []string{"-fcf-protection=none"},
			func(f File) string { return f.IBT.String() + " " + f.SHSTK.String() }, "yes yes", "no no",
		},
		{
			"shadow stack alone", []string{"-fcf-protection=return", "-Wl,-z,shstk"}, []string{"-fcf-protection=none"},
			func(f File) string { return f.IBT.String() + " " + f.SHSTK.String() }, "no yes", "no no",
		},
		{
			"build id", []string{"-Wl,--build-id=0xc0ffee"}, []string{"-Wl,--build-id=none"},
			func(f File) string { return f.BuildID }, "c0ffee", "",
		},
		{
			"RPATH", []string{"-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN/../lib:/opt/lib"}, nil,
			func(f File) string { return strings.Join(f.RPath, ":") }, "$ORIGIN/../lib:/opt/lib", "",
		},
		{
			"RUNPATH", []string{"-Wl,--enable-new-dtags", "-Wl,-rpath,/opt/lib"}, nil,
			func(f File) string { return strings.Join(f.RunPath, ":") + strings.Join(f.RPath, ":") }, "/opt/lib", "",
		},
		{
			"symbols", nil, []string{"-s"},
			func(f File) string { return answer(!f.Stripped).String() }, "yes", "no",
		},
		{
			"debug info", []string{"-g"}, nil,
			func(f File) string { return answer(f.DebugInfo).String() }, "yes", "no",
		},
		{
			"compressed debug info", []string{"-g", "-gz"}, nil,
			func(f File) string { return answer(f.DebugInfo).String() }, "yes", "no",
		},
	} {
		t.Run(p.name, func(t *testing.T) {
			if got := p.of(read(t, cc(t, program, p.with...))); got != p.yes {
				t.Errorf("%v: %q, want %q", p.with, got, p.yes)
			}
			if got := p.of(read(t, cc(t, program, p.without...))); got != p.no {
				t.Errorf("%v: %q, want %q", p.without, got, p.no)
			}
		})
	}
}

func TestReadNeedsNoSections(t *testing.T) {
	for _, style := range []string{"gnu", "sysv"} {
		path := cc(t, program, "-O2", "-s", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,--hash-style="+style)
		want := read(t, path)
		if diff := cmp.Diff(want, read(t, withoutSections(t, path))); diff != "" {
			t.Errorf("%s hash (-with sections +without)\n%s", style, diff)
		}
	}
}

func TestReadOfDebiansNginx(t *testing.T) {
	f := read(t, nginxtest.Debian(t).Path)
	if f.PIE != Yes || f.RELRO != RELROFull || f.StackProtector != Yes || f.Fortify.State != Yes || f.NXStack != Yes || !f.Stripped || f.Static {
		t.Errorf("%+v", f)
	}
	if !slices.Contains(f.Needed, "libc.so.6") || f.BuildID == "" || f.DebugLink == "" {
		t.Errorf("%+v", f)
	}
}

func TestReadTakesARunningProgramWhoseFileIsGone(t *testing.T) {
	path := cc(t, `#include <unistd.h>
		int main(void) { char c; write(1, "", 1); return read(0, &c, 1); }`)
	want := read(t, path)
	cmd := exec.CommandContext(t.Context(), path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	got := read(t, filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "exe"))
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-file +process)\n%s", diff)
	}
}

func TestFileGoesThroughJSON(t *testing.T) {
	f := read(t, cc(t, program, "-O2", "-D_FORTIFY_SOURCE=2", "-g", "-Wl,-rpath,/opt/lib"))
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"pie":"yes"`, `"relro":"partial"`, `"stack_protector":`, `"fortify":{"state":"yes","checked":2,`, `"ibt":"no"`, `"runpath":["/opt/lib"]`, `"nx_stack":"yes"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	if strings.Contains(string(text), "bti") {
		t.Errorf("what the machine does not have is told: %s", text)
	}
	var back File
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, back); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
	for _, odd := range []string{`{"pie":"maybe"}`, `{"relro":"half"}`} {
		if err := json.Unmarshal([]byte(odd), &back); err == nil {
			t.Errorf("%s was read", odd)
		}
	}
}
