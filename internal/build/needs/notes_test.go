package needs

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graft/internal/build/source"
	"graft/internal/nginxtest"
)

// nginx 1.18.0 is older than OpenSSL 3: what is noted happens, and the remedy helps.
func TestNotedFailureIsRealAndItsRemedyHelps(t *testing.T) {
	flags := []string{"--with-http_ssl_module", "--without-http_rewrite_module", "--without-http_gzip_module"}
	q := Query{Layout: source.LayoutNginx, Nginx: "1.18.0", Configure: flags}
	p := predict(t, q)
	if p.found.macros["OPENSSL_VERSION_MAJOR"] == "" {
		t.Skip("the OpenSSL of this machine is older than 3")
	}
	const remedy = "-Wno-error=deprecated-declarations"
	if len(p.Notes) != 1 || !p.Notes[0].Certain || !strings.HasPrefix(p.Notes[0].Remedy, "--flag=--with-cc-opt="+remedy+",") {
		t.Fatalf("notes: %v", p.Notes)
	}
	q.Configure = append(flags, "--with-cc-opt=-g "+remedy)
	if p := predict(t, q); len(p.Notes) > 0 {
		t.Errorf("with the remedy: %v", p.Notes)
	}
	q.Nginx = "1.21.2"
	if p := predict(t, q); len(p.Notes) > 0 {
		t.Errorf("nginx 1.21.2: %v", p.Notes)
	}

	tree := filepath.Join(t.TempDir(), "nginx")
	run := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = tree
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", nginxtest.Source(t, "1.18.0"), tree).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := run("./configure", flags...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const object = "objs/src/event/ngx_event_openssl.o"
	if out, err := run("make", "-f", "objs/Makefile", object); err == nil || !strings.Contains(out, "[-Werror=deprecated-declarations]") {
		t.Errorf("without the remedy: %v: %s", err, out)
	}
	if out, err := run("make", "-f", "objs/Makefile", "CFLAGS=-O -W -Wall -Wpointer-arith -Wno-unused-parameter -Werror -g "+remedy, object); err != nil {
		t.Errorf("with the remedy: %v: %s", err, out)
	}
}
