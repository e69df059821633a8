package preflight

import "slices"

// Entry is one trap of the catalogue. What, Looks and Remedy are cells of the table in docs/traps.md.
type Entry struct {
	ID      string
	What    string     // what goes wrong, in a sentence
	Looks   string     // what graft looks at
	Remedy  string     // what to do
	Answers []Severity // those that the check may give, the worst first
	// Watched: it can also come up while the old master is parked, and a guard looks out for it then.
	Watched bool

	look func(*examination) Check
	// files: the check goes by paths, which mean nothing where the master sees other files.
	files bool
}

// Page is where the documentation explains the trap.
func (e Entry) Page() string { return "docs/traps/" + e.ID + ".md" }

// Catalogue lists the traps that Run checks: first what makes every other answer worthless, then section
// by section, each in the order in which its traps would strike.
func Catalogue() []Entry {
	return slices.Concat(ownTraps, processTraps, socketTraps, fileTraps)
}

// ask makes the check, or says why it cannot be made.
func (e Entry) ask(x *examination) Check {
	c := warning(enterContainer(x), "not checked: the master sees other files than graft does")
	if !e.files || x.Instance.MountNamespace {
		c = e.look(x)
	}
	c.ID, c.Page = e.ID, e.Page()
	return c
}
