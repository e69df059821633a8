package nginx

import (
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func FuzzLexConfigure(f *testing.F) {
	f.Add("prefix", "/usr/share/nginx", "with-threads")
	f.Add("with-cc-opt", "-g -O2 -DNAME='a b'", "add-module")
	f.Add("with-ld-opt", `-Wl,-z,relro -DX="y" 'z`, "with-stream")
	f.Fuzz(func(t *testing.T, name, value, next string) {
		for _, word := range []string{name, next} {
			if word == "" || strings.ContainsFunc(word, func(r rune) bool { return r != '-' && r != '_' && (r < 'a' || r > 'z') }) {
				t.Skip()
			}
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r != ' ' && (unicode.IsSpace(r) || unicode.IsControl(r)) }) {
			t.Skip("a line of -V has no such characters")
		}
		// What configure prints for these two, it would print for another value just as well.
		if strings.Contains(strings.ReplaceAll(value, " ", ""), "'--") || !strings.Contains(value, " ") && strings.ContainsAny(value[:min(1, len(value))], `'"`) {
			t.Skip("ambiguous: configure escapes nothing")
		}
		args := []string{"--" + name + "=" + value, "--" + next}
		line := QuoteConfigure(args)
		got, err := LexConfigure(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(args, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", line, diff)
		}
	})
}
