package modules

import (
	"regexp"
	"strconv"
	"strings"
)

// cSource is what the C (or C++) sources of an addon define.
type cSource struct {
	modules    []string // ngx_module_t NAME = …
	directives []string // of all tables of ngx_command_t
	macros     map[string]string
	tables     []string            // the text of those tables, for when all macros are known
	texts      map[string][]string // of each file, by base name, without comments
}

var (
	cModule  = regexp.MustCompile(`\bngx_module_t\s+(\w+)\s*=`)
	cTable   = regexp.MustCompile(`\bngx_command_t\s+\w+\s*\[[^\]]*\]\s*=\s*\{`)
	cCommand = regexp.MustCompile(`\{\s*ngx_string\s*\(\s*("(?:[^"\\]|\\.)*"|\w+)\s*\)`)
	// An entry as it stands in a file that tables include: nothing but the type tells it.
	cEntry   = regexp.MustCompile(`\{\s*ngx_string\s*\(\s*("(?:[^"\\]|\\.)*"|\w+)\s*\)\s*,\s*NGX_\w*CONF`)
	cMacro   = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+("(?:[^"\\]|\\.)*")[ \t\r]*$`)
	cInclude = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*["<](?:[^">\n]*/)?([^"/>\n]+)[">]`)
)

// read adds what one file defines, and returns the base names of those it includes. Both branches of a preprocessor condition count, but for #if 0.
func (c *cSource) read(base, text string) (includes []string) {
	text = withoutDisabled(withoutComments(text))
	c.texts[base] = append(c.texts[base], text)
	for _, m := range cModule.FindAllStringSubmatch(text, -1) {
		c.modules = append(c.modules, m[1])
	}
	for rest := text; ; {
		at := cTable.FindStringIndex(rest)
		if at == nil {
			break
		}
		rest = rest[at[1]-1:]
		n := braces(rest)
		c.tables = append(c.tables, rest[:n])
		rest = rest[n:]
	}
	for _, m := range cMacro.FindAllStringSubmatch(text, -1) {
		c.macros[m[1]] = m[2]
	}
	return included(text)
}

// included lists the base names of the files that the text includes.
func included(text string) []string {
	var names []string
	for _, m := range cInclude.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// finish reads the tables, now that the macros of all files are known.
func (c *cSource) finish() {
	done := map[string]bool{}
	for _, table := range c.tables {
		c.entries(cCommand, table)
		for _, base := range included(table) {
			if !done[base] {
				done[base] = true
				for _, text := range c.texts[base] {
					c.entries(cEntry, text)
				}
			}
		}
	}
}

// entries adds the directives whose entries the expression finds.
func (c *cSource) entries(entry *regexp.Regexp, text string) {
	for _, m := range entry.FindAllStringSubmatch(text, -1) {
		literal := m[1]
		if !strings.HasPrefix(literal, `"`) {
			literal = c.macros[literal]
		}
		if name, err := strconv.Unquote(literal); err == nil && name != "" {
			c.directives = append(c.directives, name)
		}
	}
}

// withoutComments puts a space for each comment, and leaves strings alone.
func withoutComments(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], "/*"):
			n := strings.Index(s[i+2:], "*/")
			if n < 0 {
				return b.String()
			}
			i += n + 4
			b.WriteByte(' ')
		case strings.HasPrefix(s[i:], "//"):
			i = lineEnd(s, i)
		case s[i] == '"' || s[i] == '\'':
			n := quotedLength(s[i:])
			b.WriteString(s[i : i+n])
			i += n
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return b.String()
}

// quotedLength is the length of the literal that s begins with; it ends with its line at the latest.
func quotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\n':
			return i
		case s[0]:
			return i + 1
		}
	}
	return len(s)
}

// withoutDisabled leaves out what stands in #if 0.
func withoutDisabled(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	depth := 0 // of conditions inside a #if 0, itself included
	for line := range strings.Lines(s) {
		directive, ok := strings.CutPrefix(strings.TrimSpace(line), "#")
		words := strings.Fields(directive)
		isDirective := ok && len(words) > 0
		switch {
		case depth > 0:
			if isDirective && strings.HasPrefix(words[0], "if") {
				depth++
			}
			if isDirective && (words[0] == "endif" || depth == 1 && (words[0] == "else" || words[0] == "elif")) {
				depth--
			}
		case isDirective && words[0] == "if" && len(words) == 2 && words[1] == "0":
			depth = 1
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// braces is the length of the block that s begins with.
func braces(s string) int {
	depth := 0
	for i := 0; i < len(s); {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"', '\'':
			i += quotedLength(s[i:])
			continue
		}
		i++
	}
	return len(s)
}
