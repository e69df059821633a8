package parity

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginx/conf"
	"graft/internal/nginxtest"
	"graft/internal/stub"
)

func TestMain(m *testing.M) { nginxtest.Main(m) }

// site is a directory with a configuration that both binaries run on, one after the other.
type site struct {
	t      testing.TB
	dir    string
	config *conf.Config
}

// newSite lays out a configuration; {{dir}} in it is the site's directory. The stub upstream is at
// 127.0.0.1:9000.
func newSite(t testing.TB, text string, files map[string]string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "par") //nolint:usetesting // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cert, key, err := nginxtest.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"conf/nginx.conf": text, "conf/cert.pem": string(cert), "conf/key.pem": string(key)}
	for name, content := range files {
		all[name] = content
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, "{{dir}}", dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := &site{t: t, dir: dir}
	if s.config, err = conf.Load(conf.Options{File: filepath.Join(dir, "conf/nginx.conf")}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) source() Source { return Source{Config: s.config, Prefix: s.dir} }

// requests are those of the configuration.
func (s *site) requests() []Request {
	s.t.Helper()
	requests, left := FromConfig(s.source())
	for _, l := range left {
		s.t.Logf("left out: %s: %s", l.Where, l.Why)
	}
	return Number(requests)
}

// ask runs a binary on the site under a prefix and asks it the requests. One that does not start
// answers nothing.
func (s *site) ask(binary, prefix string, requests []Request) []Answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	stubs, err := stub.Start(ctx, []stub.Endpoint{{Network: "tcp", Address: "127.0.0.1:9000"}}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer stubs.Close()
	stop, ok := s.start(ctx, binary, prefix)
	if ok {
		defer stop()
	}
	answers := Client{Dial: dial}.Run(ctx, requests)
	Attach(answers, stubs.Seen)
	return answers
}

// start starts nginx in the foreground and returns once it listens; ok is false if it refuses to.
func (s *site) start(ctx context.Context, binary, prefix string) (stop func(), ok bool) {
	s.t.Helper()
	for _, dir := range []string{"logs", "temp"} {
		if err := os.MkdirAll(filepath.Join(prefix, dir), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, binary, "-p", prefix+"/", "-c", filepath.Join(s.dir, "conf/nginx.conf"), "-g", "daemon off;")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		select {
		case <-ended:
			s.t.Logf("%s: %s", binary, out.String())
			return nil, false
		default:
		}
		if c, err := net.Dial("tcp", "127.0.0.1:8080"); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s does not listen:\n%s", binary, out.String())
		}
	}
	return func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			s.t.Error(err)
		}
		<-ended
	}, true
}

func dial(ctx context.Context, _ netip.Addr, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

// text is a report as people read it.
func text(t testing.TB, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b, 0); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// expect looks for a group of that class and kind at a line of the main file.
func expect(t *testing.T, r *Report, class Class, kind string, line int) Group {
	t.Helper()
	for _, g := range r.Groups {
		if g.Class == class && g.Kind == kind && g.Location.Line == line {
			return g
		}
	}
	t.Errorf("no %s difference %q at line %d in:\n%s\n%s", class, kind, line, text(t, r), groups(r))
	return Group{}
}

func groups(r *Report) string {
	var b strings.Builder
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "%s %q %s %d\n", g.Class, g.Kind, g.Location, g.Count)
	}
	return b.String()
}
