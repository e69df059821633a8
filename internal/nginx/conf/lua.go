package conf

import (
	"fmt"
	"strings"
)

// isLuaBlock tells the blocks whose content lua-nginx-module (and stream-lua-nginx-module) reads
// with a lexer of its own, so that a brace inside a Lua string does not count.
func isLuaBlock(name string) bool { return strings.HasSuffix(name, "_by_lua_block") }

// luaBlock reads the Lua text after the opening brace up to the brace that closes it.
//
// The rules are those of lua-nginx-module (util/gen-lexer-c): the leftmost match of a brace, an
// opening long bracket, a comment or a complete one-line string decides; anything else is passed
// over byte by byte. So a quote that is not closed on its line is no string, and the braces after it
// do count. A long string or long comment ends at the first closing bracket of its level.
//
// A match is looked for in what lies in nginx's buffer, and what the buffer cuts in two is not
// recognized: a long string must end in it, the rest of a comment counts as code. That happens to
// tokens of more than half a buffer, and to those after as much text without any token.
//
// What part of a buffer it is differs between the module's versions and stream-lua-nginx-module. So a
// block that is refused for its place in the buffer is taken if it ends where Lua has it end: better
// that `nginx -t` find it than that a configuration in use be refused.
func (lx *lexer) luaBlock() (string, *lexError) {
	anywhere := *lx
	text, err := lx.luaUntilClosed()
	if err == nil {
		return text, nil
	}
	anywhere.filled = len(anywhere.src)
	if text, failed := anywhere.luaUntilClosed(); failed == nil {
		*lx = anywhere
		return text, nil
	}
	return "", err
}

func (lx *lexer) luaUntilClosed() (string, *lexError) {
	begin, line := lx.pos, lx.line
	opened := lx.place() // of the block, then of the brace opened last
	depth := 1
	for depth > 0 {
		token, err := lx.luaToken(opened)
		switch {
		case err != nil && err.msg == luaUnfinished:
			err.hint = fmt.Sprintf("the Lua block opened on line %d is not closed: its braces do not balance (%d open)", line, depth)
			return "", err
		case err != nil:
			return "", err
		case token == '{':
			depth++
			opened = lx.place()
		case token == '}':
			depth--
		}
	}
	return lx.src[begin : lx.pos-1], nil
}

const luaUnfinished = "unexpected end of file, expecting terminating characters for lua code block"

// place is a line, and how many before it nginx does not count.
type place struct{ line, uncounted int }

func (lx *lexer) place() place { return place{lx.line, lx.uncounted} }

// failAt is an error at a place passed already.
func (lx *lexer) failAt(at place, msg, hint string) *lexError {
	lx.uncounted = at.uncounted
	return &lexError{at.line, msg, hint}
}

// luaToken reads up to the end of the next token, and tells its first byte. opened is the place that
// nginx names if there is none.
func (lx *lexer) luaToken(opened place) (byte, *lexError) {
	begin := lx.place()
	tooLong := func() *lexError {
		return lx.failAt(begin, "too long lua code block, probably missing terminating characters",
			fmt.Sprintf("lua-nginx-module finds no token in %d bytes", confBuffer))
	}
	for start := lx.pos; ; { // start is what nginx keeps in its buffer
		if left := lx.filled - lx.pos; left <= 0 || left < confBuffer/2 && lx.filled < len(lx.src) {
			switch {
			case lx.filled == len(lx.src):
				return 0, lx.failAt(opened, luaUnfinished, "")
			case lx.filled-start == confBuffer:
				return 0, tooLong()
			}
			lx.filled = min(start+confBuffer, len(lx.src))
		}
		text := lx.src[lx.pos:lx.filled]
		at, length, bracket := luaMatch(text)
		if length == 0 {
			switch {
			case lx.filled == len(lx.src):
				return 0, lx.failAt(opened, luaUnfinished, "")
			case len(text) == confBuffer:
				return 0, tooLong()
			}
			// nginx does not count these lines.
			lines := strings.Count(text, "\n")
			lx.line += lines
			lx.uncounted += lines
			start, lx.pos = lx.pos, lx.filled
			lx.filled = min(start+confBuffer, len(lx.src))
			continue
		}
		lx.line += strings.Count(text[:at], "\n")
		if bracket >= 0 {
			closing := "]" + strings.Repeat("=", bracket) + "]"
			n := strings.Index(text[at+length:], closing)
			if n < 0 {
				return 0, &lexError{lx.line,
					fmt.Sprintf("Lua code block missing the closing long bracket %q, the inlined Lua code may be too long", closing),
					fmt.Sprintf("the long string or comment that begins on this line is not closed, or too long: lua-nginx-module reads %d bytes at a time", confBuffer)}
			}
			length += n + len(closing)
		}
		lx.line += strings.Count(text[at:at+length], "\n")
		lx.pos += at + length
		return text[at], nil
	}
}

// luaMatch finds the first token of a text; length is 0 if there is none. bracket is the level of an
// opening long bracket, or -1.
func luaMatch(text string) (at, length, bracket int) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '}':
			return i, 1, -1
		case '"', '\'':
			if n := luaString(text[i:]); n > 0 {
				return i, n, -1
			}
		case '[':
			if level, ok := longBracket(text[i:]); ok {
				return i, level + 2, level
			}
		case ']': // a closing one counts for nothing, but is a token
			n := 1
			for i+n < len(text) && text[i+n] == '=' {
				n++
			}
			if i+n < len(text) && text[i+n] == ']' {
				return i, n + 1, -1
			}
		case '-':
			if !strings.HasPrefix(text[i:], "--") {
				continue
			}
			if level, ok := longBracket(text[i+2:]); ok {
				return i, level + 4, level
			}
			return i, lineEnd(text, i) - i, -1
		}
	}
	return 0, 0, -1
}

// luaString is the length of the one-line string s begins with; 0 if it is not closed on its line.
func luaString(s string) int {
	for i := 1; i < len(s) && s[i] != '\n'; i++ {
		switch s[i] {
		case s[0]:
			return i + 1
		case '\\':
			if i+1 < len(s) && s[i+1] == '\n' {
				return 0
			}
			i++
		}
	}
	return 0
}

// longBracket tells whether s begins with an opening long bracket, [[ or [=[ or …, and its level.
func longBracket(s string) (level int, ok bool) {
	if s == "" || s[0] != '[' {
		return 0, false
	}
	for level+1 < len(s) && s[level+1] == '=' {
		level++
	}
	return level, level+1 < len(s) && s[level+1] == '['
}

func lineEnd(s string, from int) int {
	if n := strings.IndexByte(s[from:], '\n'); n >= 0 {
		return from + n
	}
	return len(s)
}
