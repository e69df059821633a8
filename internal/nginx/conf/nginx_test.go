package conf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
)

// The real nginx judges here. It runs `-t` or `-T` only, with a prefix of its own.

// judge is a real nginx that tests configurations.
type judge struct {
	binary string
	env    []string
	load   string // load_module lines that every configuration begins with
	http   string // what every http block begins with
	dir    string // prefix and conf prefix
}

// inHTTP keeps the compiled-in log files and temporary directories from being made.
const inHTTP = "access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;"

func newJudge(t *testing.T) judge {
	t.Helper()
	j := judge{binary: nginxtest.Debian(t).Path, env: []string{}, http: inHTTP, dir: t.TempDir()}
	j.write(t, "events { }\nhttp {\n    include body;\n}\n")
	j.body(t, "")
	return j
}

// newLuaJudge is nginx with its Lua, stream and mail modules, and the modules of Debian's that need no
// library.
func newLuaJudge(t *testing.T) judge {
	t.Helper()
	j := newJudge(t)
	bin, load, packagePath, env := nginxtest.WithLua(t)
	modules := filepath.Join(nginxtest.Packages(t), "usr/lib/nginx/modules")
	for _, name := range []string{"ngx_stream_module.so", "ngx_mail_module.so", "ngx_http_echo_module.so", "ngx_http_headers_more_filter_module.so"} {
		load += "load_module " + filepath.Join(modules, name) + ";\n"
	}
	j.binary, j.load, j.env = bin.Path, load, env
	j.http += " " + packagePath
	return j
}

func (j judge) file() string { return filepath.Join(j.dir, "graft-test.conf") }

