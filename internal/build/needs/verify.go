package needs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/build/job"
)

// Verify looks at what Predict leaves out since a build that is stored already needs none of it: whether
// the libraries link, in one run of the compiler, and what Perl has. Some 60 ms if all is there.
func (p Prediction) Verify(ctx context.Context, j *job.Job) (Prediction, error) {
	p.Dependencies, p.Notes = slices.Clone(p.Dependencies), slices.Clone(p.Notes)
	perl, err := p.askPerl(ctx, j)
	if err != nil {
		return Prediction{}, err
	}
	v := verifier{Prediction: p, j: j, perl: perl}
	v.perlModules()
	if err := v.libraries(ctx); err != nil {
		return Prediction{}, err
	}
	return v.Prediction, nil
}

type verifier struct {
	Prediction
	j    *job.Job
	perl perlFacts
}

// lack notes that a dependency is not here after all.
func (v *verifier) lack(i int, what string) {
	v.Dependencies[i].Installed, v.Dependencies[i].Lacks = false, what
}

// linkTest is a set of words for the linker, and a function to look up with them.
type linkTest struct {
	words  []string
	symbol string
}

// libraries links with all libraries at once, and, if that fails, with each alone.
func (v *verifier) libraries(ctx context.Context) error {
	at := slices.IndexFunc(v.needed, func(n needed) bool { return n.compiles })
	if !v.Dependencies[at].Installed {
		return nil
	}
	maybes := v.subject.maybes(v.needed)
	var all []linkTest
	for i, n := range v.needed {
		// configure, too, takes the first.
		if tests := v.tests(n); v.Dependencies[i].Installed && len(tests) > 0 {
			all = append(all, tests[0])
		}
	}
	for _, m := range maybes {
		all = append(all, linkTest{words: []string{m.link}})
	}
	if ok, _, err := v.link(ctx, all...); ok || err != nil {
		return err
	}
	if ok, said, err := v.link(ctx); err != nil {
		return err
	} else if !ok {
		v.lack(at, "a compiler that makes programs: "+said)
		return nil
	}
	for i, n := range v.needed {
		if !v.Dependencies[i].Installed {
			continue
		}
		if err := v.any(ctx, i, n); err != nil {
			return err
		}
	}
	return v.noteMissing(ctx, maybes)
}

// any looks for one alternative of a need that links.
func (v *verifier) any(ctx context.Context, i int, n needed) error {
	tests := v.tests(n)
	var lacks []string
	for _, t := range tests {
		ok, _, err := v.link(ctx, t)
		if ok || err != nil {
			return err
		}
		lacks = append(lacks, strings.Join(t.words, " "))
	}
	if len(tests) > 0 {
		v.lack(i, "library to link with "+strings.Join(lacks, " or "))
	}
	return nil
}

// tests are what is linked for each alternative of a need whose header is here.
func (v *verifier) tests(n needed) []linkTest {
	if n.name == perlHeaders {
		return []linkTest{{words: []string{"-L" + v.perl.core, "-lperl"}, symbol: "perl_alloc"}}
	}
	var tests []linkTest
	for k, l := range n.have {
		if n.alt[k] {
			tests = append(tests, linkTest{l.links, l.symbol})
		}
	}
	return tests
}

// noteMissing tells of libraries that modules name in their config file and that do not link.
func (v *verifier) noteMissing(ctx context.Context, maybes []maybe) error {
	for _, m := range maybes {
		ok, _, err := v.link(ctx, linkTest{words: []string{m.link}})
		if err != nil {
			return err
		}
		if ok {
			continue
		}
		remedy := "install the library's development package, if configure asks for it"
		if k, known := ByLibrary(strings.TrimPrefix(m.link, "-l"), v.release); known && k.Install != "" {
			remedy = k.Install + ", if configure asks for it"
		}
		v.Notes = append(v.Notes, Note{What: fmt.Sprintf("the module of %s may need %s, which does not link here", m.arg, m.link), Remedy: remedy})
	}
	return nil
}

