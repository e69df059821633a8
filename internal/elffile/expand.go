package elffile

import "strings"

// expander makes a directory of what is written in DT_RPATH and DT_RUNPATH (ld.so(8), "Dynamic string
// tokens").
type expander struct {
	dir           string // the working directory
	lib, platform string // what $LIB and $PLATFORM stand for; empty if the loader does not know them
}

func (e expander) expand(path string, o *object) string {
	origin := o.path[:max(strings.LastIndexByte(o.path, '/'), 0)]
	if origin == "" {
		origin = "/"
	}
	platform := e.platform
	if platform == "i386" {
		platform = "i686"
	}
	path = expandTokens(path, map[string]string{"ORIGIN": origin, "LIB": e.lib, "PLATFORM": platform})
	if !strings.HasPrefix(path, "/") {
		path = beneath(e.dir, path)
	}
	return path
}

// beneath names a file in a directory, as the loader does: path.Join would take ".." for the directory
// above by its name, which is another one behind a link.
func beneath(dir, file string) string {
	return strings.TrimRight(dir, "/") + "/" + file
}

// expandTokens replaces $NAME and ${NAME} of the names that have a value, once: what came in by a
// token holds none. No letter, digit or underscore may follow: $LIBS is not $LIB.
func expandTokens(s string, values map[string]string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		value, rest := token(after, values)
		if value == "" {
			value, rest = "$", after
		}
		b.WriteString(value)
		s = rest
	}
}

// token reads a token behind its dollar sign; value is empty if it is none.
func token(s string, values map[string]string) (value, rest string) {
	if inner, braced := strings.CutPrefix(s, "{"); braced {
		name, rest, closed := strings.Cut(inner, "}")
		if !closed {
			return "", s
		}
		return values[name], rest
	}
	n := 0
	for n < len(s) && (s[n] == '_' || isAlphanumeric(s[n])) {
		n++
	}
	return values[s[:n]], s[n:]
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
