package conf

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// confBuffer is NGX_CONF_BUFFER: nginx reads through a window of this size, and neither a parameter
// nor a comment may be longer.
const confBuffer = 4096

// ending is what ended a run of words.
type ending int

const (
	endOfFile  ending = iota // nothing but space and comments was left
	semicolon                // the words were terminated by ";"
	openBrace                // the words were terminated by "{"
	closeBrace               // "}" stood alone
)

// lexer splits a file into runs of words, each ended by ";", "{" or "}".
type lexer struct {
	src  string
	pos  int
	line int
	// param marks the text of -g, which nginx holds in memory: no length limit, other messages.
	param bool

	filled    int // up to where nginx has read the file into its buffer
	uncounted int // line feeds so far that nginx does not count

	// Of the last run; the slice is used again by the next.
	words  []string
	first  int    // line on which the first word begins
	quoted uint64 // bit i: words[i] was quoted (i < 64)
}

// lexError is an error at a line of the lexer's file; the parser adds file and include chain.
type lexError struct {
	line int
	msg  string
	hint string
}

func (e *lexError) Error() string { return e.msg }

// class tells what a byte may mean inside a bare word.
const (
	plain = iota
	space
	special // ; { \ $
)

var class = [256]uint8{
	' ': space, '\t': space, '\r': space, '\n': space,
	';': special, '{': special, '\\': special, '$': special,
}

// look tells that nginx, having begun something at start, which it keeps, reads the byte next.
func (lx *lexer) look(start, next int) {
	if next >= lx.filled {
		lx.filled = min(start+confBuffer, len(lx.src))
	}
}

// next reads one run of words.
func (lx *lexer) next() (ending, *lexError) {
	lx.words = lx.words[:0]
	lx.quoted = 0
	lx.look(lx.pos, lx.pos)
	for lx.pos < len(lx.src) {
		ch := lx.src[lx.pos]
		switch ch {
		case '\n':
			lx.line++
			lx.pos++
			lx.look(lx.pos-1, lx.pos)
		case ' ', '\t', '\r':
			lx.pos++
			lx.look(lx.pos-1, lx.pos)
		case '#':
			if err := lx.comment(); err != nil {
				return 0, err
			}
		case ';', '{':
			if len(lx.words) == 0 {
				return 0, lx.unexpected("a directive's name must come before it")
			}
			lx.pos++
			return endingOf(ch), nil
		case '}':
			if len(lx.words) != 0 {
				return 0, lx.unexpected(fmt.Sprintf("directive %q, begun on line %d, has no %q before it", lx.words[0], lx.first, ";"))
			}
			lx.pos++
			return closeBrace, nil
		case '"', '\'':
			if end, err := lx.quotedWord(ch); err != nil || end != endOfFile {
				return end, err
			}
		default:
			if end, err := lx.bareWord(); err != nil || end != endOfFile {
				return end, err
			}
		}
	}
	if len(lx.words) != 0 {
		return 0, lx.unfinished(fmt.Sprintf("directive %q, begun on line %d, has no %q", lx.words[0], lx.first, ";"))
	}
	return endOfFile, nil
}

func endingOf(ch byte) ending {
	if ch == '{' {
		return openBrace
	}
	return semicolon
}

func (lx *lexer) comment() *lexError {
	start := lx.pos
	n := strings.IndexByte(lx.src[start:], '\n')
	if n < 0 {
		n = len(lx.src) - start
	}
	lx.pos += n
	return lx.checkWindow(start, lx.pos, lx.line, 0)
}

// bareWord reads a word without quotes. It returns endOfFile if the run goes on.
func (lx *lexer) bareWord() (ending, *lexError) {
	start, line := lx.pos, lx.line
	src := lx.src
	escaped := false
	for i := start; i < len(src); i++ {
		ch := src[i]
		if class[ch] == plain {
			continue
		}
		switch {
		case ch == '\\':
			// The next byte is part of the word whatever it is, a line feed or ";" too.
			escaped = true
			i++
			if i < len(src) && src[i] == '\n' {
				lx.line++
			}
		case ch == '$':
			// "${" opens a variable's name, not a block; nginx takes any number of "{".
			for i+1 < len(src) && src[i+1] == '{' {
				i++
			}
		default:
			lx.add(src[start:i], escaped, false, line)
			lx.pos = i + 1
			if ch == '\n' {
				lx.line++
			}
			if class[ch] == space {
				return endOfFile, lx.checkWindow(start, i+1, line, 0)
			}
			return endingOf(ch), lx.checkWindow(start, i, line, 0)
		}
	}
	if err := lx.checkWindow(start, len(src), line, 0); err != nil {
		return 0, err
	}
	return 0, lx.unfinished(fmt.Sprintf("%q, begun on line %d, is the last word; a %q is missing", clip(src[start:]), line, ";"))
}

