package parity

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	shownLines = 6   // of each side
	shownWidth = 200 // bytes of a line
)

// textDiff shows where two texts begin to differ, and up to where, in a few lines.
func textDiff(old, new string) []string {
	if old == new {
		return nil
	}
	if !utf8.ValidString(old) || !utf8.ValidString(new) {
		return []string{fmt.Sprintf("- %d bytes that are no text", len(old)), fmt.Sprintf("+ %d bytes that are no text", len(new))}
	}
	o, n := lines(old), lines(new)
	for len(o) > 0 && len(n) > 0 && o[0] == n[0] {
		o, n = o[1:], n[1:]
	}
	for len(o) > 0 && len(n) > 0 && o[len(o)-1] == n[len(n)-1] {
		o, n = o[:len(o)-1], n[:len(n)-1]
	}
	if len(o) == len(n) { // most often single lines changed
		var po, pn []string
		for i := range o {
			if o[i] != n[i] {
				po, pn = append(po, o[i]), append(pn, n[i])
			}
		}
		o, n = po, pn
	}
	return append(side("- ", o), side("+ ", n)...)
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

func side(sign string, all []string) (out []string) {
	for i, line := range all {
		if i == shownLines {
			return append(out, fmt.Sprintf("%s… %d more lines", sign, len(all)-i))
		}
		out = append(out, sign+line)
	}
	return out
}

// clip bounds a line that is shown, and makes control characters visible.
func clip(line string) string {
	line = strings.TrimSuffix(line, "\r") // error pages end their lines so
	if len(line) > shownWidth {
		cut := shownWidth
		for cut > 0 && !utf8.RuneStart(line[cut]) {
			cut--
		}
		line = line[:cut] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return '·'
		}
		return r
	}, line)
}
