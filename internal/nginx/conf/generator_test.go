package conf

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// sample is one generated configuration.
type sample struct {
	place string // where its body is included: http, stream, mail or main; "-g" for the text of -g
	body  string
	files map[string]string // what it includes, by name; "@" in the body stands for their directory
}

// generator writes what nginx would take, then breaks it a little.
type generator struct {
	*rand.Rand
	files map[string]string
}

// generate is the i-th sample of a seed; lua has blocks of Lua in it.
func generate(seed, i int, lua bool) sample {
	g := generator{rand.New(rand.NewPCG(uint64(seed), uint64(i))), map[string]string{}}
	s := sample{place: "http", files: g.files}
	switch n := g.IntN(100); {
	case lua:
		s.body = g.mutated(g.luaServer)
	case n < 70:
		s.body = g.mutated(g.directive)
	case n < 80:
		s.place, s.body = "stream", g.mutated(g.stream)
	case n < 88:
		s.place, s.body = "mail", g.mutated(g.mail)
	case n < 94:
		s.place, s.body = "main", g.mutated(g.main)
	default:
		s.place, s.body = "-g", strings.ReplaceAll(g.mutated(g.main), "\x00", "") // a C string
	}
	return s
}

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// name is a name that no other sample has.
func (g generator) name(prefix string) string { return prefix + strconv.FormatUint(g.Uint64()>>8, 36) }

func (g generator) space() string {
	return g.pick(" ", " ", " ", "\n", "\t", "\r\n", "  ", " # comment ; } {\n", "\n#\"'\n")
}

// word is an argument in one of the ways one can be written.
func (g generator) word() string {
	return g.wordOf("a", "b", "0", "é", "/", "~", "=", "#", "}", ")", "(", ".", "*", `\;`, `\{`, `\\`, `\"`, `\'`, `\n`, `\t`, `\q`, `\ `, "\\\n", "$uri", "${uri}", "x\"y", "x'y", "\x01")
}

// plainWord has nothing that a variable could begin with: types takes any of them.
func (g generator) plainWord() string {
	return g.wordOf("a", "b", "0", "é", "/", "=", "#", "}", ")", ".", `\;`, `\{`, `\}`, `\\`, `\"`, `\'`, `\n`, `\r`, `\x`, `\ `, "\\\n", "\\\r", "x\"y", "x'y", `'"`, `"'`, "\x01", "\xff", "\x7f", "\uFEFF", "[[", "]]", "--")
}

func (g generator) wordOf(pieces ...string) string {
	var b strings.Builder
	for range 1 + g.IntN(6) {
		b.WriteString(g.pick(pieces...))
	}
	if g.IntN(60) == 0 {
		b.WriteString(strings.Repeat("x", confBuffer-8+g.IntN(12)))
	}
	word := b.String()
	switch g.IntN(4) {
	case 0:
		return `"` + quotable(word, '"', g.pick(" ; { } # ' ", "\n", "' '", "''")) + `"`
	case 1:
		return "'" + quotable(word, '\'', g.pick(` ; { } # " `, "\n", `" "`, `""`)) + "'"
	}
	if strings.ContainsAny(word[:1], "#}'\"") {
		word = "w" + word
	}
	return word
}

// quotable puts other in the place of quotes that are not escaped.
func quotable(word string, quote byte, other string) string {
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		switch {
		case word[i] == '\\' && i+1 < len(word):
			b.WriteString(word[i : i+2])
			i++
		case word[i] == quote:
			b.WriteString(other)
		default:
			b.WriteByte(word[i])
		}
	}
	return b.String()
}

// directive is one of the http block.
func (g generator) directive() string {
	s, w := g.space, g.word
	switch g.IntN(26) {
	case 0:
		return "add_header" + s() + "X" + s() + w() + s() + ";"
	case 1:
		return "log_format" + s() + g.name("f") + s() + w() + s() + w() + ";"
	case 2:
		return "server { index" + s() + "i" + g.plainWord() + s() + w() + ";" + s() + "autoindex" + s() + "on" + g.pick("", " ", "\n") + ";}"
	case 3:
		return "map" + s() + "$uri" + s() + "$" + g.name("m") + s() + "{" + s() + g.pick("", "hostnames;", "volatile;", "default "+w()+";") + "k" + w() + s() + w() + ";" + s() + g.pick("", "~^/(?<n>a{2}) $n;", `"~^[;{}]" 1;`, `\default 2;`, g.include(func() string { return "i" + g.plainWord() + " " + g.plainWord() + ";" })) + "}"
	case 4, 5, 6, 7, 8, 9, 10:
		return "types" + s() + "{" + s() + g.types() + "}"
	case 11, 12:
		return "server{" + s() + "server_name" + s() + g.name("n") + ";" + g.locations() + "}"
	case 13:
		return "server" + s() + "{ listen 127.0.0.1:1; " + g.locations() + g.locations() + "}"
	case 14:
		return "upstream" + s() + g.name("u") + s() + "{server" + s() + "127.0.0.1;" + g.pick("", "keepalive 2;", "server unix:/s;") + "}"
	case 15:
		return "include" + s() + g.pick("body-gone*", "'gone*'", `"@/gone[1]"`, "@/gone.conf") + s() + ";"
	case 16:
		return "error_page 404" + s() + w() + ";"
	case 17:
		return g.padding()
	case 18:
		return "geo" + s() + "$" + g.name("g") + s() + "{" + g.pick("", "ranges;10.1.0.0-10.1.0.9 r;", "default"+s()+w()+"; 10.0.0.0/8 "+w()+";") + "}"
	case 19:
		return "split_clients" + s() + w() + " $" + g.name("s") + " { 50%" + s() + "include; * " + w() + "; }"
	case 20:
		return "charset_map" + s() + g.name("c") + " " + g.name("d") + s() + "{" + s() + "80" + s() + "E2;" + s() + "'81' E3;}"
	case 21, 22, 23:
		return g.include(g.directive)
	}
	return "server {" + s() + "set" + s() + "$" + g.name("v") + s() + w() + ";}"
}

