// Package needs predicts, from the final configure line, what a build needs on this machine, before
// configure runs: programs, headers, libraries and room. It also installs what is missing.
package needs

import (
	"context"
	"slices"
	"strings"

	"graft/internal/build/job"
	"graft/internal/build/source"
)

// Query are the facts that decide what a build needs.
type Query struct {
	Layout    source.Layout
	Nginx     string   // version of the source's nginx core; empty if not known
	Configure []string // the final arguments, unquoted
	PCRE1     bool     // its Lua module can only use PCRE1
	// Modules are the source directories of third-party modules that are at hand, by the name that
	// flags.ModuleName gives them.
	Modules map[string]string
}

// Dependency is something the build needs on this machine.
type Dependency struct {
	Name      string `json:"name"` // "OpenSSL"
	Installed bool   `json:"installed"`
	Package   string `json:"package"`         // what to install on this distribution; words apart by spaces; empty if not known
	Why       string `json:"why"`             // what needs it: "--with-http_ssl_module"
	Lacks     string `json:"lacks,omitempty"` // what was looked for and is not here: "header gd.h"
	Note      string `json:"note,omitempty"`  // what to know about the package: it is in EPEL
}

// Note is something about this source on this machine that goes wrong, or may, though all is installed.
type Note struct {
	What    string `json:"what"`
	Remedy  string `json:"remedy"`
	Certain bool   `json:"certain"` // the build fails unless the remedy is taken
}

func (n Note) String() string { return n.What + ": " + n.Remedy }

// Prediction is what a build needs, and what of it is here.
type Prediction struct {
	Dependencies []Dependency
	Notes        []Note
	// Fingerprint is a hash of the compiler's own version and of the libraries' versions.
	Fingerprint string

	release source.OSRelease
	subject subject
	needed  []needed
	found   headers
}

// needed is a rule that applies.
type needed struct {
	need
	why string
	alt []bool // which of the rule's alternatives has its header here
}

// Predict finds what q needs and whether this machine, which is of release, has its programs and
// headers: one run of the preprocessor, some 10 ms. Verify looks at the rest.
func Predict(ctx context.Context, j *job.Job, q Query, release source.OSRelease) (Prediction, error) {
	p := Prediction{release: release, subject: newSubject(q)}
	for _, n := range slices.Concat(needs, moduleNeeds) {
		if why := n.why(p.subject); why != "" {
			p.needed = append(p.needed, needed{need: n, why: why, alt: make([]bool, len(n.have))})
		}
	}
	var err error
	if p.found, err = findHeaders(ctx, j, p.subject, p.needed); err != nil {
		return Prediction{}, err
	}
	p.Fingerprint = p.found.fingerprint
	p.Dependencies = []Dependency{}
	for _, n := range p.needed {
		d := Dependency{Name: n.name, Why: n.why, Lacks: p.lacks(n)}
		d.Installed = d.Lacks == ""
		d.Package, d.Note = n.pkg(p.subject, release)
		p.Dependencies = append(p.Dependencies, d)
	}
	p.Notes = notes(p.subject, p.found)
	return p, nil
}

// lacks names what of a need is not here; empty if all of it is.
func (p Prediction) lacks(n needed) string {
	for _, tool := range n.programs(p.subject) {
		if !p.found.programs[tool] {
			return "program " + tool
		}
	}
	if n.compiles && p.found.broken != "" {
		return "a compiler that works: " + p.found.broken
	}
	if len(n.have) == 0 || slices.Contains(n.alt, true) {
		return ""
	}
	var names []string
	for _, l := range n.have {
		if len(l.headers) == 0 {
			return ""
		}
		names = append(names, l.headers[0])
	}
	return "header " + strings.Join(names, " or ")
}
