package cli_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

// Hosts as they are met: nothing about them is wrong, so a rehearsal has to be green.

const oddHead = `worker_processes 2; pid {{.PidFile}}; error_log {{.ErrorLog}} notice; events { }
`

const oddTemp = `client_body_temp_path temp/a; proxy_temp_path temp/b; fastcgi_temp_path temp/c; uwsgi_temp_path temp/d; scgi_temp_path temp/e;
`

// What answers in an unusual way: no default server, limits, passwords, a PROXY header, client certificates.
func TestRehearsalOfOddServers(t *testing.T) {
	resolvable(t, "gone.invalid")
	h := newHost(t, nginxtest.Options{
		Files: map[string]string{"conf/users": "a:{PLAIN}b\n", "html/ssi.shtml": "<!--#echo var=\"uri\" --> and <!--#include virtual=\"/page.txt\" -->\n"},
		Args:  []string{"{{.Exe}}", "-p", "{{.Prefix}}/", "-c", "{{.Conf}}", "-g", "user {{.User}}; worker_rlimit_nofile 2048;"},
		Config: oddHead + `http { ` + oddTemp + `types { text/html html shtml; text/plain txt; }
    access_log {{.Prefix}}/logs/$host.log; limit_req_zone $binary_remote_addr zone=l:1m rate=1r/m; gzip on; gzip_min_length 1;
    upstream gone { server gone.invalid:8080; server [2001:db8::7]:8080; server 192.0.2.9; }
    map $http_user_agent $agent { default other; ~*curl curl; }
    server { listen 127.0.0.1:{{.Port "http"}} default_server; return 444; }
    server { listen 127.0.0.1:{{.Port "http"}}; server_name a.test; root html;
        location /limited { limit_req zone=l; return 200 "in\n"; }
        location /secret { auth_basic "who"; auth_basic_user_file users; }
        location /ssi { ssi on; rewrite ^ /ssi.shtml break; }
        location /gone { proxy_pass http://gone; proxy_set_header X-Agent $agent; }
        location /var { set $to gone.invalid; proxy_pass http://$to:8080; resolver 192.0.2.53; }
        location /big { return 200 "$request_id $msec $connection\n"; } }
    server { listen 127.0.0.1:{{.Port "proxied"}} proxy_protocol; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; server_name b.test; location / { return 200 "$remote_addr\n"; } }
    server { listen [::1]:{{.Port "six"}} ipv6only=on; server_name c.test; location / { return 200 six; } }
    server { listen 192.0.2.80:{{.Port "far"}}; server_name d.test; access_log {{.AccessLog}}; location / { return 200 "far $remote_addr\n"; } }
    server { listen 127.0.0.1:{{.Port "mutual"}} ssl; server_name e.test; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_verify_client on; ssl_client_certificate cert.pem; location / { return 200 in; } }
    server { listen 127.0.0.1:{{.Port "reuse"}} reuseport; server_name f.test; location / { return 204; } }
}`,
	})
	resolvable(t)
	// Its own monitoring, a client, and what a proxy may claim.
	log := ""
	for n, source := range []string{"192.0.2.80", "198.51.100.1", "0.1.2.3", "255.255.255.255", "224.0.0.1", "127.0.0.1", "2001:db8::1"} {
		log += fmt.Sprintf("%s - - [24/Nov/2026:22:00:00 +0000] \"GET /%c?token=abcdefgh HTTP/1.1\" 200 40 \"-\" \"a client\"\n", source, 'a'+n)
	}
	if err := os.WriteFile(filepath.Join(h.inst.Prefix, "logs/access.log"), []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	r := h.rehearsal(0, h.plan(nginxtest.Release(t, "1.26.3").Path))
	if p := r.Parity; p.NoAnswer != 0 || p.FromLogs != 7 || p.FromConfig < 20 || len(p.LeftOut) != 0 {
		t.Errorf("%+v %+v", p.Report, p)
	}
	if want := []string{h.inst.Addr("http")}; !slices.Equal(r.Clients.Silent, want) { // 444
		t.Errorf("silent %v, want %v", r.Clients.Silent, want)
	}
}

// Only streams: there is no HTTP to compare, but what comes back through them.
func TestRehearsalOfStreamsAlone(t *testing.T) {
	h := newHost(t, nginxtest.Options{Binary: nginxtest.Release(t, "1.22.1"), Config: oddHead + `stream {
    upstream far { server 192.0.2.1:5432; server 192.0.2.2:5432; }
    server { listen 127.0.0.1:{{.Port "db"}}; proxy_pass far; }
    server { listen unix:{{.Prefix}}/run/db.sock; proxy_pass far; }
    server { listen 127.0.0.1:{{.Port "dns"}} udp; proxy_pass 192.0.2.53:53; }
}`})
	r := h.rehearsal(0, h.plan(nginxtest.Release(t, "1.26.3").Path))
	if len(r.Clients.Silent) != 2 || r.Parity.Requests != 2 || r.Parity.NoAnswer != 0 || r.Parity.Suspicious != 0 {
		t.Errorf("%+v %+v", r, r.Parity.Report)
	}
	for _, g := range r.Parity.Groups {
		t.Logf("%+v", g)
	}
}

// Its own user binds port 80 by a capability that systemd gives it, in a directory that is gone by now; its
// log is a pipe that somebody reads.
func TestRehearsalOfAnUnprivilegedService(t *testing.T) {
	cwd := t.TempDir()
	h := &host{t: t, state: t.TempDir(), inst: nginxtest.Prepare(t, nginxtest.Options{Config: oddHead + `http { ` + oddTemp + `
    access_log {{.AccessLog}}; server { listen 127.0.0.1:80; location / { return 200 "in\n"; } } }`})}
	if err := syscall.Mkfifo(h.inst.AccessLog, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(h.inst.AccessLog, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if out, err := exec.CommandContext(t.Context(), "chown", "-R", "www-data:www-data", h.inst.Prefix).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/setpriv", "--reuid=www-data", "--regid=www-data", "--init-groups", "--inh-caps=-all,+net_bind_service",
		"--ambient-caps=-all,+net_bind_service", "--bounding-set=-all,+net_bind_service", "--no-new-privs",
		h.inst.Exe, "-p", h.inst.Prefix+"/", "-c", h.inst.Conf, "-e", h.inst.ErrorLog)
	cmd.Dir = cwd
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Remove(cwd); err != nil {
		t.Fatal(err)
	}
	h.eventually("nginx runs", func() bool {
		pid, err := nginx.ReadPidFile(h.inst.PidFile)
		h.inst.MasterPID = pid
		return err == nil
	})
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	umask := syscall.Umask(0o077)
	defer syscall.Umask(umask)
	r := h.rehearsal(0, plan)
	if len(r.Clients.Addresses) != 1 || r.Parity.Requests == 0 {
		t.Errorf("%+v", r)
	}
	if err := reader.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := reader.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the clone wrote to the host's pipe: %v", err)
	}
}

// resolvable lets the sandbox's host know names, for as long as they are listed.
func resolvable(t *testing.T, names ...string) {
	t.Helper()
	text := "127.0.0.1 localhost\n"
	for _, name := range names {
		text += "192.0.2.77 " + name + "\n"
	}
	if err := os.WriteFile("/etc/hosts", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
