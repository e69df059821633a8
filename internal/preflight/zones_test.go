package preflight

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// resumes makes two TLS connections and tells whether the second resumed the session that cache holds; the
// first one fills it if it is empty.
func resumes(t *testing.T, addr string, cache tls.ClientSessionCache) bool {
	t.Helper()
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: cache, MaxVersion: tls.VersionTLS12,
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().DidResume
}

func TestSharedZonesRestart(t *testing.T) {
	config := strings.Replace(nginxtest.Realistic, "keepalive_timeout 65;", `keepalive_timeout 65;
    limit_req_zone $server_name zone=few:1m rate=1r/m;
    limit_conn_zone $server_name zone=some:1m;
    proxy_cache_path {{.Prefix}}/cache keys_zone=keys:1m;
    ssl_session_cache shared:tls:1m;`, 1)
	config = strings.Replace(config, "upstream app {", "upstream app {\n        zone peers 64k;", 1)
	config = strings.Replace(config, "location /app/ {", `location /few/ {
            limit_req zone=few;
            return 204;
        }
        location /app/ {`, 1)
	config = strings.Replace(config, "    server {\n        listen 127.0.0.1:{{.Port \"app\"}};", `    server {
        listen 127.0.0.1:{{.Port "kept"}} ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        ssl_session_cache off;
        ssl_session_ticket_key ticket.key;
        return 204;
    }
    server {
        listen 127.0.0.1:{{.Port "made"}} ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        ssl_session_cache off;
        return 204;
    }
    server {
        listen 127.0.0.1:{{.Port "app"}};`, 1)
	config = strings.Replace(config, "location /few/ {\n            limit_req zone=few;\n            return 204;", "location /few/ {\n            limit_req zone=few;\n            empty_gif;", 1)
	inst := nginxtest.Start(t, nginxtest.Options{Config: config, Files: map[string]string{"conf/ticket.key": strings.Repeat("0123456789abcdef", 5)}})

	asked(t, subject(t, inst, hardened(t)), "shared-zones-restart", Note,
		"limits: few ("+inst.Conf+":", "some (", "upstream state: peers (", "TLS sessions: tls (", "cache keys: keys (", "servers without ssl_session_ticket_key")

	first := func() bool { return ask(t, inst.Addr("http"), "/few/").StatusCode == http.StatusOK }
	if !first() || first() {
		t.Fatal("the limit does not hold")
	}
	made, kept := tls.NewLRUClientSessionCache(1), tls.NewLRUClientSessionCache(1)
	for name, cache := range map[string]tls.ClientSessionCache{"made": made, "kept": kept} {
		if resumes(t, inst.Addr(name), cache) || !resumes(t, inst.Addr(name), cache) {
			t.Fatalf("%s: a ticket is not taken", name)
		}
	}
	inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
	eventually(t, "the reload", func() bool { return strings.Count(inst.ErrorLogText(t), "gracefully shutting down") >= 2 })
	if first() {
		t.Error("a reload lost the limit's count")
	}

	upgrade(t, inst, 2)
	inst.Signal(t, inst.MasterPID, quit)
	alone(t, inst)
	if !first() {
		t.Error("the new master knows of the request that was counted before")
	}
	if resumes(t, inst.Addr("made"), made) {
		t.Error("a ticket of the old master's own key was taken")
	}
	if !resumes(t, inst.Addr("kept"), kept) {
		t.Error("a ticket of the key in the file was not taken")
	}
}

func TestSharedZonesRestartWithoutZones(t *testing.T) {
	inst := startPackaged(t, packaged, "-c", "/etc/nginx/nginx.conf")
	asked(t, subject(t, inst, hardened(t)), "shared-zones-restart", OK, inst.Conf)
	off := strings.Replace(nginxtest.Realistic, "ssl_certificate cert.pem;", "ssl_session_tickets off;\n        ssl_certificate cert.pem;", 1)
	asked(t, subject(t, nginxtest.Start(t, nginxtest.Options{Config: off}), hardened(t)), "shared-zones-restart", OK)
}

func TestSharedZonesRestartKnowsLuaAndStrangers(t *testing.T) {
	const text = "http {\nlua_shared_dict d 1m;\nvhost_traffic_status_zone shared:vts:32m;\njs_shared_dict_zone zone=js:1M timeout=60s;\nlimit_req zone=one burst=5;\n}"
	c := sharedZonesRestart(parsed(t, text))
	for _, word := range []string{"Lua dictionaries: d (nginx.conf:2)", "vts (nginx.conf:3)", "js (nginx.conf:4)"} {
		if !strings.Contains(c.Evidence, word) {
			t.Errorf("%q: %s", word, c.Evidence)
		}
	}
	if strings.Contains(c.Evidence, "one (") {
		t.Errorf("limit_req makes no zone: %s", c.Evidence)
	}
}