// padding moves what follows it across the border of nginx's read buffer.
func (g generator) padding() string {
	switch g.IntN(3) {
	case 0:
		return "# " + strings.Repeat("c", g.IntN(40)*g.IntN(110)) + "\n"
	case 1:
		return strings.Repeat(" ", g.IntN(2*confBuffer))
	}
	return strings.Repeat("# c\n", g.IntN(confBuffer/2)) + strings.Repeat(g.pick("\n", " "), g.IntN(8))
}

func (g generator) types() string {
	var b strings.Builder
	for range 1 + g.IntN(4) {
		b.WriteString(g.plainWord())
		for range 1 + g.IntN(3) {
			b.WriteString(g.space() + g.plainWord())
		}
		b.WriteString(g.pick("", " ", "\n") + ";" + g.space())
	}
	if g.IntN(6) == 0 {
		b.WriteString(g.include(g.types))
	}
	return b.String()
}

// include writes files and the directive that includes them.
func (g generator) include(content func() string) string {
	if len(g.files) > 6 {
		return ""
	}
	name := g.name("i")
	for n := range g.IntN(4) {
		file := name + "-" + g.pick("", "", ".") + strconv.Itoa(n) + g.pick(".conf", ".conf", "", "[")
		g.files[file] = ""
		text := g.bom() + content() + g.pick("", "\n", "\r\n")
		if g.IntN(5) == 0 {
			text = g.broken(text, 1)
		}
		g.files[file] = text
	}
	pattern := name + g.pick("-*", "-*", "-*.conf", "-?", "-[0-2]*", "-[!1].conf", "-0.conf", `-\0*`, "-*[[]", "-.*", "?-*")
	return "include" + g.space() + g.pick("@/"+pattern, `"@/`+pattern+`"`, "'@//"+pattern+"'") + g.pick("", " ", "\n") + ";"
}

func (g generator) bom() string {
	if g.IntN(24) == 0 {
		return "\uFEFF"
	}
	return ""
}

func (g generator) locations() string {
	var b strings.Builder
	for range g.IntN(3) {
		fmt.Fprintf(&b, "%slocation%s/%s%s{%s", g.space(), g.space(), g.name(""), g.space(), g.space())
		switch g.IntN(6) {
		case 0:
			b.WriteString("if ($uri =" + g.space() + `"` + g.pick("a", "b c", `\"`, "';{}") + `"` + g.pick(")", " )", "\n)") + g.space() + "{ return 200" + g.space() + g.word() + "; }")
		case 1:
			b.WriteString("set $x" + g.space() + g.word() + ";")
		case 2:
			b.WriteString("return 200" + g.space() + g.word() + ";")
		case 3:
			b.WriteString("limit_except GET" + g.space() + "POST {" + g.space() + "deny all; }")
		case 4:
			b.WriteString("types { } default_type" + g.space() + g.word() + "; " + g.include(g.rules))
		case 5:
			b.WriteString("if (!-e" + g.space() + "$uri) { set $y " + g.word() + "; break; } limit_except" + g.space() + "PUT { auth_basic " + g.word() + "; }")
		}
		b.WriteString(g.space() + "}")
	}
	return b.String()
}

func (g generator) rules() string {
	return "set $z" + g.space() + g.word() + ";" + g.space() + g.pick("", "rewrite "+g.plainWord()+" /x;", "if ($z) { }")
}

func (g generator) stream() string {
	s, w := g.space, g.word
	switch g.IntN(6) {
	case 0:
		return "map $remote_addr $" + g.name("m") + s() + "{" + s() + "k" + w() + s() + g.plainWord() + ";}"
	case 1:
		return fmt.Sprintf("server%s{%slisten 127.%d.%d.%d:1%s;%sproxy_pass%s127.0.0.1:1;%s}", s(), s(), g.IntN(250), g.IntN(250), 1+g.IntN(250), g.pick("", " udp"), s(), s(), g.pick("", "allow all;", "proxy_timeout 1s;"))
	case 2:
		return "upstream" + s() + g.name("u") + "{server 127.0.0.1:1" + s() + "weight=2;}"
	case 3:
		return "log_format" + s() + g.name("f") + s() + strings.ReplaceAll(strings.ReplaceAll(w(), "$uri", "$time_local"), "${uri}", "${status}") + ";"
	case 4:
		return g.include(g.stream)
	}
	return "geo $" + g.name("g") + " { default" + s() + g.plainWord() + "; }"
}

