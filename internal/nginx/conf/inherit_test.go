package conf

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
)

// inheriting has every kind of inheritance on several levels. What is in effect shows in the answers.
const inheriting = `
events { }
pid run/nginx.pid;
error_log logs/error.log;
http {
	access_log logs/http;
	client_body_temp_path temp/b; proxy_temp_path temp/p; fastcgi_temp_path temp/f; uwsgi_temp_path temp/u; scgi_temp_path temp/s;
	default_type text/plain;
	error_page 404 /404;
	root roots/http;
	add_header X-A http always;
	more_set_headers "X-M-http: 1";
	proxy_set_header X-H http; proxy_set_header X-I http;
	fastcgi_param REQUEST_METHOD GET; fastcgi_param SERVER_PROTOCOL HTTP/1.0; fastcgi_param P http; fastcgi_param Q http;
	header_filter_by_lua_block { ngx.header["X-L"] = "http" }
	index index;
	server {
		listen 127.0.0.1:{{.Port "up"}};
		access_log off; header_filter_by_lua_block { }
		more_clear_headers X-M-http;
		location / { add_header X-None 1; return 200 "up $uri h=$http_x_h i=$http_x_i"; }
	}
	server {
		listen 127.0.0.1:{{.Port "http"}};
		set $v server;
		location = /404 { return 200 "page of http"; }
		location = /e404 { return 200 "page of location"; }
		location /plain/ { }
		location /one/ {
			access_log logs/a; access_log logs/b;
			add_header X-A one always; add_header X-A two always;
			more_set_headers "X-M-one: 1";
			root roots/one;
			location /one/in/ { }
			location /one/off/ { access_log off; more_clear_headers "X-M-http"; header_filter_by_lua_file lua/inner.lua; }
		}
		location /alias/ { alias roots/alias/; location /alias/in/ { } location /alias/root/ { root roots/root; } }
		location /denied/ { deny all; location /denied/in/ { } location /denied/allowed/ { allow 127.0.0.1; } }
		location /err/ { error_page 404 /e404; location /err/in/ { } location /err/own/ { error_page 403 /404; } }
		location /pass/ {
			proxy_pass http://127.0.0.1:{{.Port "up"}}/one/; proxy_set_header X-H pass;
			if ($arg_if) { add_header X-A if; }
			limit_except GET { allow all; }
			location /pass/in/ { }
			location /pass/more/ { proxy_pass http://127.0.0.1:{{.Port "up"}}/two/; }
		}
		location /fcgi/ { fastcgi_pass 127.0.0.1:{{.Port "fcgi"}}; location /fcgi/p/ { fastcgi_param REQUEST_METHOD GET; fastcgi_param SERVER_PROTOCOL HTTP/1.0; fastcgi_param P location; fastcgi_pass 127.0.0.1:{{.Port "fcgi"}}; } }
		location /status/ {
			stub_status;
			if ($arg_if) { add_header X-A if; }
			limit_except GET { allow all; }
			location /status/in/ { }
		}
		location /lua/ {
			content_by_lua_block { ngx.print("said by lua") }
			if ($arg_if) { add_header X-A if; }
			limit_except GET { allow all; }
			location /lua/in/ { }
		}
		location /try/ { try_files /one/index =404; location /try/in/ { } }
		location /return/ { return 200 "returned"; location /return/in/ { } }
		location /rewrite/ { rewrite ^ /one/index break; location /rewrite/in/ { } }
	}
}
`

