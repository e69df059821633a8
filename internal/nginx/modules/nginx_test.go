package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graft/internal/nginx/conf"
	"graft/internal/nginxtest"
)

// The real nginx judges here, with -t in a directory of its own.
type judge struct {
	binary string
	env    []string
	loads  []string // paths of dynamic modules
}

func (j judge) preamble() string {
	var b strings.Builder
	for _, so := range j.loads {
		fmt.Fprintf(&b, "load_module %s;\n", so)
	}
	return b.String()
}

// table is what the judge is made of.
func (j judge) table(t testing.TB) Table {
	t.Helper()
	table := read(t, j.binary)
	for _, so := range j.loads {
		table = table.With(read(t, so))
	}
	return table
}

// test runs nginx -t on a configuration; dir is for its files.
func (j judge) test(ctx context.Context, dir, config string) (output string, passes bool, err error) {
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return "", false, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, j.binary, "-t", "-p", dir, "-c", file, "-g", "error_log stderr crit; pid nginx.pid;")
	cmd.Env = j.env
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
		passes = false
	} else {
		passes = err == nil
	}
	return string(out), passes, errors.Join(err, ctx.Err())
}

// extras are dynamic modules that need no library that may be missing here.
func extras(t testing.TB) judge {
	t.Helper()
	j := judge{binary: nginxtest.Debian(t).Path}
	for _, name := range []string{
		"ndk_http_module", "ngx_http_echo_module", "ngx_http_fancyindex_module", "ngx_http_geoip_module",
		"ngx_http_headers_more_filter_module", "ngx_http_set_misc_module", "ngx_http_srcache_filter_module",
		"ngx_http_subs_filter_module", "ngx_http_uploadprogress_module", "ngx_http_upstream_fair_module",
		"ngx_rtmp_module", "ngx_mail_module", "ngx_stream_module", "ngx_stream_geoip_module",
	} {
		j.loads = append(j.loads, unpacked(t, "native", "usr/lib/nginx/modules", name+".so"))
	}
	libs, err := filepath.Glob(unpacked(t, "native", "usr/lib/*-linux-gnu"))
	if err != nil || len(libs) != 1 {
		t.Fatalf("libraries: %v, %v", libs, err)
	}
	j.env = []string{"LD_LIBRARY_PATH=" + libs[0]}
	return j
}

// around is how to get to each place: what stands before and after a directive there.
var around = map[place][2]string{
	{Core, 0x01000000}:   {"", "events { }"},
	{Event, 0x02000000}:  {"events {", "}"},
	{HTTP, 0x02000000}:   {"events { } http {", "}"},
	{HTTP, 0x04000000}:   {"events { } http { server {", "} }"},
	{HTTP, 0x08000000}:   {"events { } http { server { location / {", "} } }"},
	{HTTP, 0x10000000}:   {"events { } http { upstream u {", "} }"},
	{HTTP, 0x20000000}:   {"events { } http { server { if ($uri) {", "} } }"},
	{HTTP, 0x40000000}:   {"events { } http { server { location / { if ($uri) {", "} } } }"},
	{HTTP, 0x80000000}:   {"events { } http { server { location / { limit_except GET {", "} } } }"},
	{Stream, 0x02000000}: {"events { } stream {", "}"},
	{Stream, 0x04000000}: {"events { } stream { server {", "} }"},
	{Stream, 0x08000000}: {"events { } stream { upstream u {", "} }"},
	{Mail, 0x02000000}:   {"events { } mail {", "}"},
	{Mail, 0x04000000}:   {"events { } mail { server {", "} }"},
	{rtmp, 0x02000000}:   {"events { } rtmp {", "}"},
	{rtmp, 0x04000000}:   {"events { } rtmp { server {", "} }"},
	{rtmp, 0x08000000}:   {"events { } rtmp { server { application a {", "} } }"},
	{rtmp, 0x10000000}:   {"events { } rtmp { server { application a { recorder r {", "} } } }"},
}

// nginx answers as the table says: it takes a directive at a place, does not allow it there, or does not
// know it. Every directive is tried; at every place only with GRAFT_EVERYWHERE=1, which takes a minute.
func TestNginxKnowsEveryDirectiveExactlyWhereTheTableSays(t *testing.T) {
	j := extras(t)
	table := j.table(t)
	commands := table.commands()
	names := []string{"graft_never_heard_of_it", "geoip_countr", "server_name_", "x"}
	for name := range commands {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) < 700 {
		t.Fatalf("only %d directives", len(names))
	}

	type question struct {
		name string
		at   place
	}
	var questions []question
	for i, name := range names {
		tried := false
		for n, b := range blocks {
			may := slices.ContainsFunc(commands[name], func(c command) bool { return b.takes(*c.module, c.directive) })
			if may && (!tried || (i+n)%5 == 0) || (i+n)%50 == 0 || commands[name] == nil || os.Getenv("GRAFT_EVERYWHERE") != "" {
				questions = append(questions, question{name, b.place})
				tried = tried || may
			}
		}
	}
	t.Logf("%d directives, %d questions", len(names), len(questions))

	next := make(chan question)
	var asking sync.WaitGroup
	for range runtime.NumCPU() {
		dir := t.TempDir()
		asking.Go(func() {
			for q := range next {
				j.ask(t, dir, q.name, q.at, commands[q.name])
			}
		})
	}
	for _, q := range questions {
		next <- q
	}
	close(next)
	asking.Wait()
}

