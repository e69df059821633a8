package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginx/conf"
	"graft/internal/nginxtest"
	"graft/internal/parity"
)

// compared is one configuration under two binaries, one after the other.
type compared struct {
	t         testing.TB
	inst      *nginxtest.Instance // laid out, not started
	openResty string              // the OpenResty equivalent's nginx, where its libraries are found
}

func newCompared(t testing.TB, config string) *compared {
	t.Helper()
	h := &host{t: t, state: t.TempDir()}
	tree := filepath.Join(h.state, "artifacts", h.openResty(), "tree")
	// LuaJIT's library is looked for where it is to be installed; this is the sandbox's root.
	if err := os.CopyFS("/usr/local/openresty", os.DirFS(filepath.Join(tree, "usr/local/openresty"))); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll("/usr/local/openresty") })
	return &compared{t: t, inst: nginxtest.Prepare(t, nginxtest.Options{Config: config}), openResty: "/usr/local/openresty/nginx/sbin/nginx"}
}

func (c *compared) requests() []parity.Request {
	c.t.Helper()
	config, err := conf.Load(conf.Options{File: c.inst.Conf})
	if err != nil {
		c.t.Fatal(err)
	}
	requests, _ := parity.FromConfig(parity.Source{Config: config, Prefix: c.inst.Prefix})
	return parity.Number(requests)
}

// ask asks one binary the requests; one that does not start answers none.
func (c *compared) ask(binary, prefix string, requests []parity.Request) []parity.Answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for _, dir := range []string{"logs", "temp"} {
		if err := os.MkdirAll(filepath.Join(prefix, dir), 0o755); err != nil {
			c.t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, binary, "-p", prefix+"/", "-c", c.inst.Conf, "-g", "daemon off;")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	running := true
	for up := false; running && !up; {
		conn, err := net.Dial("tcp", c.inst.Addr("http"))
		if up = err == nil; up {
			conn.Close()
		}
		select {
		case <-ended:
			running = false
			c.t.Logf("%s: %s", binary, out.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	answers := parity.Client{Dial: func(ctx context.Context, _ netip.Addr, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}.Run(ctx, requests)
	if running {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			c.t.Error(err)
		}
		<-ended
	}
	return answers
}

func told(t testing.TB, r *parity.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b, 0); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The pair that graft exists for: Debian's nginx and its OpenResty equivalent.
func TestParityOfDebiansNginxAndItsOpenRestyEquivalent(t *testing.T) {
	c := newCompared(t, nginxtest.Realistic)
	requests := c.requests()
	old := c.ask(nginxtest.Debian(t).Path, c.inst.Prefix, requests)
	report := parity.Compare(requests, old, c.ask(c.openResty, c.inst.Prefix, requests), nil)
	if !report.Green() || report.Suspicious != 0 || report.Requests < 8 {
		t.Errorf("%s", told(t, report))
	}
}

const luaSite = `user {{.User}}; pid {{.PidFile}}; error_log {{.ErrorLog}}; events { }
http { access_log off; client_body_temp_path temp/a; proxy_temp_path temp/b; fastcgi_temp_path temp/c; uwsgi_temp_path temp/d; scgi_temp_path temp/e;
server { listen 127.0.0.1:{{.Port "http"}}; server_name a.test;
location /lua { content_by_lua_block { ngx.say("from ", ngx.config.prefix(), " }") } }
location /plain { return 200 "plain\n"; }
location / { return 204; }
} }
`

func TestParityShowsALuaBlockThatAnswersDifferently(t *testing.T) {
	c := newCompared(t, luaSite)
	requests := c.requests()
	other := t.TempDir()
	report := parity.Compare(requests, c.ask(c.openResty, c.inst.Prefix, requests), c.ask(c.openResty, other, requests), nil)
	if len(report.Groups) == 0 || report.Groups[0].Class != parity.Breaking || report.Groups[0].Kind != "body" || report.Groups[0].Location.Line != 4 {
		t.Fatalf("%s", told(t, report))
	}
	want := []string{fmt.Sprintf("- from %s/ }", c.inst.Prefix), fmt.Sprintf("+ from %s/ }", other)}
	if got := report.Groups[0].Example.Diff; !slices.Equal(got, want) {
		t.Errorf("diff %q, want %q", got, want)
	}
	if report.Groups[0].Count != report.Breaking || report.Suspicious != 0 {
		t.Errorf("more than the Lua block: %s", told(t, report))
	}
}

func TestParityShowsALuaBlockThatTheTargetDoesNotKnow(t *testing.T) {
	c := newCompared(t, luaSite)
	requests := c.requests()
	report := parity.Compare(requests, c.ask(c.openResty, c.inst.Prefix, requests), c.ask(nginxtest.Debian(t).Path, c.inst.Prefix, requests), nil)
	if report.Green() || report.Breaking != report.Requests {
		t.Errorf("%s", told(t, report))
	}
}