// quotedWord reads a word in quotes and what must follow it. It returns endOfFile if the run goes on.
func (lx *lexer) quotedWord(quote byte) (ending, *lexError) {
	src, line := lx.src, lx.line
	start := lx.pos + 1
	i, escaped := start, false
	for ; i < len(src) && src[i] != quote; i++ {
		if src[i] == '\\' {
			escaped = true
			i++
			if i == len(src) {
				break
			}
		}
		if src[i] == '\n' {
			lx.line++
		}
	}
	if i >= len(src) {
		if err := lx.checkWindow(start, len(src), line, quote); err != nil {
			return 0, err
		}
		return 0, lx.unfinished(fmt.Sprintf("the string that begins with %c on line %d is not closed", quote, line))
	}
	if err := lx.checkWindow(start, i, line, quote); err != nil {
		return 0, err
	}
	lx.add(src[start:i], escaped, true, line)

	i++
	if err := lx.checkWindow(start, i, line, 0); err != nil {
		return 0, err
	}
	if i == len(src) {
		lx.pos = i
		return 0, lx.unfinished(fmt.Sprintf("directive %q, begun on line %d, has no %q", lx.words[0], lx.first, ";"))
	}
	lx.pos = i + 1
	switch src[i] {
	case '\n':
		lx.line++
		fallthrough
	case ' ', '\t', '\r':
		return endOfFile, lx.checkWindow(start, i+1, line, 0)
	case ';', '{':
		return endingOf(src[i]), nil
	case ')':
		lx.pos = i // the ")" of if ($a = "b") begins a word of its own
		return endOfFile, nil
	default:
		lx.pos = i
		return 0, lx.unexpected(fmt.Sprintf("a closing quote must be followed by a space, \";\", \"{\" or \")\"; "+
			"the string began on line %d; a quote inside it is written \\%c", line, quote))
	}
}

func (lx *lexer) add(word string, escaped, quoted bool, line int) {
	if len(lx.words) == 0 {
		lx.first = line
	}
	if escaped {
		word = unescape(word)
	}
	if n := len(lx.words); quoted && n < 64 {
		lx.quoted |= 1 << n
	}
	lx.words = append(lx.words, word)
}

// unescape resolves \" \' \\ \t \r \n; any other backslash stays.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		ch := s[i]
		if ch == '\\' && i+1 < len(s) {
			switch s[i+1] {
			case '"', '\'', '\\':
				i++
				ch = s[i]
			case 't':
				i++
				ch = '\t'
			case 'r':
				i++
				ch = '\r'
			case 'n':
				i++
				ch = '\n'
			}
		}
		b = append(b, ch)
	}
	return string(b)
}

// checkWindow tells whether nginx, having begun something at start and about to look at byte next
// for its end, still has start in its window. quote is the open quote, or 0.
func (lx *lexer) checkWindow(start, next, line int, quote byte) *lexError {
	lx.look(start, next)
	if lx.param || next < start+confBuffer || len(lx.src) <= start+confBuffer {
		return nil
	}
	hint := fmt.Sprintf("nginx takes at most %d bytes for a parameter or a comment: look for a missing quote or %q, or split it", confBuffer-1, ";")
	if quote != 0 {
		return &lexError{line, fmt.Sprintf("too long parameter, probably missing terminating \"%c\" character", quote), hint}
	}
	return &lexError{line, fmt.Sprintf("too long parameter \"%s...\" started", lx.src[start:start+10]), hint}
}

// unexpected names the character at pos; nginx names its first byte only.
func (lx *lexer) unexpected(hint string) *lexError {
	_, size := utf8.DecodeRuneInString(lx.src[lx.pos:])
	return &lexError{lx.line, fmt.Sprintf("unexpected \"%s\"", lx.src[lx.pos:lx.pos+size]), hint}
}

func (lx *lexer) unfinished(hint string) *lexError {
	if lx.param {
		return &lexError{0, `unexpected end of parameter, expecting ";"`, hint}
	}
	return &lexError{lx.line, `unexpected end of file, expecting ";" or "}"`, hint}
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
