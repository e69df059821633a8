package route

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2"
)

// matchTimeout bounds one match of an expression that needs backtracking.
const matchTimeout = 200 * time.Millisecond

// Pattern is a regular expression of the configuration. nginx hands it to PCRE, byte by byte; here
// every byte is a rune of its own, so that "." is one byte, too.
type Pattern struct {
	source string
	linear *regexp.Regexp // nil if it takes more than Go's own: lookahead, backreferences, …
	// backtracking is a matcher that knows most of PCRE.
	backtracking func() (*regexp2.Regexp, error)
}

// Compile never fails: an expression that cannot be read here is told by Match.
func Compile(source string, caseless bool) *Pattern {
	text := runes(source)
	p := &Pattern{source: source}
	prefix, options := "", regexp2.RegexOptions(regexp2.RE2)
	if caseless {
		prefix, options = "(?i)", options|regexp2.IgnoreCase
	}
	if re, err := regexp.Compile(prefix + text); err == nil {
		p.linear = re
	}
	p.backtracking = sync.OnceValues(func() (*regexp2.Regexp, error) {
		re, err := regexp2.Compile(ends(text), options)
		if err != nil {
			return nil, err
		}
		re.MatchTimeout = matchTimeout
		return re, nil
	})
	return p
}

// Match tells whether the expression matches somewhere in s.
func (p *Pattern) Match(s string) (bool, error) {
	s = runes(s)
	// PCRE's $ matches before a last line break as well, which Go's does not.
	if p.linear != nil && !strings.Contains(s, "\n") {
		return p.linear.MatchString(s), nil
	}
	re, err := p.backtracking()
	if err != nil {
		return false, fmt.Errorf("the regular expression %q is only understood by PCRE: %w", p.source, err)
	}
	matched, err := re.MatchString(s)
	if err != nil {
		return false, fmt.Errorf("the regular expression %q on %q: %w", p.source, s, err)
	}
	return matched, nil
}

// runes turns each byte into a rune.
func runes(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		return s
	}
	out := make([]rune, len(s))
	for i := range len(s) {
		out[i] = rune(s[i])
	}
	return string(out)
}

// ends writes each $ out as what it means to PCRE: the end, or a line break before it.
func ends(pattern string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			b.WriteByte(c)
			i++
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '$' && !class:
			b.WriteString(`(?=\n?\z)`)
			continue
		}
		b.WriteByte(pattern[i])
	}
	return b.String()
}
