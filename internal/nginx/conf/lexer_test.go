package conf

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// words parses one directive and returns its name and arguments.
func words(t *testing.T, src string) []string {
	t.Helper()
	ds, err := Parse("t.conf", []byte(src))
	if err != nil {
		t.Fatalf("Parse(%q): %v", src, err)
	}
	if len(ds) != 1 {
		t.Fatalf("Parse(%q): %d directives, want 1", src, len(ds))
	}
	return append([]string{ds[0].Name}, ds[0].Args...)
}

func TestWords(t *testing.T) {
	for src, want := range map[string][]string{
		"a b c;":             {"a", "b", "c"},
		"a\tb\r\n c\r\n;":    {"a", "b", "c"},
		"a b;#c":             {"a", "b"},
		"a #x;{\n b;":        {"a", "b"},
		"a b#c;":             {"a", "b#c"},
		"a \"b c\" 'd e';":   {"a", "b c", "d e"},
		"a \"\" '';":         {"a", "", ""},
		`"a" b;`:             {"a", "b"},
		"a \"it's\" 'a\"b';": {"a", "it's", `a"b`},
		"a b\"c d\"e;":       {"a", `b"c`, `d"e`},
		"a b};":              {"a", "b}"},
		"a }b":               nil,
		// Backslash: only these six are resolved, everywhere; any byte after it is part of the word.
		`a "\"\'\\\t\r\n\q";`: {"a", "\"'\\\t\r\n\\q"},
		`a \"b\ c\;d\{e;`:     {"a", `"b\ c\;d\{e`},
		"a b\\\nc;":           {"a", "b\\\nc"},
		`a \.php$;`:           {"a", `\.php$`},
		`a '\\.php';`:         {"a", `\.php`},
		// "{" right after "$" is part of the word, wherever else it ends one.
		"a ${b}c;":  {"a", "${b}c"},
		"a x$${b};": {"a", "x$${b}"},
		"a ${{b;":   {"a", "${{b"},
		"a $;":      {"a", "$"},
		"a $ b;":    {"a", "$", "b"},
		// Bytes mean nothing to nginx beyond ASCII's specials.
		"a \x00\xff日本;": {"a", "\x00\xff日本"},
		"a \f\v;":       {"a", "\f\v"},
		// A ")" may follow a closing quote, and begins a word.
		`a "b") c;`: {"a", "b", ")", "c"},
	} {
		if want == nil {
			if _, err := Parse("t.conf", []byte(src)); err == nil {
				t.Errorf("Parse(%q) succeeded", src)
			}
			continue
		}
		if diff := cmp.Diff(want, words(t, src)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", src, diff)
		}
	}
}

func TestQuotedArgumentsAreMarked(t *testing.T) {
	ds, err := Parse("t.conf", []byte(`a b "c" d 'e';`))
	if err != nil {
		t.Fatal(err)
	}
	if want := uint64(0b1010); ds[0].Quoted != want {
		t.Errorf("Quoted = %b, want %b", ds[0].Quoted, want)
	}
}

func TestErrorsAreNginxsWords(t *testing.T) {
	long := strings.Repeat("x", confBuffer)
	for _, c := range []struct {
		src  string
		line int
		msg  string
		hint string // a part of it
	}{
		{";", 1, `unexpected ";"`, "name"},
		{"a;\n;", 2, `unexpected ";"`, ""},
		{"{}", 1, `unexpected "{"`, ""},
		{"}", 1, `unexpected "}"`, "no block is open"},
		{"a {\n b\n}", 3, `unexpected "}"`, `directive "b", begun on line 2`},
		{"a {}}", 1, `unexpected "}"`, ""},
		{"a \"b\"c;", 1, `unexpected "c"`, "closing quote"},
		{"a \"b\"\"c\";", 1, `unexpected """`, ""},
		{"a 'b'}", 1, `unexpected "}"`, ""},
		{"\na {\n\n b;\n", 5, `unexpected end of file, expecting "}"`, `"a" opened on line 2`},
		{"\na b\n", 3, `unexpected end of file, expecting ";" or "}"`, `"a", begun on line 2`},
		{"a b", 1, `unexpected end of file, expecting ";" or "}"`, ""},
		{"a \"b\"", 1, `unexpected end of file, expecting ";" or "}"`, ""},
		{"a\n \"b\n;\n", 4, `unexpected end of file, expecting ";" or "}"`, "begins with \" on line 2"},
		{"a 'b\\'", 1, `unexpected end of file, expecting ";" or "}"`, "begins with ' on line 1"},
		{"a 'b\\", 1, `unexpected end of file, expecting ";" or "}"`, "begins with ' on line 1"},
		{"a\n " + long + ";", 2, `too long parameter "xxxxxxxxxx..." started`, "4095 bytes"},
		{"a\n '" + long + "';", 2, `too long parameter, probably missing terminating "'" character`, ""},
		{"\n# " + long + "\n", 2, `too long parameter "# xxxxxxxx..." started`, "comment"},
		{"http { access_by_lua 'x' {} }", 1, `directive "access_by_lua" is not terminated by ";"`, ""},
		{"http;", 1, `directive "http" has no opening "{"`, ""},
		{"http { root html\nlocation / { } }", 2, `directive "root" is not terminated by ";"`, "line 1"},
		{"upstream u { server a { } }", 1, `directive "server" is not terminated by ";"`, ""},
		{"http { server a; }", 1, `directive "server" has no opening "{"`, ""},
		{"map $a $b { c { d e; } }", 1, `unexpected "{"`, "lines of data"},
		{"include;", 1, `invalid number of arguments in "include" directive`, ""},
		{"include a b;", 1, `invalid number of arguments in "include" directive`, ""},
		{"\uFEFFuser a;", 1, "unknown directive \"\uFEFFuser\"", "byte order mark"},
		{"x_by_lua_block;", 1, `directive "x_by_lua_block" has no opening "{"`, ""},
		{"x_by_lua_block {\n{\n", 2, "unexpected end of file, expecting terminating characters for lua code block", "opened on line 1 is not closed"},
		{"x_by_lua_block {\n--[==[ ]] }", 2, `Lua code block missing the closing long bracket "]==]", the inlined Lua code may be too long`, ""},
	} {
		_, err := Parse("t.conf", []byte(c.src))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Parse(%.40q) = %v, want an *Error", c.src, err)
			continue
		}
		if e.Line != c.line || e.Msg != c.msg || e.File != "t.conf" {
			t.Errorf("Parse(%.40q)\n got %s:%d %s\nwant t.conf:%d %s", c.src, e.File, e.Line, e.Msg, c.line, c.msg)
		}
		if !strings.Contains(e.Hint, c.hint) {
			t.Errorf("Parse(%.40q) hint %q, want one with %q", c.src, e.Hint, c.hint)
		}
	}
}

