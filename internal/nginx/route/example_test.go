package route

import (
	"strings"
	"testing"
)

func TestExamplesMatchTheirExpression(t *testing.T) {
	for _, source := range []string{`\.php$`, `^/(css|js)/(.+)\.(css|js)$`, `^/a{2,3}/\d+/?$`, `/(?!static)[a-z]+$`, `(?i)^/API/v[0-9]+`,
		`\.(?:jpe?g|png|gif)$`, `^/[^/]+/x$`, `^/(?<id>[0-9a-f]{8})$`, `.`, `^`, `^/é`, `/\.ht`, `^(?=/b)/b`} {
		p := Compile(source, false)
		text, ok := p.Example("/", func(s string) bool { return strings.HasPrefix(s, "/") })
		if !ok {
			t.Errorf("%s: none", source)
			continue
		}
		if matched, err := p.Match(text); err != nil || !matched {
			t.Errorf("%s: %q: %v %v", source, text, matched, err)
		}
	}
	if text, ok := Compile(`^/a$`, false).Example("/", func(s string) bool { return s != "/a" }); ok {
		t.Errorf("found %q where there is none", text)
	}
}
