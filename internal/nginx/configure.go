package nginx

import (
	"fmt"
	"strings"
)

// LexConfigure splits the "configure arguments:" line of -V into the arguments configure was given.
//
// nginx's auto/configure writes an argument as it came, and puts single quotes around the value of
// --name=value if the value has a space; it escapes nothing (auto/configure, NGX_CONFIGURE). So a
// quote closes only where an argument may end: before a space that starts another option, or at
// the end. That keeps a value with quotes of its own, --with-cc-opt='-DX='a b' -O2', in one piece.
func LexConfigure(line string) ([]string, error) {
	args := []string{}
	rest := strings.TrimSpace(line)
	for rest != "" {
		arg, tail, err := lexArgument(rest)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		rest = strings.TrimLeft(tail, " \t")
	}
	return args, nil
}

// lexArgument takes one argument off the front of s. Quotes count only where configure puts them or
// a person would, at the argument's start and right after its first "="; elsewhere they are literal.
func lexArgument(s string) (arg, rest string, err error) {
	head := 0
	if eq := strings.IndexByte(s, '='); eq >= 0 && !strings.ContainsAny(s[:eq], " \t\"'") {
		head = eq + 1
	}
	quote := byte(0)
	if head < len(s) && (s[head] == '\'' || s[head] == '"') {
		quote = s[head]
	}
	if quote == 0 {
		end := strings.IndexAny(s, " \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], nil
	}
	end := closingQuote(s, head+1, quote)
	if end < 0 {
		return "", "", fmt.Errorf("quote opened at %q is never closed", clip(s[head:]))
	}
	return s[:head] + s[head+1:end], s[end+1:], nil
}

// closingQuote finds the quote that ends the value which starts at from: the first one followed by
// the end or by " --"; failing that, the first one followed by white space.
func closingQuote(s string, from int, quote byte) int {
	first := -1
	for i := from; i < len(s); i++ {
		if s[i] != quote {
			continue
		}
		tail := strings.TrimLeft(s[i+1:], " \t")
		if tail != "" && len(tail) == len(s[i+1:]) {
			continue
		}
		if tail == "" || strings.HasPrefix(tail, "--") {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// QuoteConfigure writes arguments as -V prints them; LexConfigure reads them back.
func QuoteConfigure(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if ok && strings.ContainsAny(value, " \t") {
			arg = name + "='" + value + "'"
		}
		quoted[i] = arg
	}
	return strings.Join(quoted, " ")
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
