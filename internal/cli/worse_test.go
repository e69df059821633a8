package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graft/internal/nginxtest"
)

// worse is an nginx that does worse on demand, by files in its working directory: a real one with a
// few lines more, so that it passes every check and misbehaves only while it serves.
func worse(t testing.TB) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "nginx") // its path is no part of what the build is known by
	if err := os.CopyFS(tree, os.DirFS(nginxtest.Source(t, "1.22.1"))); err != nil {
		t.Fatal(err)
	}
	insert(t, filepath.Join(tree, "src/core/nginx.c"), "main(int argc, char *const *argv)\n{", `
    if (getenv("NGINX") != NULL && access("die-at-start", F_OK) == 0) {
        fprintf(stderr, "nginx: [emerg] told to die at its start\n");
        return 1;
    }
`)
	insert(t, filepath.Join(tree, "src/core/nginx.c"), "ngx_add_inherited_sockets(ngx_cycle_t *cycle)\n{", `
    if (access("forget-sockets", F_OK) == 0) {
        return NGX_OK;
    }
`)
	insert(t, filepath.Join(tree, "src/http/modules/ngx_http_headers_filter_module.c"), "ngx_http_headers_filter(ngx_http_request_t *r)\n{", `
    if (access("no-headers", F_OK) == 0) {
        return ngx_http_next_header_filter(r);
    }
`)
	core := filepath.Join(tree, "src/http/ngx_http_core_module.c")
	insert(t, core, "#include <ngx_http.h>\n", `
/* what the file says; empty without one */
static ngx_str_t
worse_text(const char *name)
{
    static u_char  text[128];
    ngx_str_t      s = { 0, text };
    ssize_t        n;
    int            fd;

    fd = open(name, O_RDONLY);
    if (fd != -1) {
        n = read(fd, text, sizeof(text));
        s.len = n > 0 ? n : 0;
        (void) close(fd);
    }
    return s;
}

static ngx_int_t
worse_number(const char *name)
{
    ngx_str_t  s = worse_text(name);

    return s.len ? ngx_atoi(s.data, s.len) : 0;
}

static void
worse_go_on(ngx_http_request_t *r)
{
    if (r->connection->write->delayed) {
        (void) ngx_handle_write_event(r->connection->write, 0);
        return;
    }
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}
`)
	insert(t, core, "ngx_http_handler(ngx_http_request_t *r)\n{", `
    ngx_int_t   worse = worse_number("crash-one-in");
    ngx_str_t   told;

    if (access("crash", F_OK) == 0 || (worse > 0 && ngx_random() % worse == 0)) {
        raise(SIGSEGV);
    }
    if (access("fail", F_OK) == 0 || ngx_random() % 1000 < worse_number("fail-permille")) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }
    told = worse_text("fail-prefix");
    if (told.len && r->uri.len >= told.len && ngx_memcmp(r->uri.data, told.data, told.len) == 0) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }
    worse = worse_number("leak-bytes");
    if (worse > 0) {
        (void) memset(malloc(worse), 1, worse);
    }
`)
	// A request that says in its arguments how long its upstream takes (ms=20) takes that share longer.
	insert(t, core, "    r->gzip_vary = 0;\n#endif\n", `
    worse = worse_number("delay-percent");
    if (worse > 0 && !r->internal && ngx_http_arg(r, (u_char *) "ms", 2, &told) == NGX_OK) {
        r->read_event_handler = ngx_http_test_reading;
        r->write_event_handler = worse_go_on;
        r->connection->write->delayed = 1;
        ngx_add_timer(r->connection->write, ngx_atoi(told.data, told.len) * worse / 100 + 1);
        (void) ngx_handle_read_event(r->connection->read, 0);
        return;
    }
`)
	return nginxtest.Build(t, tree, nginxtest.Flags()...).Path
}

// insert puts text behind the anchor, which must be there once.
func insert(t testing.TB, file, anchor, text string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(data), anchor) != 1 {
		t.Fatalf("%s: %q is there %d times", file, anchor, strings.Count(string(data), anchor))
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), anchor, anchor+text, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// misbehave tells the worse nginx what to do, and where it is a matter of degree, how much.
func (h *host) misbehave(how string, much ...string) {
	h.t.Helper()
	// In one step: a worker must not read half of it.
	file := filepath.Join(h.inst.Prefix, how)
	if err := os.WriteFile(file+".new", []byte(strings.Join(much, "")), 0o644); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		h.t.Fatal(err)
	}
}

func TestANewMasterThatDiesAtItsStartIsTakenBack(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	before := h.sha256(h.inst.Exe)
	file := h.plan(worse(t))
	h.misbehave("die-at-start")
	load := light(t, h.inst)
	load.warm()
	r := h.must(5, with("apply", file)...)
	if !strings.Contains(r.stderr, "died at its start") {
		t.Errorf("the reason is not told: %s", r)
	}
	h.phase("rolled-back")
	load.lostNothing()
	h.restored(before)
}

func TestAGateThatFailsTakesTheBinaryBack(t *testing.T) {
	for how, reason := range map[string]string{"fail": "5xx", "crash": "exited on signal|crashed|tries lost|probes were lost"} {
		for _, at := range []string{"overlap", "parked"} {
			t.Run(how+" at "+at, func(t *testing.T) {
				h := newHost(t, nginxtest.Options{})
				before := h.sha256(h.inst.Exe)
				file := h.plan(worse(t))
				h.must(0, with("apply", file, "--until", at)...)
				h.misbehave(how)
				load := light(t, h.inst)
				r := h.must(5, "resume", "--overlap", "20s", "--park", "20s", "--probe-rate", "20")
				// Where all workers crash at once, no gate is needed to see it.
				gate := strings.Contains(r.stderr, "the gate at "+at+" failed") || strings.Contains(r.stderr, "all have crashed")
				// A probe may meet the crash before the log tells of it.
				if !gate || !regexp.MustCompile(reason).MatchString(r.stderr) {
					t.Errorf("the reason is not told: %s", r)
				}
				h.phase("rolled-back")
				load.stop()
				h.restored(before)
			})
		}
	}
}

func TestInconclusiveDoesNotPass(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	file := h.plan(nginxtest.Release(t, "1.26.3").Path)
	// No traffic at all, and a gate that asks for some.
	r := h.must(9, "apply", file, "--no-rehearsal", "--overlap", "200ms", "--park", "200ms", "--min-requests", "100", "--probe-rate", "20")
	if !strings.Contains(r.stderr, "requests of clients in the access log") {
		t.Errorf("what is missing is not told: %s", r)
	}
	h.phase("overlap")
	h.must(5, "resume", "--overlap", "200ms", "--min-requests", "100", "--undetermined", "rollback")
	h.phase("rolled-back")
}