// What nginx does is compared with what is written here, and what InEffect says with both.
func TestWhatIsInEffectIsWhatNginxUses(t *testing.T) {
	bin, load, packagePath, env := nginxtest.WithLua(t)
	more := filepath.Join(bin.Modules, "ngx_http_headers_more_filter_module.so")
	files := map[string]string{"conf/lua/inner.lua": "", "lua/inner.lua": `ngx.header["X-L"] = "inner"`}
	for _, dir := range []string{"http", "one", "alias", "root"} {
		for _, sub := range []string{"", "plain/", "one/", "one/in/", "one/off/", "in/", "root/", "alias/root/", "denied/", "denied/in/", "denied/allowed/", "status/", "lua/in/", "status/in/", "return/in/", "pass/in/"} {
			files["roots/"+dir+"/"+sub+"index"] = "root " + dir
		}
	}
	inst := nginxtest.Start(t, nginxtest.Options{
		Binary: bin, Env: env, Files: files,
		Config: "user {{.User}};\n" + load + "load_module " + more + ";\n" + strings.Replace(inheriting, "http {", "http {\n"+packagePath, 1),
	})
	serveFastCGI(t, inst.Addr("fcgi"))
	c, err := Load(Options{File: inst.Conf})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		request string // METHOD URI
		block   string // the location's argument, and a block in it
		name    string // of the directive
		want    string // what nginx does, and what we say
	}{
		{"GET /plain/", "/plain/", "add_header", "http"},
		{"GET /plain/", "/plain/", "root", "http"},
		{"GET /plain/", "/plain/", "access_log", "http"},
		{"GET /plain/", "/plain/", "more_set_headers", "http"},
		{"GET /plain/", "/plain/", "header_filter_by_lua_block", "http"},
		{"GET /plain/gone", "/plain/", "error_page", "http"},

		{"GET /one/", "/one/", "add_header", "one two"}, // http's is gone
		{"GET /one/in/", "/one/in/", "add_header", "one two"},
		{"GET /one/in/", "/one/in/", "root", "one"},
		{"GET /one/in/", "/one/in/", "access_log", "a b"},
		{"GET /one/in/", "/one/in/", "more_set_headers", "http one"}, // both
		{"GET /one/off/", "/one/off/", "more_set_headers", "one"},
		{"GET /one/off/", "/one/off/", "access_log", ""},
		{"GET /one/off/", "/one/off/", "header_filter_by_lua_block", "inner"}, // the _file is in its place

		{"GET /alias/", "/alias/", "root", "alias"},
		{"GET /alias/root/", "/alias/root/", "root", "root"},
		{"GET /alias/in/", "/alias/in/", "alias", "alias"},

		{"GET /denied/", "/denied/", "deny", "deny"},
		{"GET /denied/in/", "/denied/in/", "allow", "deny"},
		{"GET /denied/allowed/", "/denied/allowed/", "deny", "allow"},

		{"GET /err/in/gone", "/err/in/", "error_page", "location"},
		{"GET /err/own/gone", "/err/own/", "error_page", ""}, // for 403 alone: 404 is nginx's own page

		{"GET /pass/", "/pass/", "proxy_pass", "/one/"},
		{"GET /pass/?if=1", "/pass/ if", "proxy_pass", "/one/"},
		{"DELETE /pass/", "/pass/ limit_except", "proxy_pass", "/one/"},
		{"GET /pass/in/", "/pass/in/", "proxy_pass", ""},
		{"GET /pass/more/", "/pass/more/", "proxy_pass", "/two/"},
		{"GET /pass/more/", "/pass/more/", "proxy_set_header", "pass"}, // X-I of http is gone
		{"GET /pass/?if=1", "/pass/ if", "add_header", "if"},
		{"GET /fcgi/", "/fcgi/", "fastcgi_param", "P=http Q=http"},
		{"GET /fcgi/p/", "/fcgi/p/", "fastcgi_param", "P=location"},

		{"GET /status/", "/status/", "stub_status", "yes"},
		{"GET /status/?if=1", "/status/ if", "stub_status", "yes"},
		{"DELETE /status/", "/status/ limit_except", "stub_status", ""},
		{"GET /status/in/", "/status/in/", "stub_status", ""},
		{"GET /lua/", "/lua/", "content_by_lua_file", "yes"},
		{"GET /lua/?if=1", "/lua/ if", "content_by_lua_block", "yes"},
		{"DELETE /lua/", "/lua/ limit_except", "content_by_lua_block", ""},
		{"GET /lua/in/", "/lua/in/", "content_by_lua_block", ""},

		{"GET /try/x", "/try/", "try_files", "yes"},
		{"GET /try/in/x", "/try/in/", "try_files", ""},
		{"GET /return/", "/return/", "return", "yes"},
		{"GET /return/in/", "/return/in/", "return", ""},
		{"GET /rewrite/x", "/rewrite/", "rewrite", "yes"},
		{"GET /rewrite/in/x", "/rewrite/in/", "rewrite", ""},
	} {
		t.Run(tt.name+" "+tt.request, func(t *testing.T) {
			if did := seen(t, inst, tt.name, tt.request); did != tt.want {
				t.Errorf("nginx does %q, not %q", did, tt.want)
			}
			if said := told(c.InEffect(block(t, c, tt.block), tt.name)); said != tt.want {
				t.Errorf("we say %q, not %q", said, tt.want)
			}
		})
	}
}

// block finds a location by its argument and, after a space, a block in it.
func block(t *testing.T, c *Config, path string) *Directive {
	t.Helper()
	location, inner, nested := strings.Cut(path, " ")
	i := slices.IndexFunc(c.Find("location"), func(d *Directive) bool { return d.Arg(0) == location && d.Context() == "http" })
	if i < 0 {
		t.Fatalf("no location %s", location)
	}
	d := c.Find("location")[i]
	if nested {
		d = first(d.Block, inner)
	}
	return d
}

// told puts directives in the terms of the table.
func told(ds []*Directive) string {
	var list []string
	for _, d := range ds {
		switch {
		case d.Name == "add_header" || d.Name == "proxy_set_header" && d.Arg(0) == "X-H":
			list = append(list, d.Arg(1))
		case d.Name == "fastcgi_param" && len(d.Arg(0)) == 1:
			list = append(list, d.Arg(0)+"="+d.Arg(1))
		case d.Name == "root" || d.Name == "alias" || d.Name == "access_log" && d.Arg(0) != "off":
			list = append(list, filepath.Base(d.Arg(0)))
		case d.Name == "allow" || d.Name == "deny":
			list = append(list, d.Name)
		case d.Name == "more_set_headers":
			name, _, _ := strings.Cut(strings.TrimPrefix(d.Arg(0), "X-M-"), ":")
			list = append(list, name)
		case d.Name == "more_clear_headers":
			list = slices.DeleteFunc(list, func(name string) bool { return name == strings.TrimPrefix(d.Arg(0), "X-M-") })
		case d.Name == "error_page" && d.Arg(0) == "404":
			list = append(list, map[string]string{"/404": "http", "/e404": "location"}[d.Arg(1)])
		case d.Name == "proxy_pass":
			list = append(list, d.Arg(0)[strings.LastIndex(strings.TrimSuffix(d.Arg(0), "/"), "/"):])
		case d.Name == "header_filter_by_lua_block":
			list = append(list, "http")
		case d.Name == "header_filter_by_lua_file":
			list = append(list, "inner")
		case d.Name == "access_log" || d.Name == "proxy_set_header" || d.Name == "fastcgi_param" || d.Name == "error_page":
		default:
			list = append(list, "yes")
		}
	}
	return strings.Join(list, " ")
}

