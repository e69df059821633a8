package elffile

import (
	"context"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// answers is what a loader says of a program, or what [Libraries] does.
type answers struct {
	Found    map[string]string // by the name asked for
	Missing  []string
	Versions []string // "LIBRARY VERSION NEEDER", by file name
}

// ofLoader asks the real loader, in a changed root if one is given. Nothing of the program is executed.
func ofLoader(ctx context.Context, root string, command ...string) (answers, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = []string{"LD_TRACE_LOADED_OBJECTS=1"}
	cmd.Dir = "/"
	if root != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	}
	out, err := cmd.CombinedOutput()
	return parseTrace(string(out)), err
}

var versionMissing = regexp.MustCompile("^.*?: (\\S+): version `(\\S+)' not found \\(required by (\\S+)\\)")

func parseTrace(out string) answers {
	a := answers{Found: map[string]string{}}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if m := versionMissing.FindStringSubmatch(line); m != nil {
			a.Versions = append(a.Versions, strings.Join([]string{filepath.Base(m[1]), m[2], filepath.Base(m[3])}, " "))
			continue
		}
		name, path, ok := strings.Cut(line, " => ")
		name, _, _ = strings.Cut(name, " (0x")
		path, _, _ = strings.Cut(path, " (0x")
		switch {
		case strings.HasPrefix(name, "linux-vdso"), strings.Contains(line, "statically linked"):
		case isLoader(name) || isLoader(path):
		case path == "not found":
			a.Missing = append(a.Missing, name)
		case ok:
			a.Found[name] = path
		case strings.HasPrefix(name, "/"):
			a.Found[name] = name
		}
	}
	return a.sorted()
}

// isLoader: it is listed or not depending on whether another library names it, too.
func isLoader(path string) bool {
	return strings.HasPrefix(path, "/") && strings.HasPrefix(filepath.Base(path), "ld-")
}

func (a answers) sorted() answers {
	slices.Sort(a.Missing)
	a.Missing = slices.Compact(a.Missing)
	slices.Sort(a.Versions)
	a.Versions = slices.Compact(a.Versions)
	return a
}

func ofLibraries(all []Library) answers {
	a := answers{Found: map[string]string{}}
	for _, l := range all {
		switch {
		case isLoader(l.Path):
		case l.Missing:
			a.Missing = append(a.Missing, l.Name)
		default:
			a.Found[l.Name] = l.Path
		}
		for _, v := range l.Versions {
			a.Versions = append(a.Versions, strings.Join([]string{filepath.Base(l.Path), v.Version, filepath.Base(v.NeededBy)}, " "))
		}
	}
	return a.sorted()
}

func (a answers) equal(b answers) bool {
	return maps.Equal(a.Found, b.Found) && slices.Equal(a.Missing, b.Missing) && slices.Equal(a.Versions, b.Versions)
}

// agree fails the test unless the real loader says the same of a program of this machine.
func agree(t *testing.T, program string, opts Options) []Library {
	t.Helper()
	all, err := Libraries(program, opts)
	if err != nil {
		t.Fatal(err)
	}
	command := []string{program}
	if loader := all[0].Path; isMuslLoader(loader) {
		command = []string{loader, "--list", program}
	}
	want, err := ofLoader(t.Context(), "", command...)
	if err != nil && len(want.Found) == 0 {
		t.Fatalf("ask the loader of %s: %v", program, err)
	}
	if got := ofLibraries(all); !got.equal(want) {
		t.Errorf("%s:\n got %v\nwant %v", program, got, want)
	}
	return all
}
