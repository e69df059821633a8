package needs

import (
	"slices"
	"strings"
)

// MissingError says which dependencies are not installed, and what installs them.
type MissingError struct {
	Missing []Dependency
	Install string // one command; empty if the distribution is not known
}

func (e *MissingError) Error() string {
	names := make([]string, len(e.Missing))
	var notes []string
	for i, d := range e.Missing {
		names[i] = d.Name
		if d.Package != "" {
			names[i] += " (" + d.Package + ")"
		}
		// A header or program that is absent is what a missing package means; more than that is said.
		if !strings.HasPrefix(d.Lacks, "header ") && d.Lacks != "program "+strings.ToLower(d.Name) && d.Lacks != "" {
			names[i] += ": no " + strings.TrimPrefix(d.Lacks, "a ")
		}
		if d.Note != "" {
			notes = append(notes, d.Note)
		}
	}
	text := "the build needs what is not installed here: " + strings.Join(names, ", ")
	if e.Install != "" {
		text += "; install it with: " + e.Install
	}
	for _, note := range notes {
		text += "\n  " + note
	}
	return text
}

// Missing returns nil if everything is there, else a *MissingError.
func (p Prediction) Missing() error {
	e := &MissingError{}
	for _, d := range p.Dependencies {
		if !d.Installed {
			e.Missing = append(e.Missing, d)
		}
	}
	if len(e.Missing) == 0 {
		return nil
	}
	e.Install = installCommand(p.release, packagesOf(e.Missing))
	return e
}

// packagesOf names each package once.
func packagesOf(list []Dependency) []string {
	var names []string
	for _, d := range list {
		for name := range strings.FieldsSeq(d.Package) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
