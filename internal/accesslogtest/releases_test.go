package accesslogtest

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"graft/internal/accesslog"
	"graft/internal/nginxtest"
)

// format is a log_format, and where the instance writes it.
type format struct{ name, escape, text string }

var formats = []format{
	{"combined", "", `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`},
	{"wide", "", `$msec $pid "$host" "$server_name" "$http_host" "$uri" "$request_uri" "$remote_user" [$time_iso8601] "$request" $status ` +
		`$request_time "$upstream_status" "$upstream_response_time" "$upstream_addr" $body_bytes_sent $bytes_sent "$http_user_agent" $connection $request_length $http_x_none`},
	{"json", "json", `{"time":"$time_iso8601","msec":$msec,"pid":$pid,"host":"$host","uri":"$uri","request":"$request","remote_user":"$remote_user","status":$status,` +
		`"bytes":$body_bytes_sent,"request_time":$request_time,"upstream_status":"$upstream_status","upstream_time":"$upstream_response_time","http_user_agent":"$http_user_agent"}`},
	{"none", "none", `$remote_addr [$time_local] $status $pid $request_time "$upstream_response_time" $body_bytes_sent "$request"`},
}

const conf = `user {{.User}};
worker_processes 1;
pid {{.PidFile}};
error_log {{.ErrorLog}} info;
events {}
http {
	client_body_temp_path temp/body;
	proxy_temp_path temp/proxy;
	fastcgi_temp_path temp/fastcgi;
	uwsgi_temp_path temp/uwsgi;
	scgi_temp_path temp/scgi;
	client_header_timeout 1s;
@formats@
	upstream app { server 127.0.0.1:{{.Port "app"}}; }
	upstream dead { server 127.0.0.1:{{.Port "dead"}} max_fails=0; server 127.0.0.1:{{.Port "app"}} backup; }
	server {
		listen 127.0.0.1:{{.Port "http"}};
		listen 127.0.0.1:{{.Port "https"}} ssl http2;
		server_name site.test;
		ssl_certificate cert.pem;
		ssl_certificate_key key.pem;
		location / { return 200 "yes\n"; }
		location /missing { root html; }
		location /app/ { proxy_pass http://app; }
		location /app/two-tries { proxy_pass http://dead; proxy_next_upstream error; }
		location /redirected/ { proxy_pass http://app; proxy_intercept_errors on; error_page 404 = /again; }
		location = /again { internal; proxy_pass http://app/copy; }
		location /mirrored { mirror /mirror; proxy_pass http://app; }
		location = /mirror { internal; log_subrequest on; proxy_pass http://app/copy; }
	}
}
`

