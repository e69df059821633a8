package conf

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// FuzzParse: no input makes the parser panic, and what it takes, written out again, parses to the
// same tree.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"events { }\nhttp {\n    include body;\n}\n", "a 'b\\'c' \"d\" ${e} f\\;g { h; }", "if ($a = \"b\") { }", "map $a $b { \"\" 1; }", "a # b\n;", "\uFEFFa;",
		"content_by_lua_block { x = [==[ } ]==] -- }\n y = '}' { } }", "a \\", "a \"", "a {", "}", "a;\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ds, err := Parse("f", data)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if !write(&out, ds) {
			return // a word that grows past nginx's limit when written in quotes
		}
		again, err := Parse("f", out.Bytes())
		if err != nil {
			t.Fatalf("%v\nin  %q\nout %q", err, data, out.Bytes())
		}
		if a, b := exact(ds), exact(again); a != b {
			t.Fatalf("in  %q\nout %q\n%s\n%s", data, out.Bytes(), a, b)
		}
	})
}

// exact shows names, arguments, data marks and structure, unambiguously.
func exact(ds []*Directive) string {
	var b strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&b, "%q %q %v %v %q(%s);", d.Name, d.Args, d.Data, d.IsBlock, d.Lua, exact(d.Block))
	}
	return b.String()
}

// write writes directives with every word in quotes. It tells false if a word gets too long.
func write(out *bytes.Buffer, ds []*Directive) bool {
	for _, d := range ds {
		for _, word := range append([]string{d.Name}, d.Args...) {
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word)
			if len(quoted) > confBuffer-8 {
				return false
			}
			out.WriteString(`"` + quoted + `" `)
		}
		switch {
		case !d.IsBlock:
			out.WriteString(";\n")
		case isLuaBlock(d.Name):
			out.WriteString("{" + d.Lua + "}\n")
		default:
			out.WriteString("{\n")
			if !write(out, d.Block) {
				return false
			}
			out.WriteString("}\n")
		}
	}
	return true
}

// large is a configuration of about n directives: servers with locations, headers, a map.
func large(n int) []byte {
	var b bytes.Buffer
	b.WriteString("events { }\nhttp {\n")
	for count := 2; count < n; count += 17 {
		fmt.Fprintf(&b, "    server {\n        listen 80;\n        listen [::]:443 ssl http2;\n        server_name host%d.example.com www.host%[1]d.example.com;\n", count)
		for i := range 2 {
			fmt.Fprintf(&b, "        location /path/%d/ {  # to the backend\n            proxy_pass http://backend$request_uri;\n            proxy_set_header Host $host;\n"+
				"            proxy_set_header X-Forwarded-For \"$proxy_add_x_forwarded_for\";\n            add_header Cache-Control 'no-cache, no-store';\n            if ($request_method = \"POST\") {\n                return 405;\n            }\n        }\n", i)
		}
		b.WriteString("    }\n")
	}
	b.WriteString("}\n")
	return b.Bytes()
}

func countDirectives(ds []*Directive) int {
	n := 0
	walk(ds, func(*Directive) bool { n++; return true })
	return n
}

// BenchmarkParse reads 50,000 directives; the target is less than 60 ms.
func BenchmarkParse(b *testing.B) {
	data := large(50_000)
	ds, err := Parse("n.conf", data)
	if err != nil {
		b.Fatal(err)
	}
	if n := countDirectives(ds); n < 50_000 {
		b.Fatalf("only %d directives", n)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("n.conf", data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad reads the same 50,000 directives out of 500 included files, with their hashes.
func BenchmarkLoad(b *testing.B) {
	files := map[string]string{"n.conf": "include c/*.conf;"}
	part := string(large(100))
	part = part[strings.Index(part, "http"):]
	for i := range 500 {
		files[fmt.Sprintf("c/%d.conf", i)] = part
	}
	dir := writeTree(b, files)
	for b.Loop() {
		if _, err := Load(Options{File: dir + "/n.conf"}); err != nil {
			b.Fatal(err)
		}
	}
}