// ask compares nginx's answer on one directive at one place with the table's.
func (j judge) ask(t *testing.T, dir, name string, at place, commands []command) {
	// So many arguments that few directives take them: nginx stops right there.
	line := name + " 1 2 3 4 5 6 7 8 9 10 11 12;"
	config := j.preamble() + around[at][0] + "\n" + line + "\n" + around[at][1]
	out, passes, err := j.test(t.Context(), dir, config)
	if err != nil {
		t.Errorf("%s: %v", config, err)
		return
	}
	got := "taken"
	switch {
	case strings.Contains(out, fmt.Sprintf("unknown directive %q", name)):
		got = "unknown"
	case strings.Contains(out, fmt.Sprintf("%q directive is not allowed here", name)):
		got = "not allowed"
	case !passes && !strings.Contains(out, "[emerg]"):
		t.Errorf("%s\n%s", config, out)
		return
	}
	want := "not allowed"
	if commands == nil {
		want = "unknown"
	}
	for _, c := range commands {
		if at.takes(*c.module, c.directive) {
			want = "taken"
		}
	}
	if got != want {
		t.Errorf("%s is %s, want %s\n%s%s", name, got, want, config, out)
	}
}

// Variables that the table lists exist for nginx; a name like them does not.
func TestNginxKnowsTheVariablesOfTheTable(t *testing.T) {
	j := extras(t)
	dir := t.TempDir()
	table := j.table(t)
	ask := func(kind Type, v Variable) (known bool) {
		name := v.Name
		if v.Prefix {
			name += "x"
		}
		config := "events { } http { server { return 200 $" + name + "; } }"
		if kind == Stream {
			config = "events { } stream { server { listen 127.0.0.1:9; return $" + name + "; } }"
		}
		out, passes, err := j.test(t.Context(), dir, j.preamble()+config)
		if err != nil {
			t.Fatal(err)
		}
		if !passes && !strings.Contains(out, fmt.Sprintf("unknown %q variable", name)) {
			t.Fatalf("%s\n%s", config, out)
		}
		return passes
	}
	if ask(HTTP, Variable{Name: "geoip_country_codeq"}) || ask(Stream, Variable{Name: "ssl_protocolq"}) {
		t.Error("nginx knows variables that there are not")
	}
	asked := 0
	for _, m := range table.Modules {
		for _, v := range m.Variables {
			if !ask(m.Type, v) {
				t.Errorf("$%s of %s is not known to nginx", v.Name, m.Name)
			}
			asked++
		}
	}
	if asked < 100 {
		t.Errorf("only %d variables", asked)
	}
}

// In which file a variable is defined, the sources tell.
func TestAVariablesModuleIsTheOneThatDefinesIt(t *testing.T) {
	// The core modules keep theirs in a file of their own.
	elsewhere := map[string]string{
		"ngx_http_core_module": "ngx_http_variables.c", "ngx_stream_core_module": "ngx_stream_variables.c",
	}
	for _, version := range []string{"1.18.0", "1.26.3"} {
		byModule, byFile := sourceTexts(t, nginxtest.Source(t, version))
		placed := 0
		for _, m := range read(t, nginxtest.Release(t, version).Path).Modules {
			for _, v := range m.Variables {
				placed++
				text := byModule[m.Name] + byFile[elsewhere[m.Name]]
				if !strings.Contains(text, fmt.Sprintf("ngx_string(%q)", v.Name)) {
					t.Errorf("nginx %s: the source of %s does not define $%s", version, m.Name, v.Name)
				}
			}
		}
		if placed < 80 {
			t.Errorf("nginx %s: only %d variables have a module", version, placed)
		}
	}
}

// sourceTexts reads nginx's C files: by their base names, and by the modules they define.
func sourceTexts(t *testing.T, sources string) (byModule, byFile map[string]string) {
	t.Helper()
	byModule, byFile = map[string]string{}, map[string]string{}
	defines := regexp.MustCompile(`\bngx_module_t\s+(\w+)\s*=`)
	err := filepath.WalkDir(filepath.Join(sources, "src"), func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".c" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		byFile[d.Name()] = string(text)
		for _, m := range defines.FindAllStringSubmatch(string(text), -1) {
			byModule[m[1]] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return byModule, byFile
}

// loadConfig reads a configuration from a file of its own.
func loadConfig(t testing.TB, text string) *conf.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := conf.Load(conf.Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
