package elffile

import (
	"slices"
	"strings"
	"testing"
)

func names(lost []Difference) []string {
	var all []string
	for _, d := range lost {
		all = append(all, d.Name)
	}
	return all
}

func TestCompareTellsWhatIsLost(t *testing.T) {
	all := []string{
		"-O2", "-fPIE", "-pie", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-fcf-protection",
		"-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,-z,ibt", "-Wl,-z,shstk",
	}
	old := read(t, cc(t, program, all...))
	if lost := Compare(old, old); len(lost) > 0 {
		t.Errorf("against itself it lost %v", names(lost))
	}
	for _, tt := range []struct {
		without string // what of all is left out
		instead []string
		want    []string
	}{
		{"-pie", []string{"-no-pie"}, []string{"PIE"}},
		{"-fstack-protector-strong", []string{"-fno-stack-protector"}, []string{"stack protector"}},
		{"-D_FORTIFY_SOURCE=2", []string{"-U_FORTIFY_SOURCE"}, []string{"FORTIFY_SOURCE"}},
		{"-Wl,-z,noexecstack", []string{"-Wl,-z,execstack"}, []string{"non-executable stack"}},
		{"-Wl,-z,relro", []string{"-Wl,-z,norelro"}, []string{"RELRO"}},
		{"-Wl,-z,now", []string{"-Wl,-z,lazy"}, []string{"immediate binding (-z now)"}},
		{"-Wl,-z,ibt", nil, []string{"CET indirect branch tracking"}},
		{"-Wl,-z,shstk", nil, []string{"CET shadow stack"}},
	} {
		args := slices.DeleteFunc(slices.Clone(all), func(a string) bool { return a == tt.without })
		lost := Compare(old, read(t, cc(t, program, append(args, tt.instead...)...)))
		if !slices.Equal(names(lost), tt.want) {
			t.Errorf("without %s: %v, want %v", tt.without, names(lost), tt.want)
		}
		for _, d := range lost {
			if d.Meaning == "" || d.CompilerFlags+d.LinkerFlags == "" || d.Unseen {
				t.Errorf("%+v", d)
			}
		}
	}
}

// The flags that Compare names are tried: a build with nothing but them has what was lost.
func TestCompareNamesTheFlagsThatBringItBack(t *testing.T) {
	bare := []string{"-no-pie", "-fno-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-Wl,-z,execstack", "-Wl,-z,norelro", "-Wl,-z,lazy"}
	old := File{
		Machine: "x86_64", PIE: Yes, RELRO: RELROFull, Now: Yes, StackProtector: Yes, Fortify: Fortify{State: Yes}, NXStack: Yes,
	}
	lost := Compare(old, read(t, cc(t, program, bare...)))
	if len(lost) != 6 {
		t.Errorf("of 6 properties it lost %v", names(lost))
	}
	args := bare
	for _, d := range lost {
		args = append(args, strings.Fields(d.CompilerFlags+" "+d.LinkerFlags)...)
	}
	if lost := Compare(old, read(t, cc(t, program, args...))); len(lost) > 0 {
		t.Errorf("with %v it lost %v", args, names(lost))
	}
}

func TestCompareTakesTheUnknownForNeitherHadNorKept(t *testing.T) {
	dynamic := read(t, cc(t, program, "-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"))
	static := read(t, cc(t, program, "-O2", "-static-pie", "-s", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"))
	lost := Compare(dynamic, static)
	if !slices.Equal(names(lost), []string{"stack protector", "FORTIFY_SOURCE"}) || !lost[0].Unseen || !lost[1].Unseen {
		t.Errorf("what a static program cannot show: %+v", lost)
	}
	if lost := Compare(static, dynamic); len(lost) > 0 {
		t.Errorf("a static program lost %+v", lost)
	}
	if lost := Compare(File{}, File{}); len(lost) > 0 {
		t.Errorf("nothing lost %+v", lost)
	}
}

func TestCompareLeavesOutWhatTheOtherMachineHasNot(t *testing.T) {
	old := File{Machine: "x86_64", IBT: Yes, SHSTK: Yes}
	if lost := Compare(old, File{Machine: "aarch64", BTI: Yes, PAC: Yes}); len(lost) > 0 {
		t.Errorf("lost %v", names(lost))
	}
	old = File{Machine: "aarch64", BTI: Yes, PAC: Yes}
	if lost := Compare(old, File{Machine: "aarch64", BTI: No, PAC: No}); !slices.Equal(names(lost), []string{"BTI", "PAC"}) {
		t.Errorf("lost %v", names(lost))
	}
}