// link makes a program with these libraries, and returns what the compiler said if it could not.
func (v *verifier) link(ctx context.Context, tests ...linkTest) (ok bool, said string, err error) {
	dir, err := os.MkdirTemp("", "graft-link-*")
	if err != nil {
		return false, "", fmt.Errorf("a directory to try the linker in: %w", err)
	}
	defer os.RemoveAll(dir)
	var text strings.Builder
	var words, calls []string
	for _, t := range tests {
		words = append(words, t.words...)
		if t.symbol != "" && !slices.Contains(calls, t.symbol) {
			calls = append(calls, t.symbol)
			fmt.Fprintf(&text, "char %s(void);\n", t.symbol)
		}
	}
	text.WriteString("int main(void) { return 0")
	for _, c := range calls {
		text.WriteString(" + " + c + "()")
	}
	text.WriteString("; }\n")
	args := append(v.subject.compiler(), "-w", "-fno-builtin", "-o", filepath.Join(dir, "test"))
	args = slices.Concat(args, v.subject.searchWords("--with-cc-opt"), []string{"-x", "c", "-"}, v.subject.searchWords("--with-ld-opt"), words)
	var out bytes.Buffer
	if err := v.j.Run(ctx, job.Command{Args: args, In: text.String(), All: &out}); err != nil {
		if ctx.Err() != nil {
			return false, "", ctx.Err()
		}
		return false, job.Telling(out.String())[0], nil
	}
	return true, "", nil
}

// perlFacts is what Perl says of itself.
type perlFacts struct {
	lacks []string // modules it has not
	cc    string   // the compiler that it was built with, which builds its extensions
	core  string   // directory of its headers; empty if they are not there
}

// scriptModules are those that OpenResty's resty and opm use when they run.
var scriptModules = []string{
	"Cwd", "Digest::MD5", "File::Copy", "File::Find", "File::Path", "FindBin", "Getopt::Long", "List::Util", "POSIX", "Time::HiRes",
}

const perlScript = `for (@ARGV) { print "lacks $_\n" unless eval "require $_; 1" }
require Config; print "cc $Config::Config{cc}\ncore $Config::Config{archlibexp}/CORE\n";`

// askPerl runs Perl once, if the build or OpenResty's scripts need it and it is here.
func (p Prediction) askPerl(ctx context.Context, j *job.Job) (perlFacts, error) {
	var f perlFacts
	modules := p.wantedModules()
	perl := "perl"
	if named := p.subject.value("--with-perl"); named != "" {
		perl = named
	}
	if _, err := exec.LookPath(perl); err != nil || len(modules) == 0 {
		return f, nil
	}
	var out bytes.Buffer
	err := j.Run(ctx, job.Command{Args: append([]string{perl, "-e", perlScript}, modules...), Out: &out})
	if err != nil && ctx.Err() != nil {
		return f, ctx.Err()
	}
	for line := range strings.Lines(out.String()) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "lacks":
			f.lacks = append(f.lacks, value)
		case "cc":
			f.cc = value
		case "core":
			if _, err := os.Stat(filepath.Join(value, "perl.h")); err == nil {
				f.core = value
			}
		}
	}
	if err != nil {
		f.lacks = modules // it does not even start
	}
	return f, nil
}

func (p Prediction) wantedModules() []string {
	var modules []string
	for _, n := range p.needed {
		modules = append(modules, n.modules...)
	}
	if p.subject.openResty() {
		modules = append(modules, scriptModules...)
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}

// perlModules decides on what was asked of Perl.
func (v *verifier) perlModules() {
	for i, n := range v.needed {
		if len(n.modules) == 0 || !v.Dependencies[i].Installed {
			continue
		}
		for _, m := range n.modules {
			if slices.Contains(v.perl.lacks, m) {
				v.lack(i, "Perl module "+m)
			}
		}
		if n.name != perlHeaders || !v.Dependencies[i].Installed {
			continue
		}
		cc, _, _ := strings.Cut(v.perl.cc, " ")
		switch {
		case v.perl.core == "":
			v.lack(i, "header perl.h in Perl's own directory")
		case cc != "" && !inPath(cc):
			v.lack(i, "program "+cc+", which compiled Perl and compiles nginx.pm")
			v.Dependencies[i].Package = strings.TrimSpace(v.Dependencies[i].Package + " " + everywhere("gcc").of(v.release.Family()))
		}
	}
	var lost []string
	for _, m := range scriptModules {
		if v.subject.openResty() && slices.Contains(v.perl.lacks, m) {
			lost = append(lost, m)
		}
	}
	if len(lost) > 0 {
		k, _ := ByName("Perl", v.release)
		v.Notes = append(v.Notes, Note{
			What:   "OpenResty's programs resty and opm will not run here: Perl has no " + strings.Join(lost, ", "),
			Remedy: "install all of Perl" + orNothing(": "+k.Install, k.Install),
		})
	}
}

func orNothing(text, unless string) string {
	if unless == "" {
		return ""
	}
	return text
}