func (g generator) mail() string {
	s := g.space
	switch g.IntN(3) {
	case 0:
		return "pop3_capabilities" + s() + "TOP" + s() + g.plainWord() + s() + ";"
	case 1:
		return g.include(g.mail)
	}
	return fmt.Sprintf("server%s{%slisten 127.%d.%d.%d:1;%sprotocol%spop3; server_name%s%s;}", s(), s(), g.IntN(250), g.IntN(250), 1+g.IntN(250), s(), s(), s(), g.plainWord())
}

func (g generator) main() string {
	switch g.IntN(5) {
	case 0:
		return "thread_pool" + g.space() + g.name("p") + g.space() + "threads=1;"
	case 1:
		return g.include(g.main)
	case 2:
		return "worker_rlimit_nofile" + g.space() + g.pick("'100'", "100") + ";"
	}
	return "env" + g.space() + g.plainWord() + ";"
}

// luaServer is a server with a block of Lua.
func (g generator) luaServer() string {
	block := g.pick("content", "access", "rewrite", "log", "header_filter", "body_filter") + "_by_lua_block"
	if g.IntN(5) == 0 {
		block = "set_by_lua_block" + g.space() + "$v"
	}
	return "server {" + g.space() + "server_name" + g.space() + g.name("l") + ";" + g.pick("", g.padding()) + " location /" + g.space() + "{" + g.space() +
		block + g.space() + "{" + g.pick(" ", "\n", "x") + g.lua(3) + "}" + g.space() + g.pick("", `default_type "x";`) + "}" + g.space() + "}"
}

// lua is Lua as the lexer sees it.
func (g generator) lua(depth int) string {
	var b strings.Builder
	for range g.IntN(8) {
		equals := strings.Repeat("=", g.IntN(4))
		inside := g.pick("", "}", "{", "]]", "]=]", "]==]", "\n", `"`, "'", "--", `\`, "]", "=", "a", "\r\n")
		switch g.IntN(14) {
		case 0:
			if depth > 0 {
				b.WriteString("{" + g.lua(depth-1) + "}")
			}
		case 1:
			b.WriteString(`"` + g.pick("", "}", "{{", `\"`, `\\`, "'", "--", "[[", `\n}`, "\\\n") + inside + `"`)
		case 2:
			b.WriteString("'" + g.pick("", "}", "{{", `\'`, `\\`, `"`, "--[[", "\\\n") + inside + "'")
		case 3:
			b.WriteString("[" + equals + "[" + inside + g.pick("", "{", "}") + "]" + equals + "]")
		case 4:
			b.WriteString("--[" + equals + "[" + inside + "]" + equals + "]")
		case 5:
			b.WriteString("--" + g.pick("", "[", "[=", "-", " ") + strings.ReplaceAll(inside, "\n", " ") + "\n")
		case 6:
			b.WriteString(g.pick("a[b[1]]", "[=", "]]", "a-b", "- -", "[ [", "t[=", "x=-1"))
		case 7:
			b.WriteString(g.pick("\n", " ", "\r\n", "\t", ";", "$x", "#t", `\`, "\x01", "é"))
		case 8:
			b.WriteString(strings.Repeat(g.pick("x = 1\n", "local t\r\n", "-- c\n", "f( )\t"), g.IntN(g.IntN(1200)+1)))
		default:
			b.WriteString(g.pick("local x = 1 ", "if x then y() end ", "return "))
		}
	}
	return b.String()
}

// mutated is a body of a few directives; many stay whole, the rest are broken at up to three places.
func (g generator) mutated(directive func() string) string {
	var b strings.Builder
	for range 1 + g.IntN(4) {
		b.WriteString(directive() + g.pick("", "\n", " ", "\r\n"))
	}
	body := g.broken(g.bom()+b.String(), max(0, g.IntN(5)-2))
	switch g.IntN(24) {
	case 0:
		body = body[:g.IntN(len(body)+1)]
	case 1:
		body = strings.ReplaceAll(body, "\n", "\r\n")
	}
	return body
}

// broken changes a text at n places.
func (g generator) broken(text string, n int) string {
	for range n {
		at := g.IntN(len(text) + 1)
		end := min(len(text), at+g.IntN(3))
		bit := g.pick("", "", ";", "{", "}", "\"", "'", "\\", "$", "${", "#", "\n", " ", ")", "include a b;", "\r", "\x00", "\xff", "\uFEFF", "a", "x y", "[[", "]]", "--", `\"`, "\"\"", "''", "}}", "/*", "\v", "\x85", "\u00a0")
		if g.IntN(12) == 0 {
			bit = text[at:min(len(text), at+g.IntN(40))] // once more
		}
		text = text[:at] + bit + text[end:]
	}
	return text
}
