package modules

import (
	"regexp"
	"slices"
	"strings"
)

// shell reads the file config of an addon as far as a reader can who runs nothing: assignments and the
// files that are sourced, in the order of the text. It takes every branch of every condition, since
// which one nginx's configure would take depends on the machine. What a command prints is not known.
type shell struct {
	vars   map[string]string
	assign func(name, value string)
	source func(path string)

	src    string
	pos    int
	here   []string // delimiters of here-documents whose text begins on the next line
	budget int      // bytes that may still be expanded: A=$A$A doubles
}

var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\+?=`)

// run reads one file's text.
func (s *shell) run(src string) {
	outer := *s
	s.src, s.pos, s.here = src, 0, nil
	s.commands()
	s.src, s.pos, s.here = outer.src, outer.pos, outer.here
}

func (s *shell) commands() {
	first := true // the next word is a command's first
	for s.pos < len(s.src) && s.budget > 0 {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\r':
			s.pos++
		case '\n':
			s.pos++
			s.skipHere()
			first = true
		case ';', '&', '|', '(', ')':
			s.pos++
			first = true
		case '#':
			s.pos = lineEnd(s.src, s.pos)
		case '<', '>':
			s.redirection()
		default:
			first = s.commandWord(first)
		}
	}
}

// commandWord takes one word; it tells whether the next one is a command's first, too.
func (s *shell) commandWord(first bool) bool {
	if name := assignment.FindString(s.src[s.pos:min(len(s.src), s.pos+maxName)]); first && name != "" {
		s.pos += len(name)
		value := s.word()
		name, appends := strings.CutSuffix(name[:len(name)-1], "+")
		if appends {
			value = s.vars[name] + value
		}
		s.vars[name] = value
		s.assign(name, value)
		return true
	}
	start := s.pos
	word := s.word()
	if s.pos == start {
		s.pos++
	}
	if !first {
		return false
	}
	switch word {
	case "": // a line continued
		return true
	case ".", "source":
		for s.pos < len(s.src) && (s.src[s.pos] == ' ' || s.src[s.pos] == '\t') {
			s.pos++
		}
		s.source(s.word())
		return false
	case "if", "then", "else", "elif", "do", "while", "until", "!", "{", "export", "local", "readonly":
		return true
	}
	return false
}

// word takes a word, its quotes and variables resolved.
func (s *shell) word() string {
	var b strings.Builder
	for s.pos < len(s.src) && s.budget > 0 {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\r', '\n', ';', '&', '|', '(', ')', '<', '>':
			return b.String()
		case '\'':
			s.pos++
			n := strings.IndexByte(s.src[s.pos:], '\'')
			if n < 0 {
				n = len(s.src) - s.pos
			}
			s.put(&b, s.src[s.pos:s.pos+n])
			s.pos = min(len(s.src), s.pos+n+1)
		case '"':
			s.quoted(&b)
		default:
			s.char(&b)
		}
	}
	return b.String()
}

// quoted takes what stands in double quotes.
func (s *shell) quoted(b *strings.Builder) {
	for s.pos++; s.pos < len(s.src) && s.budget > 0; {
		if s.src[s.pos] == '"' {
			s.pos++
			return
		}
		s.char(b)
	}
}

// char takes a character, or what stands for more: an escape, a variable, a command.
func (s *shell) char(b *strings.Builder) {
	switch s.src[s.pos] {
	case '\\':
		if s.pos+1 < len(s.src) && s.src[s.pos+1] != '\n' {
			s.put(b, s.src[s.pos+1:s.pos+2])
		}
		s.pos = min(len(s.src), s.pos+2)
	case '`':
		s.pos++
		for s.pos < len(s.src) && s.src[s.pos] != '`' {
			if s.src[s.pos] == '\\' {
				s.pos++
			}
			s.pos++
		}
		s.pos = min(len(s.src), s.pos+1)
	case '$':
		s.dollar(b)
	default:
		s.put(b, s.src[s.pos:s.pos+1])
		s.pos++
	}
}

func (s *shell) dollar(b *strings.Builder) {
	s.pos++
	rest := s.src[s.pos:]
	switch {
	case strings.HasPrefix(rest, "("):
		depth := 0
		for ; s.pos < len(s.src); s.pos++ {
			switch s.src[s.pos] {
			case '(':
				depth++
			case ')':
				depth--
			case '\\':
				s.pos++
			}
			if depth == 0 {
				break
			}
		}
		s.pos = min(len(s.src), s.pos+1)
	case strings.HasPrefix(rest, "{"):
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			s.pos = len(s.src)
			return
		}
		s.put(b, s.vars[rest[1:1+nameLength(rest[1:])]])
		s.pos += end + 1
	default:
		n := nameLength(rest)
		s.put(b, s.vars[rest[:n]])
		s.pos += n
	}
}

func (s *shell) put(b *strings.Builder, text string) {
	if s.budget -= len(text) + 1; s.budget > 0 {
		b.WriteString(text)
	}
}

func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= '0' && s[n] <= '9' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
		n++
	}
	return n
}

// redirection takes < or > and, of a here-document, its delimiter.
func (s *shell) redirection() {
	if !strings.HasPrefix(s.src[s.pos:], "<<") {
		s.pos++
		return
	}
	s.pos += 2
	for s.pos < len(s.src) && strings.IndexByte("- \t<", s.src[s.pos]) >= 0 {
		s.pos++
	}
	s.here = append(s.here, s.word())
}

// skipHere passes over the here-documents that begin here.
func (s *shell) skipHere() {
	for _, end := range s.here {
		for s.pos < len(s.src) {
			next := lineEnd(s.src, s.pos)
			line := s.src[s.pos:next]
			s.pos = min(len(s.src), next+1)
			if strings.TrimLeft(line, "\t") == end {
				break
			}
		}
	}
	s.here = slices.Delete(s.here, 0, len(s.here))
}

func lineEnd(s string, from int) int {
	if n := strings.IndexByte(s[from:], '\n'); n >= 0 {
		return from + n
	}
	return len(s)
}
