package cli_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"graft/internal/accesslog"
	"graft/internal/nginxtest"
)

// The gates are put to the truth here: real nginx under uneven traffic, targets that are worse in one
// way each, and targets that are not. GRAFT_FIELD=full makes them as long as a careful operator would.
func fullField() bool { return os.Getenv("GRAFT_FIELD") == "full" }

// fieldFormat tells times, as a log must whose latency is to be compared; with $pid it also tells the
// two generations apart.
func fieldFormat(pid bool) string {
	format := `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" ` +
		`$host $request_time $upstream_response_time`
	if pid {
		format += ` [$pid]`
	}
	return format
}

// fieldConf is a small shop: static pages, an application behind a proxy, downloads, two names.
const fieldConf = `user {{.User}};
worker_processes 2;
pid {{.PidFile}};
error_log {{.ErrorLog}} notice;
events { worker_connections 1024; }
http {
	types { text/html html; text/plain txt; }
	log_format field '@format@';
	access_log {{.AccessLog}} field;
	keepalive_timeout 65;
	client_body_temp_path temp/body;
	proxy_temp_path temp/proxy;
	fastcgi_temp_path temp/fastcgi;
	uwsgi_temp_path temp/uwsgi;
	scgi_temp_path temp/scgi;
	upstream app { server 127.0.0.1:{{.Port "app"}}; keepalive 16; }
	server {
		listen 127.0.0.1:{{.Port "http"}};
		server_name shop.example;
		root html;
		location / { index index.html; }
		location /app/ { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
		location /cart/ { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
	server {
		listen 127.0.0.1:{{.Port "http"}};
		server_name api.example;
		location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
}
`

// fieldHost is a host with that nginx, its application, and, if asked for, two days of logs before.
func fieldHost(t testing.TB, opts nginxtest.Options, pid bool, days *history) *host {
	t.Helper()
	opts.Config = strings.Replace(cmp.Or(opts.Config, fieldConf), "@format@", fieldFormat(pid), 1)
	h := newHost(t, opts)
	if days != nil {
		days.into(t, h.inst.AccessLog, pid)
	}
	h.application()
	return h
}

// application answers what each request asks for: after ms milliseconds, with the status.
func (h *host) application() {
	h.t.Helper()
	if h.inst.Ports["app"] == 0 {
		return
	}
	l, err := net.Listen("tcp", h.inst.Addr("app"))
	if err != nil {
		h.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.URL.Query()
		if ms, err := strconv.Atoi(asked.Get("ms")); err == nil {
			select {
			case <-time.After(time.Duration(ms) * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		w.Header().Set("Content-Type", "text/plain")
		if status, err := strconv.Atoi(asked.Get("status")); err == nil {
			w.WriteHeader(status)
		}
		fmt.Fprintln(w, "answered")
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // nginx keeps connections to it open
		<-done
	})
}

// gateRun is what a migration through its gates came to, as `-o jsonl` tells it.
type gateRun struct {
	code    int
	stderr  string
	phases  map[string]time.Time // when each was entered first
	from    string               // overlap or parked, whichever was entered last
	Outcome struct {
		Phase  string
		Reason string
		Why    []string
	}
}

// through runs graft apply, and calls on at each phase that is entered.
func (h *host) through(on func(phase string), args ...string) gateRun {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), crowdLength)
	defer cancel()
	cmd := exec.CommandContext(ctx, graftPath(), append(args, "--no-rehearsal", "-o", "jsonl", "--state-dir", h.state)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	run := gateRun{phases: map[string]time.Time{}}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var e struct {
			Time    time.Time
			Phase   string
			Outcome json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			h.t.Errorf("%v in %s", err, lines.Bytes())
			continue
		}
		if e.Outcome != nil {
			if err := json.Unmarshal(e.Outcome, &run.Outcome); err != nil {
				h.t.Errorf("%v in %s", err, lines.Bytes())
			}
			continue
		}
		if _, known := run.phases[e.Phase]; known { // the way back leads through earlier ones
			continue
		}
		run.phases[e.Phase] = e.Time
		if e.Phase == "overlap" || e.Phase == "parked" {
			run.from = e.Phase
		}
		on(e.Phase)
	}
	_ = cmd.Wait() // its exit code tells
	run.code, run.stderr = cmd.ProcessState.ExitCode(), stderr.String()
	return run
}

// words is all that the run gave as its reasons.
func (r gateRun) words() string {
	return strings.Join(slices.Concat([]string{r.Outcome.Reason}, r.Outcome.Why), "; ")
}

// after is how long it took from a moment to the entry of a phase.
func (r gateRun) after(since time.Time, phase string) time.Duration {
	return r.phases[phase].Sub(since).Round(100 * time.Millisecond)
}

// logged tells the lines of the access log by worker, those of the time before among them, and checks that
// each can be read.
func (h *host) logged(pid bool) string {
	h.t.Helper()
	format, err := accesslog.Compile(fieldFormat(pid), "default")
	if err != nil {
		h.t.Fatal(err)
	}
	data, err := os.ReadFile(h.inst.AccessLog)
	if err != nil {
		h.t.Fatal(err)
	}
	byWorker := map[int]int{}
	scanner := accesslog.NewScanner(accesslog.Formats{format})
	scanner.Scan(data, func(r *accesslog.Record) { byWorker[r.PID]++ })
	if scanner.Malformed > 0 || len(byWorker) == 0 {
		h.t.Errorf("%d of %d lines are malformed: %q", scanner.Malformed, scanner.Lines, scanner.Samples)
	}
	return fmt.Sprintf("lines by worker %v", byWorker)
}
