package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lua-nginx-module looks for tokens in what lies in nginx's buffer of 4096 bytes. Each text here lies
// across its end; what nginx makes of it, we make of it.
func TestLuaAcrossTheEndOfNginxsBuffer(t *testing.T) {
	j := newLuaJudge(t)
	code := func(n int) string { return strings.Repeat("x = 1\n", n/6) } // no token in it
	words := func(n int) string { return strings.Repeat("w ", n/2) }
	for _, tt := range []struct {
		name, lua string
		taken     bool
	}{
		{"long code without a token", code(6000) + "y = {}", false},
		{"a buffer full without a token", code(9000), false},
		{"code with a token now and then", strings.Repeat(code(1500)+"{}", 8), true},
		{"a string of more than half a buffer", `s = "` + words(3000) + `{"`, true},
		{"a string cut in two, and its brace counted", code(3000) + `s = "` + words(600) + "{" + words(600) + "\"\n", false},
		{"a string cut in two, its braces balanced", code(3000) + `s = "` + words(600) + "{}" + words(600) + "\"\n", true},
		{"a comment cut in two, and its brace counted", code(3900) + "-- " + words(400) + "{\n", false},
		{"a comment of more than a buffer", "-- " + words(6000) + "\n", true},
		{"a long string that ends in the buffer", "s = [==[" + words(3000) + "{]==]", true},
		{"a long string that does not", "s = [==[" + words(5000) + "]==]", false},
		{"long strings that fill buffers", strings.Repeat("s = [["+words(1900)+"}]]\n", 6), true},
		{"two dashes cut apart", strings.Repeat("{}", 1000) + strings.Repeat("-", 200) + "\n" + strings.Repeat("{}", 1000), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Shifted, so that the end falls on another byte.
			for shift := range 6 {
				j.body(t, strings.Repeat(" ", shift)+"server { location / { content_by_lua_block {"+tt.lua+"} } }\n# end\n")
				v := j.test(t)
				c, err := Load(Options{File: j.file()})
				if err := j.agree(v, err); err != nil {
					t.Fatalf("shifted by %d: %v", shift, err)
				}
				if shift == 0 && v.ok != tt.taken {
					t.Fatalf("nginx takes it: %v, not %v\n%s", v.ok, tt.taken, v.all)
				}
				if !v.ok {
					continue
				}
				if err := c.CompareDump(j.dump(t)); err != nil {
					t.Fatalf("shifted by %d: %v", shift, err)
				}
			}
		})
	}
}

// The dump lacks pieces of a file with Lua blocks, but what is new in one is seen.
func TestADumpWithLuaBlocks(t *testing.T) {
	j := newLuaJudge(t)
	lua := "server { location / { content_by_lua_block { " + strings.Repeat("x = {}\n", 200) + strings.Repeat("x = 1\n", 500) + "x = {} } } }\n"
	j.body(t, lua+"include other;\n")
	other := filepath.Join(j.dir, "other")
	if err := os.WriteFile(other, []byte("server { }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := j.dump(t)
	if strings.Contains(string(out), lua) {
		t.Error("the dump is whole: this test shows nothing")
	}
	c, err := Load(Options{File: j.file()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CompareDump(out); err != nil {
		t.Error(err)
	}
	for _, change := range []struct{ old, with, want string }{
		{"x = {}\n", "y = {}\n", "another content of " + filepath.Join(j.dir, "body")},
		{"server { }", "server {}", "another content of " + other},
		{"include other;", "", "another content of " + filepath.Join(j.dir, "body")}, // the header follows elsewhere
	} {
		changed := strings.Replace(string(out), change.old, change.with, 1)
		if change.with == "" {
			changed = string(out[:strings.Index(string(out), dumpHeader+other)])
		}
		if err := c.CompareDump([]byte(changed)); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%q for %q: %v, want %s", change.with, change.old, err, change.want)
		}
	}
}
