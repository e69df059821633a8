package conf

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeTree writes files, given by path below a new directory, and returns that directory.
func writeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load loads /etc/nginx/nginx.conf of a root made of files.
func load(t *testing.T, files map[string]string) *Config {
	t.Helper()
	c, err := Load(Options{Root: writeTree(t, files), File: "/etc/nginx/nginx.conf"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// outline writes a tree on one line.
func outline(ds []*Directive) string {
	var parts []string
	for _, d := range ds {
		s := strings.Join(append([]string{d.Name}, d.Args...), " ")
		if d.IsBlock {
			s += " {" + outline(d.Block) + d.Lua + "}"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

func paths(c *Config) []string {
	var list []string
	for _, f := range c.Files {
		list = append(list, f.Path)
	}
	return list
}

func TestIncludedDirectivesFollowTheirIncludeInTheSameBlock(t *testing.T) {
	c := load(t, map[string]string{
		"etc/nginx/nginx.conf":         "a; http { include sites/*.conf; include mime; z; }",
		"etc/nginx/sites/2.conf":       "server { include ./snippets/s; }",
		"etc/nginx/sites/1.conf":       "one;",
		"etc/nginx/sites/.hidden.conf": "no;",
		"etc/nginx/sites/3.txt":        "no;",
		"etc/nginx/snippets/s":         "listen 1;",
		"etc/nginx/mime":               "types { include /etc/nginx/data; }",
		"etc/nginx/data":               "text/html html htm;",
	})
	want := "a; http {include sites/*.conf; one; server {include ./snippets/s; listen 1}; include mime; types {include /etc/nginx/data; text/html html htm}; z}"
	if diff := cmp.Diff(want, outline(c.Directives)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	wantFiles := []string{"/etc/nginx/nginx.conf", "/etc/nginx/sites/1.conf", "/etc/nginx/sites/2.conf", "/etc/nginx/./snippets/s", "/etc/nginx/mime", "/etc/nginx/data"}
	if diff := cmp.Diff(wantFiles, paths(c)); diff != "" {
		t.Errorf("files (-want +got)\n%s", diff)
	}
	listen := c.Find("listen")[0]
	if listen.Parent.Name != "server" || listen.Context() != "http" || listen.Enclosing("http") == nil {
		t.Errorf("listen is in %q of %q", listen.Parent.Name, listen.Context())
	}
	if diff := cmp.Diff([]Pos{{"/etc/nginx/sites/2.conf", 1}, {"/etc/nginx/nginx.conf", 1}}, listen.IncludedFrom()); diff != "" {
		t.Errorf("included from (-want +got)\n%s", diff)
	}
	if types := c.Find("types")[0]; !types.Block[1].Data {
		t.Error("a line of a file included in types is data")
	}
}

func TestAFileIncludedTwiceIsListedOnce(t *testing.T) {
	c := load(t, map[string]string{"etc/nginx/nginx.conf": "include s; include s;", "etc/nginx/s": "a;"})
	if got := outline(c.Directives); got != "include s; a; include s; a" {
		t.Errorf("tree %q", got)
	}
	want := []File{
		{"/etc/nginx/nginx.conf", sha256Hex("include s; include s;"), 21},
		{"/etc/nginx/s", sha256Hex("a;"), 2},
	}
	if diff := cmp.Diff(want, c.Files); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func sha256Hex(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

func TestGlobalDirectivesComeFirst(t *testing.T) {
	dir := writeTree(t, map[string]string{"n.conf": "pid b;", "inc": "events { }"})
	c, err := Load(Options{File: dir + "/n.conf", Global: "daemon off; include inc;"})
	if err != nil {
		t.Fatal(err)
	}
	if got := outline(c.Directives); got != "daemon off; include inc; events {}; pid b" {
		t.Errorf("tree %q", got)
	}
	if pos := c.Directives[0].Pos().String(); pos != "command line" {
		t.Errorf("position %q", pos)
	}
	c, err = Load(Options{File: dir + "/n.conf", Global: "daemon off;\n\nenv A;"})
	if err != nil {
		t.Fatal(err)
	}
	if env := c.Find("env")[0]; env.Line != 0 || env.Pos().String() != "command line" {
		t.Errorf("position %s, line %d; the text of -g has no lines", env.Pos(), env.Line)
	}
	for global, want := range map[string]string{
		"daemon off":   `unexpected end of parameter, expecting ";" in command line`,
		"a 'b":         `unexpected end of parameter, expecting ";" in command line`,
		"http { }":     `block directives are not supported in -g option in command line`,
		"}":            `unexpected "}" in command line`,
		"include gone": `unexpected end of parameter, expecting ";" in command line`,
	} {
		if _, err := Load(Options{File: dir + "/n.conf", Global: global}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("-g %q: %v, want %s", global, err, want)
		}
	}
}

func TestErrorsTellTheIncludeChain(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"syntax", map[string]string{"etc/nginx/nginx.conf": "\ninclude a;", "etc/nginx/a": "http {\ninclude b;\n}", "etc/nginx/b": "\n\n}"},
			`unexpected "}" in /etc/nginx/b:3, included from /etc/nginx/a:2, included from /etc/nginx/nginx.conf:2: no block is open in this file: remove it, or look for a block closed too early above`},
		{"a block must end in its file", map[string]string{"etc/nginx/nginx.conf": "http {\ninclude b; }", "etc/nginx/b": "server {"},
			`unexpected end of file, expecting "}" in /etc/nginx/b:1, included from /etc/nginx/nginx.conf:2: the block "server" opened on line 1 is not closed`},
		{"missing", map[string]string{"etc/nginx/nginx.conf": "\ninclude gone;"},
			`open() "/etc/nginx/gone" failed (2: No such file or directory) in /etc/nginx/nginx.conf:2: a relative include is looked for in the conf file's directory`},
		{"missing, the directive on several lines", map[string]string{"etc/nginx/nginx.conf": "\nhttp {\ninclude\n# c\n/gone\n;\n}"},
			`open() "/gone" failed (2: No such file or directory) in /etc/nginx/nginx.conf:6`},
		{"after CRLF and Lua", map[string]string{"etc/nginx/nginx.conf": "http {\r\ninclude a;\r\n}\r\n", "etc/nginx/a": "server { access_by_lua_block {\r\n --}\r\n }\r\n}\r\n}\r\n"},
			`unexpected "}" in /etc/nginx/a:5, included from /etc/nginx/nginx.conf:2: no block is open in this file: remove it, or look for a block closed too early above`},
		{"byte order mark", map[string]string{"etc/nginx/nginx.conf": "user a;\ninclude a;", "etc/nginx/a": "\uFEFFuser b;"},
			"unknown directive \"\uFEFFuser\" in /etc/nginx/a:1, included from /etc/nginx/nginx.conf:2: the file begins with a UTF-8 byte order mark, which nginx takes as part of the first word: save it without"},
		{"a name ends at a zero byte", map[string]string{"etc/nginx/nginx.conf": "include gone\x00/*;"},
			`open() "/etc/nginx/gone" failed (2: No such file or directory) in /etc/nginx/nginx.conf:1: a relative include is looked for in the conf file's directory`},
		{"directory", map[string]string{"etc/nginx/nginx.conf": "include d;", "etc/nginx/d/x": ""},
			`pread() "/etc/nginx/d" failed (21: Is a directory) in /etc/nginx/nginx.conf:1: to include the files of a directory, write a pattern: /etc/nginx/d/*.conf`},
		{"cycle", map[string]string{"etc/nginx/nginx.conf": "include a;", "etc/nginx/a": "\ninclude [a]*;"},
			`include of "/etc/nginx/a" never ends in /etc/nginx/a:2, included from /etc/nginx/nginx.conf:1: the file includes itself through this chain; nginx would open it until it has no descriptors left: remove this include`},
		{"no main file", map[string]string{},
			`open() "/etc/nginx/nginx.conf" failed (2: No such file or directory)`},
		{"geo takes a pattern for a name", map[string]string{"etc/nginx/nginx.conf": "geo $a { include *; }"},
			`open() "/etc/nginx/*" failed (2: No such file or directory) in /etc/nginx/nginx.conf:1: a relative include is looked for in the conf file's directory`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(Options{Root: writeTree(t, c.files), File: "/etc/nginx/nginx.conf"})
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if c.name == "missing" && !errors.Is(err, syscall.ENOENT) {
				t.Error("the cause is lost")
			}
		})
	}
	if _, err := Load(Options{File: "nginx.conf"}); err == nil || !strings.Contains(err.Error(), "not absolute") {
		t.Errorf("relative conf path: %v", err)
	}
}

func TestAWildcardThatMatchesNothingIsNoError(t *testing.T) {
	c := load(t, map[string]string{"etc/nginx/nginx.conf": "include gone/*.conf; include /nowhere/[ab; a;"})
	if got := len(c.Directives); got != 3 {
		t.Errorf("%d directives", got)
	}
}

func TestIncludesNestedTooDeepAreRefused(t *testing.T) {
	files := map[string]string{"etc/nginx/nginx.conf": "include 1;", fmt.Sprintf("etc/nginx/%d", maxDepth): ""}
	for i := 1; i < maxDepth; i++ {
		files[fmt.Sprintf("etc/nginx/%d", i)] = fmt.Sprintf("include %d;", i+1)
	}
	_, err := Load(Options{Root: writeTree(t, files), File: "/etc/nginx/nginx.conf"})
	if err == nil || !strings.Contains(err.Error(), "nested more than 1000 deep") {
		t.Errorf("%.200v", err)
	}
}

func TestLinksAreResolvedInsideTheRoot(t *testing.T) {
	root := writeTree(t, map[string]string{
		"etc/nginx/nginx.conf":           "include sites-enabled/*; include up; include dir/../x;",
		"etc/nginx/sites-available/site": "site;",
		"etc/secret":                     "inside;",
		"etc/x":                          "x;",
		"etc/other/deep/f":               "",
	})
	outside := filepath.Join(writeTree(t, map[string]string{"secret": "outside;"}), "secret")
	for link, target := range map[string]string{
		"sites-enabled/site": "/etc/nginx/sites-available/site", // absolute: from the root
		"up":                 "../../../../../../etc/secret",    // stops at the root
		"dir":                "../other",                        // dir/.. is /etc, as the kernel says
		"escape":             outside,
	} {
		link = filepath.Join(root, "etc/nginx", link)
		if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(Options{Root: root, File: "/etc/nginx/nginx.conf"})
	if err != nil {
		t.Fatal(err)
	}
	if got := outline(c.Directives); got != "include sites-enabled/*; site; include up; inside; include dir/../x; x" {
		t.Errorf("tree %q", got)
	}
	if _, err := Load(Options{Root: root, File: "/etc/nginx/escape"}); err == nil {
		t.Error("a link out of the root was followed")
	}
	if err := os.Symlink("loop", filepath.Join(root, "loop")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Options{Root: root, File: "/loop"}); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a link to itself: %v", err)
	}
}

func TestAFIFODoesNotBlock(t *testing.T) {
	root := writeTree(t, map[string]string{"n.conf": "include f;"})
	if err := syscall.Mkfifo(filepath.Join(root, "f"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Options{Root: root, File: "/n.conf"}); err != nil {
		t.Error(err)
	}
}