func TestServerInUpstreamIsSimpleAndInHTTPABlock(t *testing.T) {
	if _, err := Parse("t.conf", []byte("http { upstream u { server a; } server { location / { if ($a = \"b\") { return 1; } } } }")); err != nil {
		t.Error(err)
	}
	// Other modules' blocks have directives of their own.
	if _, err := Parse("t.conf", []byte("rtmp { server { application a { root { } } } }")); err != nil {
		t.Error(err)
	}
}

func TestLinesAreWhereDirectivesBegin(t *testing.T) {
	ds, err := Parse("t.conf", []byte("# c\na\n b\n\"c\nd\"; e {\n\n# x {\nf; content_by_lua_block {\n\n} g; }\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	walk(ds, func(d *Directive) bool { got[d.Name] = d.Line; return true })
	want := map[string]int{"a": 2, "e": 5, "f": 8, "content_by_lua_block": 8, "g": 10}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDataBlocksHoldLinesNotDirectives(t *testing.T) {
	ds, err := Parse("t.conf", []byte(`http { map $uri $x { default 0; listen "a b"; include m.map; ~^/(?<n>a) $n; }
		split_clients $a $v { 0.5% .one; include x y; } }`))
	if err != nil {
		t.Fatal(err)
	}
	lines := ds[0].Block[0].Block
	if !lines[1].Data || lines[1].Name != "listen" || lines[1].Arg(0) != "a b" {
		t.Errorf("data line %+v", lines[1])
	}
	if lines[2].Data {
		t.Error("include in map is a directive")
	}
	if !ds[0].Block[1].Block[1].Data {
		t.Error("include in split_clients is data")
	}
	if got := (&Config{Directives: ds}).Find("listen"); len(got) != 0 {
		t.Errorf("Find(listen) finds a map's key: %+v", got)
	}
}

func TestLuaBlocksEndWhereLuaNginxModuleEndsThem(t *testing.T) {
	for _, body := range []string{
		` a { b } c `,
		` x = "}" y = '}' `,
		` x = "\"}" `,
		` x = [[ } ]] y = [==[ ]] } ]=] ]==] `,
		" -- } \n",
		" --[[ } \n } ]] ",
		" --[=[ } ]] \n } ]=] ",
		" --[ } \n",
		` a = t[ x[1] ] - 1 `,
		" x = 1 -- it's \" {\n",
		"",
		" # ; $ \\ ",
		" x = [=x{} ",
	} {
		ds, err := Parse("t.conf", []byte("content_by_lua_block {"+body+"} next;"))
		if err != nil || len(ds) != 2 || ds[1].Name != "next" || ds[0].Lua != body {
			t.Errorf("%q: %d directives, %v", body, len(ds), err)
		}
	}
	// A quote that is not closed on its line begins no string, so the brace after it counts.
	for _, body := range []string{" s = \"a\n", " s = \"a\\\n", " s = 'a\n"} {
		ds, err := Parse("t.conf", []byte("content_by_lua_block {"+body+"} next \"x\";"))
		if err != nil || len(ds) != 2 || ds[0].Lua != body {
			t.Errorf("%q: %d directives, %v", body, len(ds), err)
		}
	}
	ds, err := Parse("t.conf", []byte("set_by_lua_block $x { return 1 }"))
	if err != nil || ds[0].Arg(0) != "$x" || ds[0].Lua != " return 1 " {
		t.Errorf("set_by_lua_block: %+v, %v", ds, err)
	}
}
