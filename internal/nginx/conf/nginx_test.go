package conf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	conf   string // the conf file, if it is not in dir
}

// inHTTP keeps the compiled-in log files and temporary directories from being made.
const inHTTP = "access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp; types_hash_bucket_size 16384;"

func newJudge(t *testing.T) judge {
	t.Helper()
	j := judge{binary: nginxtest.Debian(t).Path, env: []string{"OPENSSL_CONF=/dev/null"}, http: inHTTP, dir: t.TempDir()}
	return j.ready(t)
}

// ready writes the configuration that includes the body in its http block.
func (j judge) ready(t *testing.T) judge {
	t.Helper()
	j.write(t, "events { }\nhttp {\n    include body;\n}\n")
	j.body(t, "")
	return j
}

// newModulesJudge is nginx with its stream and mail modules.
func newModulesJudge(t *testing.T) judge {
	t.Helper()
	j := newJudge(t)
	modules := filepath.Join(nginxtest.Packages(t), "usr/lib/nginx/modules")
	for _, name := range []string{"ngx_stream_module.so", "ngx_mail_module.so"} {
		j.load += "load_module " + filepath.Join(modules, name) + ";\n"
	}
	return j.ready(t)
}

// newLuaJudge is nginx with lua-nginx-module, which has a lexer of its own.
func newLuaJudge(t *testing.T) judge {
	t.Helper()
	j := newJudge(t)
	bin, load, packagePath, env := nginxtest.WithLua(t)
	j.binary, j.load, j.env = bin.Path, load, append(j.env, env...)
	j.http += " " + packagePath
	return j.ready(t)
}

func (j judge) file() string {
	if j.conf != "" {
		return j.conf
	}
	return filepath.Join(j.dir, "graft-test.conf")
}

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
	out, err := j.tryDump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (j judge) tryDump(ctx context.Context) ([]byte, error) {
	cmd := j.command(ctx, "-T")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("nginx -T: %w\n%s", err, said.Bytes())
	}
	return out, nil
}

// run runs nginx with args and returns what it printed; ok tells whether it exited 0.
func (j judge) run(t *testing.T, args ...string) (output string, ok bool) {
	t.Helper()
	output, ok, err := j.try(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return output, ok
}

// try is run for goroutines that may not end the test.
func (j judge) try(ctx context.Context, args ...string) (output string, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := j.command(ctx, args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", false, fmt.Errorf("nginx %v did not end: %w\n%s", args, ctx.Err(), out)
	case err != nil && !errors.As(err, &exit):
		return "", false, fmt.Errorf("nginx: %w", err)
	}
	return string(out), err == nil, nil
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
	return verdictOf(j.run(t, append(args, "-t")...))
}

func verdictOf(out string, ok bool) verdict {
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
var syntactic = regexp.MustCompile(`(?s)^(unexpected "."$|unexpected end of |too long parameter|Lua code block missing|too long lua|open\(\) |directive ".*" (is not terminated by|has no opening)|invalid number of arguments in "include"|block directives are not supported)`)

// ofLua are the messages of lua-nginx-module's reader. We may take what it refuses for the length, and
// find the next mistake.
var ofLua = regexp.MustCompile(`(?i)lua code block`)

// agree compares our reading with nginx's verdict.
func (j judge) agree(v verdict, err error) error {
	var ours *Error
	msg := v.msg
	if errors.As(err, &ours) && !utf8.ValidString(msg) && strings.HasPrefix(msg, `unexpected "`) {
		msg = strings.Replace(msg, msg[12:13], ours.Msg[12:len(ours.Msg)-1], 1) // its first byte for our character
	}
	switch {
	case ofLua.MatchString(v.msg) && (err == nil || ours.Msg != msg || ours.Line-ours.uncounted != v.line):
		return nil
	case v.ok && err != nil:
		return fmt.Errorf("nginx takes it, we say: %w", err)
	case !v.ok && syntactic.MatchString(v.msg) && err == nil:
		return fmt.Errorf("we take it, nginx says: %s", v.all)
	case !v.ok && syntactic.MatchString(v.msg) && (ours.Msg != msg || ours.File != v.file || ours.Line-ours.uncounted != v.line):
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
