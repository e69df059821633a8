package flags

import (
	"graft/internal/artifact"
	"graft/internal/build/source"
	"strings"
)

// isWords: the option's value is words for the compiler or the linker, which are decided on one by one.
func isWords(name string) bool { return name == "--with-cc-opt" || name == "--with-ld-opt" }

// words translates --with-cc-opt or --with-ld-opt word by word; the first of its kind gets the
// additions in front, as the rest may end in a library, and the user's own words last, where they win.
func (tr *translator) words(a argument, additions []Addition, first bool) {
	kept, reasons := []string{}, []string{}
	var last []string
	if first {
		kept, reasons = split(additions)
		for i, text := range kept {
			reasons[i] = text + " is added: " + reasons[i]
		}
		if last = tr.target.wantedWords(a.name); len(last) > 0 {
			reasons = append(reasons, strings.Join(last, " ")+" is added: asked for by --flag")
		}
	}
	// An old binary that graft built: the header is added anew where it is needed.
	value := strings.ReplaceAll(a.value, "-include "+PathsHeader, "")
	for _, word := range splitWords(value) {
		to, reason := translateWord(a.name, word, tr.target)
		if reason != "" {
			reasons = append(reasons, reason)
		}
		if to != "" {
			kept = append(kept, to)
		}
	}
	value = strings.Join(append(kept, last...), " ")
	f := artifact.Flag{Flag: a.text, Action: artifact.Rewrite, To: a.name + "=" + value, Reason: strings.Join(reasons, "; ")}
	switch {
	case value == "" && len(reasons) > 0:
		f.Action, f.To = artifact.Drop, ""
	case len(reasons) == 0:
		f.Action, f.To, f.Reason = artifact.Keep, "", "hardening and code generation stay as they were"
	}
	if f.Action == artifact.Keep {
		tr.configure = append(tr.configure, a.text)
	} else if f.To != "" {
		tr.configure = append(tr.configure, f.To)
	}
	tr.flags = append(tr.flags, f)
}

func split(additions []Addition) (texts, reasons []string) {
	for _, a := range additions {
		texts, reasons = append(texts, a.Text), append(reasons, a.Reason)
	}
	return texts, reasons
}

// splitWords cuts an option's value into words as make's shell will, but leaves each word as it is
// written, quotes included. "-include FILE" and the like stay two words.
func splitWords(value string) []string {
	var words []string
	quote, start := byte(0), -1
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == ' ' || c == '\t' || c == '\n':
			if start >= 0 {
				words = append(words, value[start:i])
			}
			start = -1
			continue
		case c == '\'' || c == '"':
			quote = c
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		words = append(words, value[start:])
	}
	return words
}

// translateWord decides on one word of --with-cc-opt or --with-ld-opt: an empty result drops it, an
// empty reason means nothing was done.
func translateWord(option, word string, t Target) (to, reason string) {
	name, value, _ := strings.Cut(word, "=")
	switch {
	case strings.HasPrefix(name, "-f") && strings.HasSuffix(name, "-prefix-map"):
		return "", name + " is dropped: it names the old build's directory"
	case option == "--with-cc-opt" && t.dynamic && (word == "-fPIE" || word == "-fpie"):
		return "-fPIC", word + " becomes -fPIC: code compiled for an executable alone does not link into .so modules"
	case word == "-DNGX_LUA_USE_ASSERT" || word == "-DNGX_LUA_ABORT_AT_PANIC":
		return "", word + " is dropped: a debugging aid of the Lua module"
	case strings.HasPrefix(word, "-Wl,-rpath,") && strings.Contains(word+":", "/luajit/lib:") && t.Layout != source.LayoutNginx:
		return "", word + " is dropped: the target sets its own path to LuaJIT"
	case name == "-specs" && !t.Exists(value) && strings.HasSuffix(value, "-cc1"):
		pie := "-fPIE"
		if t.dynamic {
			pie = "-fPIC"
		}
		return pie, word + " is not on this machine: " + pie + " does what it is for"
	case name == "-specs" && !t.Exists(value) && strings.HasSuffix(value, "-ld"):
		return "-pie", word + " is not on this machine: -pie does what it is for"
	case name == "-specs" && !t.Exists(value):
		return "", word + " is dropped: the file is not on this machine"
	case t.Layout == source.LayoutOpenResty && strings.ContainsAny(word, `'"`):
		return "", word + " is dropped: OpenResty's configure cannot pass a quote on"
	}
	return word, ""
}

// wantedWords are those that the user adds to an option.
func (t Target) wantedWords(option string) []string {
	var words []string
	for _, text := range t.With {
		if a := parseArgument(text); a.name == option {
			words = append(words, a.value)
		}
	}
	return words
}