// write writes the main file; every http block gets what keeps nginx to the prefix.
func (j judge) write(t *testing.T, text string) {
	t.Helper()
	text = j.load + strings.Replace(text, "http {", "http { "+j.http, 1)
	if err := os.WriteFile(j.file(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// body writes the file that newJudge's configuration includes in its http block.
func (j judge) body(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(j.dir, "body"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (j judge) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, j.binary, append([]string{"-p", j.dir, "-c", j.file(), "-e", "stderr"}, args...)...)
	cmd.Env = j.env
	return cmd
}

// dump is what nginx -T prints to its standard output.
func (j judge) dump(t *testing.T) []byte {
	t.Helper()
	cmd := j.command(t.Context(), "-T")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nginx -T: %v\n%s", err, said.Bytes())
	}
	return out
}

// run runs nginx with args and returns what it printed; ok tells whether it exited 0.
func (j judge) run(t *testing.T, args ...string) (output string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := j.command(ctx, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("nginx: %v", err)
	}
	if ctx.Err() != nil {
		t.Fatalf("nginx %v did not end: %v\n%s", args, ctx.Err(), out)
	}
	return string(out), err == nil
}

// verdict is what nginx says of a configuration: its first emerg message, split.
type verdict struct {
	ok   bool
	msg  string
	file string
	line int
	all  string
}

var emerg = regexp.MustCompile(`(?s)\[emerg\] (?:\d+#\d+: )?(.*?) in ((?:/[^\s:]*):(\d+)|command line)\n`)

func (j judge) test(t *testing.T, args ...string) verdict {
	t.Helper()
	out, ok := j.run(t, append(args, "-t")...)
	v := verdict{ok: ok, all: out}
	if m := emerg.FindStringSubmatch(out); m != nil {
		v.msg, v.file = m[1], m[2]
		if m[3] != "" {
			v.file = strings.TrimSuffix(m[2], ":"+m[3])
			v.line, _ = strconv.Atoi(m[3])
		}
	}
	return v
}

// syntactic are the messages of nginx's reader; any other is a module's word on a directive.
var syntactic = regexp.MustCompile(`(?s)^(unexpected "."$|unexpected end of |too long parameter|directive ".*" (is not terminated by|has no opening)|invalid number of arguments in "include"|block directives are not supported)`)

// agree compares our reading with nginx's verdict.
func (j judge) agree(v verdict, err error) error {
	var ours *Error
	msg := v.msg
	if errors.As(err, &ours) && !utf8.ValidString(msg) && strings.HasPrefix(msg, `unexpected "`) {
		msg = strings.Replace(msg, msg[12:13], ours.Msg[12:len(ours.Msg)-1], 1) // its first byte for our character
	}
	switch {
	case v.ok && err != nil:
		return fmt.Errorf("nginx takes it, we say: %w", err)
	case !v.ok && syntactic.MatchString(v.msg) && err == nil:
		return fmt.Errorf("we take it, nginx says: %s", v.all)
	case !v.ok && syntactic.MatchString(v.msg) && (ours.Msg != msg || ours.File != v.file || ours.Line != v.line):
		return fmt.Errorf("nginx says: %s\nwe say: %w", v.all, err)
	}
	return nil
}

func TestIncludesAreNginxsOwn(t *testing.T) {
	j := newJudge(t)
	names := []string{"a", "b", "a.conf", "b.conf", "c.conf", ".h.conf", "a-b.conf", "A.conf", "1.conf", "a]b", "[x", "[x]", "a*b", "a b", "-", "!", "^", `back\slash`, "é.conf"}
	for _, dir := range []string{"d", "d/sub", "e", "d[1]"} {
		if err := os.MkdirAll(filepath.Join(j.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(j.dir, dir, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, pattern := range []string{
		"d/*.conf", "d/a*", "d/?.conf", "./d//*.conf", "d/../e/*.conf", "*/a.conf", "d/*/a*", "*/*/*.conf", "?/[ab]",
		"d/[ab].conf", "d/[!ab].conf", "d/[^ab].conf", "d/[a-c].conf", "d/[a-].conf", "d/[]a]*", "d/[[:alpha:]].conf", "d/[[:digit:][:upper:]].conf", "d/[![:alnum:]]*",
		"d/.*.conf", "d/[.]h.conf", `d/\.h*`, "d/*h.conf", "d/a[b", "d/[x", "d/[x*", `d/\[x*`, `d/a\*[b]`, `d/[\]]*`, `d/a\]*`, "d/[x]", `d/\[x\]*`,
		"d/*b", "d/a*b*.conf", "d/**.conf", "d/a?b", "d/[-]", "d/[!a-zA-Z]", "d/?", "nowhere/*", "d/sub/*/x", "d/a/*", "d[[]1]/a*", "d/*.conf/", "d/back*", `d/back\\\\*`, "d/[c-a]*", "d/[b-b]*", `d/[a\-c].conf`, "d/??.conf", "d/[[:nope:]]*",
	} {
		body := fmt.Sprintf("include '%s';\n", pattern)
		j.body(t, body)
		out, ok := j.run(t, "-T", "-q")
		c, err := Load(Options{File: j.file()})
		if ok != (err == nil) {
			t.Errorf("include %s: nginx %v, we %v\n%s", pattern, ok, err, out)
			continue
		}
		if err != nil {
			continue
		}
		var want []string
		for line := range strings.Lines(out) {
			if name, ok := strings.CutPrefix(line, "# configuration file "); ok {
				want = append(want, strings.TrimSuffix(name, ":\n"))
			}
		}
		if diff := cmp.Diff(want, paths(c)); diff != "" {
			t.Errorf("include %s (-nginx +we)\n%s", pattern, diff)
		}
	}
}

func TestGlobalTextAsNginxReadsIt(t *testing.T) {
	j := newJudge(t)
	for _, global := range []string{
		"", " ", "daemon off;", "daemon off", "daemon off; }", "daemon off; {", "events { }", "daemon 'off';", "daemon 'off", "daemon off; # c",
		"# c", "daemon \"off\"x;", ";", "env " + strings.Repeat("x", 5000) + ";", "include;", "include empty;", "daemon off;\nenv A;", "env \\;",
	} {
		if err := os.WriteFile(filepath.Join(j.dir, "empty"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Options{File: j.file(), Global: global})
		if err := j.agree(j.test(t, "-g", global), err); err != nil {
			t.Errorf("-g %.60q: %v", global, err)
		}
	}
}

func TestByteOrderMarkIsRefusedByNginxToo(t *testing.T) {
	j := newJudge(t)
	j.body(t, "\uFEFFserver_tokens off;")
	v := j.test(t)
	_, err := Load(Options{File: j.file()})
	var ours *Error
	if v.ok || !errors.As(err, &ours) || ours.Msg != v.msg || ours.Line != v.line {
		t.Errorf("nginx says %s\nwe say %v", v.all, err)
	}
}

// TestDifferential compares our reading of generated and mutated configurations with nginx's. Set
// GRAFT_CONF_CASES and GRAFT_CONF_SEED for a longer search.
func TestDifferential(t *testing.T) {
	cases := envInt(t, "GRAFT_CONF_CASES", 400)
	seed := envInt(t, "GRAFT_CONF_SEED", 1)
	j := newJudge(t)
	accepted, refused := 0, 0
	for i := range cases {
		g := generator{rand.New(rand.NewPCG(uint64(seed), uint64(i)))}
		body := g.mutated()
		j.body(t, body)
		v := j.test(t)
		switch {
		case v.ok:
			accepted++
		case syntactic.MatchString(v.msg):
			refused++
		}
		_, err := Load(Options{File: j.file()})
		if err := j.agree(v, err); err != nil {
			t.Errorf("seed %d, case %d: %v\n%q", seed, i, err, body)
		}
	}
	t.Logf("%d cases: nginx took %d, refused %d for their syntax, %d for what they say", cases, accepted, refused, cases-accepted-refused)
	if accepted < cases/10 || refused < cases/10 {
		t.Errorf("the generator proves little: %d taken, %d refused of %d", accepted, refused, cases)
	}
}

func envInt(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// generator writes the content of an http block that nginx would take, then breaks it a little.
type generator struct{ *rand.Rand }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g generator) space() string {
	return g.pick(" ", " ", " ", "\n", "\t", "\r\n", "  ", " # comment ; } {\n", "\n#\"'\n")
}

// word is an argument in one of the ways one can be written.
func (g generator) word() string {
	var b strings.Builder
	for range 1 + g.IntN(6) {
		b.WriteString(g.pick("a", "b", "0", "é", "/", "~", "=", "#", "}", ")", "(", ".", "*", `\;`, `\{`, `\\`, `\"`, `\'`, `\n`, `\t`, `\q`, `\ `, "\\\n", "$uri", "${uri}", "x\"y", "x'y", "\x01"))
	}
	if g.IntN(40) == 0 {
		b.WriteString(strings.Repeat("x", confBuffer-8+g.IntN(12)))
	}
	word := b.String()
	switch g.IntN(4) {
	case 0:
		return `"` + strings.ReplaceAll(word, `x"y`, " ; { } # ' ") + `"`
	case 1:
		return "'" + strings.ReplaceAll(word, "x'y", " ; { } # \" ") + "'"
	}
	if strings.HasPrefix(word, "#") || strings.HasPrefix(word, "}") {
		word = "w" + word
	}
	return word
}

func (g generator) directive() string {
	s, w := g.space, g.word
	switch g.IntN(14) {
	case 0:
		return "add_header" + s() + "X" + s() + w() + s() + ";"
	case 1:
		return "log_format" + s() + "f" + strconv.Itoa(g.IntN(1e9)) + s() + w() + s() + w() + ";"
	case 2:
		return "index" + s() + w() + s() + w() + ";"
	case 3:
		return "map $uri $m" + strconv.Itoa(g.IntN(1e9)) + s() + "{" + s() + "k" + w() + s() + w() + ";" + s() + "}"
	case 4:
		return "types" + s() + "{ text/html" + s() + "html;" + s() + "a/b" + s() + w() + ";}"
	case 5:
		return "server{" + s() + "server_name" + s() + "n" + strconv.Itoa(g.IntN(1e9)) + ";" + g.locations() + "}"
	case 6:
		return "server" + s() + "{ listen 127.0.0.1:1; " + g.locations() + g.locations() + "}"
	case 7:
		return "upstream u" + strconv.Itoa(g.IntN(1e9)) + s() + "{server" + s() + "127.0.0.1;}"
	case 8:
		return "include" + s() + g.pick("body-gone*", "'gone*'") + s() + ";"
	case 9:
		return "error_page 404" + s() + w() + ";"
	case 10:
		return "# " + strings.Repeat("c", g.IntN(40)*g.IntN(110)) + "\n"
	case 11:
		return "geo $g" + strconv.Itoa(g.IntN(1e9)) + "{ default" + s() + w() + "; 10.0.0.0/8 " + w() + ";}"
	case 12:
		return "split_clients" + s() + w() + " $s" + strconv.Itoa(g.IntN(1e9)) + " { 50%" + s() + "include; * " + w() + "; }"
	}
	return "autoindex" + s() + "on" + g.pick("", " ", "\n") + ";"
}

func (g generator) locations() string {
	var b strings.Builder
	for i := range g.IntN(3) {
		fmt.Fprintf(&b, "%slocation%s/%d%s{%s", g.space(), g.space(), i*1000+g.IntN(1000), g.space(), g.space())
		switch g.IntN(4) {
		case 0:
			b.WriteString("if ($uri =" + g.space() + `"` + g.pick("a", "b c", `\"`) + `"` + g.pick(")", " )", "\n)") + g.space() + "{ return 200" + g.space() + g.word() + "; }")
		case 1:
			b.WriteString("set $x" + g.space() + g.word() + ";")
		case 2:
			b.WriteString("return 200" + g.space() + g.word() + ";")
		case 3:
			b.WriteString("limit_except GET { deny all; }")
		}
		b.WriteString(g.space() + "}")
	}
	return b.String()
}

// mutated is a body of a few directives; one of four stays whole, the rest are broken at up to
// three places.
func (g generator) mutated() string {
	var b strings.Builder
	for range 1 + g.IntN(5) {
		b.WriteString(g.directive() + g.pick("", "\n", " "))
	}
	body := []byte(b.String())
	for range g.IntN(4) {
		at := g.IntN(len(body) + 1)
		end := min(len(body), at+g.IntN(3))
		bit := g.pick("", "", ";", "{", "}", "\"", "'", "\\", "$", "${", "#", "\n", " ", ")", "include a b;", "root html", "\r")
		body = append(body[:at:at], append([]byte(bit), body[end:]...)...)
	}
	if g.IntN(12) == 0 {
		body = body[:g.IntN(len(body)+1)]
	}
	return string(body)
}