// seen makes a request and tells, in the same terms, what nginx did.
func seen(t *testing.T, inst *nginxtest.Instance, name, request string) string {
	t.Helper()
	method, uri, _ := strings.Cut(request, " ")
	logs, err := filepath.Glob(inst.Prefix + "/logs/*")
	if err != nil {
		t.Fatal(err)
	}
	before := lengths(t, logs)
	resp := get(t, inst.Addr("http"), method, uri)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	body := string(text)
	yes := func(is bool) string {
		if is {
			return "yes"
		}
		return ""
	}
	switch name {
	case "add_header":
		return strings.Join(resp.Header["X-A"], " ")
	case "more_set_headers":
		var list []string
		for _, level := range []string{"http", "one"} {
			if resp.Header.Get("X-M-"+level) != "" {
				list = append(list, level)
			}
		}
		return strings.Join(list, " ")
	case "header_filter_by_lua_block":
		return resp.Header.Get("X-L")
	case "root", "alias":
		return strings.TrimPrefix(body, "root ")
	case "access_log":
		var grown []string
		for log, n := range lengths(t, logs) {
			if n > before[log] && filepath.Base(log) != "error.log" {
				grown = append(grown, filepath.Base(log))
			}
		}
		slices.Sort(grown)
		return strings.Join(grown, " ")
	case "allow", "deny":
		return map[int]string{http.StatusOK: "allow", http.StatusForbidden: "deny"}[resp.StatusCode]
	case "error_page":
		page, _ := strings.CutPrefix(body, "page of ")
		if page == body {
			return ""
		}
		return page
	case "proxy_pass":
		var path string
		if n, _ := fmt.Sscanf(body, "up %s ", &path); n == 1 {
			return path
		}
		return ""
	case "proxy_set_header":
		var path, h string
		if n, err := fmt.Sscanf(body, "up %s h=%s i=", &path, &h); n != 2 || !strings.HasSuffix(body, "i=") {
			t.Errorf("%q: %v", body, err)
		}
		return h
	case "fastcgi_param":
		return body
	case "stub_status":
		return yes(strings.HasPrefix(body, "Active connections"))
	case "content_by_lua_block", "content_by_lua_file":
		return yes(body == "said by lua")
	case "return":
		return yes(body == "returned")
	case "try_files", "rewrite":
		return yes(body == "root http")
	}
	t.Fatalf("nothing shows %s", name)
	return ""
}

// get makes a request and returns when nginx has closed the connection, which it does after logging.
func get(t *testing.T, addr, method, uri string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.0\r\n\r\n", method, uri)
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func lengths(t *testing.T, files []string) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		sizes[file] = info.Size()
	}
	return sizes
}

// serveFastCGI answers with the parameters P and Q.
func serveFastCGI(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var list []string
		for _, name := range []string{"P", "Q"} {
			if value, ok := fcgi.ProcessEnv(r)[name]; ok {
				list = append(list, name+"="+value)
			}
		}
		fmt.Fprint(w, strings.Join(list, " "))
	}))
}

func TestInEffectOutsideOfHTTP(t *testing.T) {
	c := parsed(t, `error_log main; error_log main2; stream { access_log s; server { listen 1; proxy_pass a:1; } server { access_log t; error_log u; } } http { map $a $b { root x; } server { root y; } }`)
	servers := c.Find("server")
	for _, tt := range []struct {
		block *Directive
		name  string
		want  string
	}{
		{nil, "error_log", "error_log main; error_log main2"},
		{nil, "access_log", ""},
		{servers[0], "error_log", "error_log main; error_log main2"},
		{servers[0], "access_log", "access_log s"},
		{servers[0], "proxy_pass", "proxy_pass a:1"},
		{servers[1], "access_log", "access_log t"},
		{servers[1], "error_log", "error_log u"},
		{servers[1], "proxy_pass", ""},
		{c.Find("map")[0], "root", ""},
		{servers[2], "alias", "root y"},
	} {
		if diff := cmp.Diff(tt.want, outline(c.InEffect(tt.block, tt.name))); diff != "" {
			t.Errorf("%s %s", tt.name, diff)
		}
	}
	if d := c.Effective(servers[2], "alias"); d != nil {
		t.Errorf("Effective gives %s for alias", d.Name)
	}
}