// application answers as asked: after ms milliseconds, with the status.
func application(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ms, err := strconv.Atoi(r.URL.Query().Get("ms")); err == nil {
			select {
			case <-time.After(time.Duration(ms) * time.Millisecond):
			case <-r.Context().Done():
			}
		}
		if status, err := strconv.Atoi(r.URL.Query().Get("status")); err == nil {
			w.WriteHeader(status)
		}
		fmt.Fprintln(w, "answered")
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

// hostileInstance writes every log in all formats.
func hostileInstance(t *testing.T, binary nginxtest.Binary) (*nginxtest.Instance, *client) {
	t.Helper()
	var directives string
	for _, f := range formats {
		escape := ""
		if f.escape != "" {
			escape = "escape=" + f.escape + " "
		}
		if f.name != "combined" { // which nginx knows by itself
			directives += fmt.Sprintf("\tlog_format %s %s'%s';\n", f.name, escape, f.text)
		}
		directives += fmt.Sprintf("\taccess_log {{.Prefix}}/logs/%[1]s.log %[1]s;\n", f.name)
	}
	inst := nginxtest.Start(t, nginxtest.Options{Binary: binary, Config: strings.Replace(conf, "@formats@", directives, 1)})
	application(t, inst.Addr("app"))
	return inst, &client{t: t, inst: inst}
}

func TestLogsOfEveryNginxAreReadAsTheClientsSawThem(t *testing.T) {
	for name, binary := range nginxes(t) {
		t.Run(name, func(t *testing.T) {
			inst, c := hostileInstance(t, binary)
			c.sendAll()
			workers, err := inst.Workers(inst.MasterPID)
			if err != nil || len(workers) != 1 {
				t.Fatalf("workers %v, %v", workers, err)
			}
			for _, f := range formats {
				log := newLog(t, f, filepath.Join(inst.Prefix, "logs", f.name+".log"), len(c.all)+1) // and the mirror's subrequest
				log.everyLineIsARecord(workers[0])
				log.tells(c.all)
			}
		})
	}
}

// log is what an nginx wrote in one format.
type log struct {
	t      *testing.T
	name   string
	format *accesslog.Format
	lines  []string
}

// newLog waits for the last line: it comes after the answer.
func newLog(t *testing.T, f format, file string, lines int) *log {
	t.Helper()
	compiled, err := accesslog.Compile(f.text, f.escape)
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if data, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(data, []byte{'\n'}); got == lines {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%s: %d lines, want %d", file, got, lines)
		}
	}
	return &log{t, f.name, compiled, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")}
}

// everyLineIsARecord: none is malformed, and what each must tell it tells.
func (l *log) everyLineIsARecord(worker int) {
	l.t.Helper()
	now := time.Now().Unix()
	scanner, n := accesslog.NewScanner(accesslog.Formats{l.format}), 0
	rest := scanner.Scan([]byte(strings.Join(l.lines, "\n")+"\n"), func(r *accesslog.Record) {
		line := l.lines[n]
		n++
		if r.Time < now-120 || r.Time > now {
			l.t.Errorf("%s: the time is %d, now %d: %s", l.name, r.Time, now, line)
		}
		if want := l.format.Tells(accesslog.FieldPID); want && r.PID != worker {
			l.t.Errorf("%s: worker %d, want %d: %s", l.name, r.PID, worker, line)
		}
		if l.format.Tells(accesslog.FieldRequestTime) && (r.RequestTime < 0 || r.RequestTime > 20_000) {
			l.t.Errorf("%s: %d ms: %s", l.name, r.RequestTime, line)
		}
		if r.Bytes < 0 || r.Status < 200 || r.Status > 599 {
			l.t.Errorf("%s: %d bytes, status %d: %s", l.name, r.Bytes, r.Status, line)
		}
	})
	if rest != 0 || scanner.Malformed != 0 || n != len(l.lines) {
		l.t.Errorf("%s: %d bytes over, %d of %d lines malformed: %q", l.name, rest, scanner.Malformed, scanner.Lines, scanner.Samples)
	}
}

// tells compares what the lines tell with what the client sent and was answered: as many of each.
func (l *log) tells(all []sent) {
	l.t.Helper()
	want, got := map[string]int{}, map[string]int{}
	for _, s := range all {
		want[l.key(s.request, s.agent, s.user, s.status, s.proxied, s.fails)]++
	}
	mirrors := 0
	for _, line := range l.lines {
		var r accesslog.Record
		v, ok := l.format.Variables([]byte(line))
		if !l.format.Parse([]byte(line), &r) || !ok {
			l.t.Errorf("%s: malformed: %s", l.name, line)
			continue
		}
		request, agent, user := v["request"], v["http_user_agent"], v["remote_user"]
		if request == "GET /mirrored HTTP/1.1" && mirrors == 0 {
			mirrors++ // the subrequest, which tells of the same request line
			continue
		}
		if len(request) > 5000 {
			request = ""
		}
		got[l.key(request, agent, user, r.Status, r.UpstreamTime >= 0, int(r.UpstreamFailures))]++
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			l.t.Errorf("%s: %d times %s\nwant %d", l.name, got[k], k, want[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if want[k] == 0 {
			l.t.Errorf("%s: %d times %s\nwhich nobody sent", l.name, got[k], k)
		}
	}
}

// key is a request by what the format tells of it.
func (l *log) key(request, agent, user string, status int, proxied bool, fails int) string {
	text := fmt.Sprintf("%q: %d", request, status)
	if status == http.StatusBadRequest { // of a bad request nginx knows the headers up to the bad one
		return text
	}
	if l.format.Tells(accesslog.FieldUserAgent) {
		text += fmt.Sprintf(", agent %q, user %q", dash(agent), dash(user))
	}
	if l.format.Tells(accesslog.FieldUpstreamTime) {
		text += fmt.Sprintf(", proxied %v", proxied)
		if l.format.Tells(accesslog.FieldUpstreamStatus) {
			text += fmt.Sprintf(", %d failed tries", fails)
		}
	}
	return text
}

// dash: an empty variable is written as one, but not with escape=json.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
