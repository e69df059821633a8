package elffile

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Options says where a program will run. The environment is always taken to be empty: a master that
// starts its successor strips it (LD_LIBRARY_PATH, LD_PRELOAD).
type Options struct {
	Root string // the target host's file system, as seen from here; "/" if empty
	// At is where the program will lie on the target host, for $ORIGIN; where it lies here if empty.
	At string
	// Trees are what staging will put onto the host.
	Trees []Tree
	// Dir is the working directory it will have, for search paths that are relative; "/" if empty.
	Dir string
}

// Library is one that a program needs, itself or through another library.
type Library struct {
	Name     string   `json:"name"`           // as it is asked for
	Path     string   `json:"path,omitempty"` // on the target host; empty if it is missing
	NeededBy []string `json:"needed_by"`      // paths on the target host
	Missing  bool     `json:"missing,omitempty"`
	// Broken tells why the loader would not take the file it finds.
	Broken string `json:"broken,omitempty"`
	// Versions are sets of symbols that it lacks: it is older than what the program was built with.
	Versions []MissingVersion `json:"missing_versions,omitempty"`
}

// MissingVersion is a version that a library should have.
type MissingVersion struct {
	Version  string `json:"version"` // "GLIBC_2.38"
	NeededBy string `json:"needed_by"`
}

// Problems tells what is wrong with the library, one sentence each, without a full stop; nothing if it
// will be loaded.
func (l Library) Problems() []string {
	needers := strings.Join(l.NeededBy, ", ")
	switch {
	case l.Missing:
		return []string{fmt.Sprintf("%s is not found (needed by %s)", l.Name, needers)}
	case l.Broken != "":
		return []string{fmt.Sprintf("%s cannot be loaded from %s: %s (needed by %s)", l.Name, l.Path, l.Broken, needers)}
	}
	var all []string
	for _, v := range l.Versions {
		all = append(all, fmt.Sprintf("%s (%s) has no version %s (needed by %s)", l.Name, l.Path, v.Version, v.NeededBy))
	}
	return all
}

// Libraries resolves every library that the program at path (a file of this machine, perhaps
// /proc/PID/exe) or the shared object needs, as the loader of the target host would, first its
// interpreter, then in the loader's order. What is missing is in the answer; the error is for a program
// that cannot be read. A static program needs none.
func Libraries(path string, opts Options) ([]Library, error) {
	im, f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("libraries: %w", err)
	}
	defer f.Close()
	file, err := im.describe()
	if err != nil {
		return nil, fmt.Errorf("libraries: %s: %w", path, err)
	}
	if file.Interpreter == "" && len(file.Needed) == 0 {
		return nil, nil
	}
	o, err := im.object()
	if err != nil {
		return nil, fmt.Errorf("libraries: %s: %w", path, err)
	}
	if o.path = opts.At; o.path == "" {
		if o.path, err = resting(path); err != nil {
			return nil, fmt.Errorf("libraries: %w", err)
		}
	}
	if st, err := f.Stat(); err == nil {
		o.file = st
	}
	r := newResolver(host{root: opts.Root, trees: opts.Trees}, im, file, opts.Dir)
	if err := r.run(o, file.Interpreter != ""); err != nil {
		return nil, fmt.Errorf("libraries: %s: %w", path, err)
	}
	return r.libraries, nil
}

// resting is where a file lies, links followed: what the kernel tells the loader.
func resting(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(real)
}
