package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"graft/internal/nginxtest"
)

// Where the distribution's nginx has its files. The sandbox has its own.
const (
	confFile   = "/etc/nginx/nginx.conf"
	accessLog  = "/var/log/nginx/access.log"
	errorLog   = "/var/log/nginx/error.log"
	htmlDir    = "/usr/share/nginx/html"
	socketFile = "/run/www.sock"
)

// userAgent marks the demo's own requests in the access log: graft's probes are not counted.
const userAgent = "graft-demo"

// config is what the demo's nginx runs. root, include and the certificate are relative, as in many a
// grown configuration: they hang on the prefix and the conf path that are compiled in.
const config = `user www-data;
worker_processes 2;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log notice;

events {
    worker_connections 4096;
}

http {
    include mime.types;
    log_format pids '$remote_addr [$time_iso8601] "$request" $status $body_bytes_sent "$http_user_agent" $msec $pid';
    access_log /var/log/nginx/access.log pids;
    sendfile on;
    keepalive_timeout 65;

    upstream app {
        server 127.0.0.1:8080;
        keepalive 16;
    }

    server {
        listen 80;
        listen 443 ssl http2;
        listen unix:/run/www.sock;
        server_name www.example;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        root html;

        location /app/ {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
        include conf.d/*.conf;
    }
}
`

// luaConfig is a location that only OpenResty understands.
const luaConfig = `location = /hello {
    default_type text/plain;
    content_by_lua_file conf.d/hello.lua;
}
`

// The path of content_by_lua_file is relative to the prefix.
const luaPath = "/usr/share/nginx/conf.d/hello.lua"

const luaScript = `ngx.say(jit.version, " says hello from worker ", ngx.worker.pid(), " of ", ngx.worker.count())
`

// bigFile is the size of what slow readers download.
const bigFile = 64 << 20

// host is the sandbox with nginx as the distribution sets it up.
type host struct {
	old int // pid of the master that was started first
}

// raise lays out the host and starts its nginx, as Debian's unit does, and the upstream.
func raise(ctx context.Context) (*host, error) {
	nginx, err := nginxtest.FetchDebian(ctx) // outside it was cached
	if err != nil {
		return nil, err
	}
	if err := nginxtest.LayOver(ctx, nginx); err != nil {
		return nil, fmt.Errorf("lay out the host: %w", err)
	}
	if err := furnish(); err != nil {
		return nil, fmt.Errorf("lay out the host: %w", err)
	}
	if err := startUpstream(ctx); err != nil {
		return nil, err
	}
	start := exec.CommandContext(ctx, "/usr/sbin/nginx", "-g", "daemon on; master_process on;")
	start.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if out, err := start.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("start nginx: %w\n%s", err, out)
	}
	return awaitMaster()
}

func furnish() error {
	cert, key, err := nginxtest.SelfSigned()
	if err != nil {
		return err
	}
	for _, dir := range []string{"/var/log/nginx", "/var/lib/nginx", htmlDir, "/etc/nginx/conf.d", filepath.Dir(luaPath)} {
		err = errors.Join(err, os.MkdirAll(dir, 0o755))
	}
	big := filepath.Join(htmlDir, "big")
	return errors.Join(err,
		os.WriteFile(confFile, []byte(config), 0o644),
		os.WriteFile("/etc/nginx/cert.pem", cert, 0o644),
		os.WriteFile("/etc/nginx/key.pem", key, 0o600),
		os.WriteFile(filepath.Join(htmlDir, "page.txt"), []byte(strings.Repeat("a line of sixteen\n", 256)), 0o644),
		os.WriteFile(big, nil, 0o644),
		os.Truncate(big, bigFile), // a hole: it takes no space
	)
}

// startUpstream answers for the application behind nginx. It ends with the demo.
func startUpstream(ctx context.Context) error {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:8080")
	if err != nil {
		return fmt.Errorf("start the upstream: %w", err)
	}
	app := http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "the application answers %s\n", r.URL.Path)
		}),
	}
	go func() { _ = app.Serve(listener) }() // if it ends, nginx answers 502, and those are counted
	return nil
}

// awaitMaster returns when the workers run.
func awaitMaster() (*host, error) {
	const limit = 10 * time.Second
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		masters, err := readMasters()
		if err == nil && len(masters) == 1 && len(masters[0].workers) == 2 {
			return &host{old: masters[0].pid}, nil
		}
	}
	said, _ := os.ReadFile(errorLog)
	return nil, fmt.Errorf("nginx has no two workers after %s; its error log: %s", limit, said)
}

func (h *host) show() {
	fmt.Print("nginx runs as Debian starts it, in a sandbox of its own:\n\n")
	fmt.Printf("  %-14s/usr/sbin/nginx -g 'daemon on; master_process on;'\n", "started by")
	fmt.Printf("  %-14s*:80, *:443 (TLS, HTTP/2), unix:%s\n", "listens on", socketFile)
	fmt.Printf("  %-14sstatic files under a relative root, an upstream on 127.0.0.1:8080, a file of %d MiB\n\n", "serves", bigFile>>20)
}

// lua adds the location, reloads as an operator does, and asks for it.
func (h *host) lua(ctx context.Context) error {
	if err := errors.Join(
		os.WriteFile("/etc/nginx/conf.d/hello.conf", []byte(luaConfig), 0o644),
		os.WriteFile(luaPath, []byte(luaScript), 0o644),
	); err != nil {
		return err
	}
	fmt.Print(indented(luaConfig), "\n$ nginx -s reload\n")
	if out, err := exec.CommandContext(ctx, "/usr/sbin/nginx", "-s", "reload").CombinedOutput(); err != nil {
		return fmt.Errorf("reload: %w\n%s", err, out)
	}
	const limit = 10 * time.Second
	var last error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var answer string
		if answer, last = get(ctx, "http://127.0.0.1/hello"); last == nil {
			fmt.Printf("$ curl http://127.0.0.1/hello\n%s", answer)
			return nil
		}
	}
	return fmt.Errorf("the Lua location is not served after %s: %w", limit, last)
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", errors.New(answer.Status)
	}
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}
