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
// nginx's own limit on the length of one such token is not applied: it depends on where the token
// falls in nginx's read buffer.
func (lx *lexer) luaBlock() (string, *lexError) {
	start, opened := lx.pos, lx.line
	lastOpened := opened // the line nginx names when the text does not end
	src := lx.src
	depth := 1
	for i := start; i < len(src); {
		switch ch := src[i]; ch {
		case '\n':
			lx.line++
			i++
		case '{':
			depth++
			lastOpened = lx.line
			i++
		case '}':
			depth--
			i++
			if depth == 0 {
				lx.pos = i
				return src[start : i-1], nil
			}
		case '"', '\'':
			i += luaString(src[i:])
		case '[', '-':
			dashes := 0
			if ch == '-' {
				if !strings.HasPrefix(src[i:], "--") {
					i++
					break
				}
				dashes = 2
			}
			level, ok := longBracket(src[i+dashes:])
			switch {
			case ok:
				end, err := lx.longBracketEnd(i+dashes+level+2, level)
				if err != nil {
					return "", err
				}
				i = end
			case dashes != 0:
				i = lineEnd(src, i)
			default:
				i++
			}
		default:
			i++
		}
	}
	return "", &lexError{lastOpened, "unexpected end of file, expecting terminating characters for lua code block",
		fmt.Sprintf("the Lua block opened on line %d is not closed: its braces do not balance (%d open)", opened, depth)}
}

// luaString is the length of the one-line string s begins with; 1, the quote alone, if it is not
// closed on its line.
func luaString(s string) int {
	for i := 1; i < len(s) && s[i] != '\n'; i++ {
		switch s[i] {
		case s[0]:
			return i + 1
		case '\\':
			if i+1 < len(s) && s[i+1] == '\n' {
				return 1
			}
			i++
		}
	}
	return 1
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

// longBracketEnd finds the end of the long bracket whose content begins at from, and counts lines.
func (lx *lexer) longBracketEnd(from, level int) (int, *lexError) {
	closing := "]" + strings.Repeat("=", level) + "]"
	n := strings.Index(lx.src[from:], closing)
	if n < 0 {
		return 0, &lexError{lx.line,
			fmt.Sprintf("Lua code block missing the closing long bracket %q, the inlined Lua code may be too long", closing),
			"the long string or comment that begins on this line is not closed"}
	}
	end := from + n + len(closing)
	lx.line += strings.Count(lx.src[from:end], "\n")
	return end, nil
}

func lineEnd(s string, from int) int {
	if n := strings.IndexByte(s[from:], '\n'); n >= 0 {
		return from + n
	}
	return len(s)
}
