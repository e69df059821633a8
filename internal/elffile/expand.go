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
	for _, t := range [][2]string{{"ORIGIN", origin}, {"LIB", e.lib}, {"PLATFORM", platform}} {
		if token, value := t[0], t[1]; value != "" {
			path = strings.ReplaceAll(path, "${"+token+"}", value)
			path = replaceToken(path, "$"+token, value)
		}
	}
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

// replaceToken replaces what no letter, digit or underscore follows: $LIBS is not $LIB.
func replaceToken(s, token, value string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, token)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if after != "" && (after[0] == '_' || isAlphanumeric(after[0])) {
			b.WriteString(token)
		} else {
			b.WriteString(value)
		}
		s = after
	}
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
