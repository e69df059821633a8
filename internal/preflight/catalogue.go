package preflight

// Entry is one trap of the catalogue.
type Entry struct {
	ID   string
	What string // what goes wrong, in a sentence
	look func(*examination) Check
	// files: the check reads files by the paths that the master knows them by, so it means nothing
	// where graft sees other files.
	files bool
}

// Catalogue lists the traps that Run checks, in the order in which they would strike.
func Catalogue() []Entry {
	return append([]Entry(nil), catalogue...)
}

var catalogue = []Entry{
	{ID: "same-binary", What: "The target is what runs already.", look: sameBinary},
	{ID: "drain-unbounded", What: "Old workers stay as long as their longest connection, and the old master with them.", look: drainUnbounded},
}

// ask makes the check, or says why it cannot be made.
func (e Entry) ask(x *examination) Check {
	if e.files && !x.MountNamespace() {
		return Check{ID: e.ID, Severity: Warning, Evidence: "not checked: the master sees other files than graft does", Remedy: remedyMountNamespace(x)}
	}
	c := e.look(x)
	c.ID = e.ID
	return c
}
