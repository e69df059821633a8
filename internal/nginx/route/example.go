package route

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// Example is a text that the expression matches and that accept takes; ok is false if none was
// found. begin is put in front of what an expression leaves open there ("/" for a URI).
func (p *Pattern) Example(begin string, accept func(string) bool) (text string, ok bool) {
	for _, source := range []string{runes(p.source), lookaround.ReplaceAllString(runes(p.source), "")} {
		tree, err := syntax.Parse(source, syntax.Perl)
		if err != nil {
			continue
		}
		for choice := range 24 {
			g := maker{choice: choice}
			g.write(tree)
			text := g.out.String()
			with := begin + strings.TrimPrefix(text, begin)
			if strings.HasSuffix(begin, "/") {
				with = begin + strings.TrimPrefix(strings.TrimPrefix(text, begin), "/")
			}
			for _, text := range []string{with, text} {
				if matched, err := p.Match(text); err == nil && matched && accept(text) {
					return text, true
				}
			}
		}
	}
	return "", false
}

// lookaround is what Go cannot parse and what is left out first: the result is tried anyway.
var lookaround = regexp.MustCompile(`\(\?<?[!=][^()]*\)`)

// maker writes one of the texts that an expression matches. Its choices are counted out of one
// number: each number gives another text.
type maker struct {
	out    strings.Builder
	choice int
}

func (g *maker) pick(n int) int {
	c := g.choice % n
	g.choice /= n
	return c
}

func (g *maker) write(re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			g.out.WriteByte(byte(r))
		}
	case syntax.OpCharClass:
		g.out.WriteByte(fromClass(re.Rune, g.pick(2)))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		g.out.WriteByte('x')
	case syntax.OpCapture:
		g.write(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			g.write(sub)
		}
	case syntax.OpAlternate:
		g.write(re.Sub[g.pick(len(re.Sub))])
	case syntax.OpPlus:
		g.times(re.Sub[0], 1+g.pick(2))
	case syntax.OpStar, syntax.OpQuest:
		g.times(re.Sub[0], 1-g.pick(2))
	case syntax.OpRepeat:
		n := re.Min
		if n == 0 && re.Max != 0 {
			n = 1 - g.pick(2)
		}
		g.times(re.Sub[0], n)
	}
}

func (g *maker) times(re *syntax.Regexp, n int) {
	for range n {
		g.write(re)
	}
}

// fromClass is a character of the class, a letter or a digit where it has one.
func fromClass(ranges []rune, preference int) byte {
	likes := []string{"a1xz0-_.%", "1aXZ9_-"}[preference]
	for _, like := range likes {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= like && like <= ranges[i+1] {
				return byte(like)
			}
		}
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		if r := max(ranges[i], '!'); r <= min(ranges[i+1], 0xff) {
			return byte(r)
		}
	}
	return 'x'
}
