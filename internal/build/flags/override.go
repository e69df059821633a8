package flags

import (
	"slices"

	"graft/internal/artifact"
)

// overridden decides on what the user has decided.
func (tr *translator) overridden(a argument) bool {
	f := artifact.Flag{Flag: a.text, Action: artifact.Drop}
	switch {
	case isWords(a.name) && tr.target.unwanted(a) == "":
		return false
	case slices.Contains(tr.target.With, a.text):
		f.Action, f.Reason = artifact.Keep, "asked for by --flag"
		tr.configure = append(tr.configure, a.text)
	case tr.unwanted(a):
		tr.drop(a, "not wanted: --without-flag")
		return true
	default:
		at := slices.IndexFunc(tr.target.With, func(text string) bool { return parseArgument(text).name == a.name && !isAddon(a.name) })
		if at < 0 {
			return false
		}
		f.Reason = "replaced by --flag " + tr.target.With[at]
	}
	tr.flags = append(tr.flags, f)
	return true
}

// isAddon: the option may be given many times, each for another module.
func isAddon(name string) bool { return name == "--add-module" || name == "--add-dynamic-module" }

// unwanted returns the entry of Without that takes the argument away: the whole of it, or its name.
func (t Target) unwanted(a argument) string {
	at := slices.IndexFunc(t.Without, func(text string) bool { return text == a.text || text == a.name })
	if at < 0 {
		return ""
	}
	return t.Without[at]
}

func (tr *translator) unwanted(a argument) bool {
	text := tr.target.unwanted(a)
	if text != "" {
		tr.without[text] = true
	}
	return text != ""
}
