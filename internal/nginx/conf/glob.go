package conf

import (
	"path"
	"strings"
)

// hasWildcard tells whether nginx takes an include's argument as a pattern.
func hasWildcard(name string) bool { return strings.ContainsAny(name, "*?[") }

// glob lists what glob(3) without flags lists for an absolute pattern with a wildcard in the C
// locale, which is what nginx calls: sorted by byte, dangling links included, a leading dot matched only literally.
// A directory that cannot be read has no entries.
func (t *tree) glob(pattern string) []string {
	wildcard := strings.IndexAny(pattern, "*?[")
	literal := strings.LastIndexByte(pattern[:wildcard], '/')
	matches := []string{unescapeGlob(pattern[:literal+1])}
	parts := strings.Split(pattern[literal+1:], "/")
	for i, part := range parts {
		last := i == len(parts)-1
		var next []string
		for _, dir := range matches {
			next = append(next, t.matchIn(dir, part, last)...)
		}
		matches = next
	}
	return matches
}

// matchIn lists the paths dir/name whose name matches the pattern's part.
func (t *tree) matchIn(dir, part string, last bool) []string {
	join := func(name string) string { return strings.TrimSuffix(dir, "/") + "/" + name }
	if !hasWildcard(part) {
		name := join(unescapeGlob(part))
		if last && !t.exists(name) {
			return nil
		}
		return []string{name} // if it is no directory, the parts after it won't exist
	}
	names, err := t.names(dir)
	if err != nil {
		return nil
	}
	var matches []string
	for _, name := range names {
		if name[0] == '.' && part[0] != '.' && !strings.HasPrefix(part, `\.`) {
			continue
		}
		if match(part, name) {
			matches = append(matches, join(name))
		}
	}
	return matches
}

func unescapeGlob(part string) string {
	if !strings.Contains(part, `\`) {
		return part
	}
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		if part[i] == '\\' && i+1 < len(part) {
			i++
		}
		b.WriteByte(part[i])
	}
	return b.String()
}

// match is fnmatch(3) without flags, byte by byte. It backtracks to the last star only, which is
// enough because a later star can match whatever an earlier one could.
func match(pattern, name string) bool {
	star, resume := -1, 0
	p, n := 0, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, resume = p, n
			p++
			continue
		}
		if p < len(pattern) {
			if width, ok := matchOne(pattern[p:], name[n]); ok {
				p += width
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		resume++
		p, n = star+1, resume
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte with the pattern's first element, and tells that element's width.
func matchOne(pattern string, ch byte) (width int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == ch
		}
		return 1, false // a pattern that ends in a backslash matches nothing
	case '[':
		if width, ok := matchBracket(pattern, ch); width > 0 {
			return width, ok
		}
	}
	return 1, pattern[0] == ch
}

// matchBracket matches a bracket expression. The width is 0 if the bracket is not closed and so
// stands for itself.
func matchBracket(pattern string, ch byte) (width int, ok bool) {
	i := 1
	negated := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negated {
		i++
	}
	for first := true; ; first = false {
		if i >= len(pattern) {
			return 0, false
		}
		if pattern[i] == ']' && !first {
			return i + 1, ok != negated
		}
		if strings.HasPrefix(pattern[i:], "[:") {
			if end := strings.Index(pattern[i+2:], ":]"); end >= 0 {
				ok = ok || inClass(pattern[i+2:i+2+end], ch)
				i += end + 4
				continue
			}
		}
		low, next := bracketByte(pattern, i)
		if next >= len(pattern) {
			return 0, false
		}
		high := low
		if pattern[next] == '-' && next+1 < len(pattern) && pattern[next+1] != ']' {
			high, next = bracketByte(pattern, next+1)
		}
		ok = ok || low <= ch && ch <= high
		i = next
	}
}

func bracketByte(pattern string, i int) (ch byte, next int) {
	if pattern[i] == '\\' && i+1 < len(pattern) {
		i++
	}
	return pattern[i], i + 1
}

func inClass(name string, ch byte) bool {
	lower, upper, digit := 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9'
	switch name {
	case "lower":
		return lower
	case "upper":
		return upper
	case "digit":
		return digit
	case "alpha":
		return lower || upper
	case "alnum":
		return lower || upper || digit
	case "xdigit":
		return digit || 'a' <= ch && ch <= 'f' || 'A' <= ch && ch <= 'F'
	case "blank":
		return ch == ' ' || ch == '\t'
	case "space":
		return ch == ' ' || '\t' <= ch && ch <= '\r'
	case "cntrl":
		return ch < ' ' || ch == 0x7f
	case "print":
		return ' ' <= ch && ch < 0x7f
	case "graph":
		return ' ' < ch && ch < 0x7f
	case "punct":
		return ' ' < ch && ch < 0x7f && !lower && !upper && !digit
	}
	return false
}

// fullName is nginx's ngx_get_full_name: a plain concatenation, nothing cleaned.
func fullName(prefix, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return prefix + name
}

// dirOf is a conf file's directory, with the slash at its end.
func dirOf(file string) string { return strings.TrimSuffix(path.Dir(file), "/") + "/" }
