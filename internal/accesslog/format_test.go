package accesslog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCombined(t *testing.T) {
	f := Combined()
	if f.Tells(FieldPID) || !f.Tells(FieldUserAgent) {
		t.Errorf("pid %v, user agent %v", f.Tells(FieldPID), f.Tells(FieldUserAgent))
	}
	const head = `127.0.0.1 - - [03/Nov/2026:10:15:42 +0000] `
	for name, c := range map[string]struct {
		line   string
		status int // 0: malformed
		agent  string
	}{
		"a request":         {head + `"GET / HTTP/1.1" 200 612 "-" "curl/8"`, 200, "curl/8"},
		"an upstream fault": {head + `"GET / HTTP/1.1" 502 150 "-" "curl/8"`, 502, "curl/8"},
		"no request line":   {head + `"" 400 0 "-" "-"`, 400, "-"},
		"status never set":  {head + `"-" 000 0 "-" "-"`, 0o0, "-"},
		"a status in the request": {
			head + `"GET /\x22 500 1 \x22-\x22 HTTP/1.1" 204 0 "-" "x"`, 204, "x"},
		"a quote in the agent":   {head + `"GET / HTTP/1.1" 200 5 "-" "a\x22 500 0 \x22b"`, 200, `a\x22 500 0 \x22b`},
		"a whole line as a user": {`::1 - a [03/Nov/2026:10:15:42 +0000] \x22GET / HTTP/1.1\x22 500 1 [03/Nov/2026:10:15:42 +0000] "GET / HTTP/1.1" 401 0 "-" "x"`, 401, "x"},
		"spaces in the user":     {`::1 - a b - c [x] [03/Nov/2026:10:15:42 +0000] "GET / HTTP/1.1" 401 0 "-" "x"`, 401, "x"},
		"no closing quote":       {head + `"GET / HTTP/1.1" 200 612 "-" "curl/8`, 0, ""},
		"cut in the midst":       {head + `"GET / HT`, 0, ""},
		"something behind":       {head + `"GET / HTTP/1.1" 200 612 "-" "curl/8" 1`, 0, ""},
		"four digits":            {head + `"GET / HTTP/1.1" 2000 612 "-" "curl/8"`, 0, ""},
		"a quote nginx escapes":  {head + `"GET /" 500 1 HTTP/1.1" 200 612 "-" "curl/8"`, 0, ""},
		"empty":                  {"", 0, ""},
		"another format":         {`{"status":200}`, 0, ""},
		"a line that never fits": {strings.Repeat(" - [", 5000), 0, ""},
		"a time that is not one": {`::1 - - [yesterday] "GET / HTTP/1.1" 200 1 "-" "-"`, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var r Record
			ok := f.Parse([]byte(c.line), &r)
			malformed := c.status == 0 && name != "status never set"
			if ok == malformed || r.Status != c.status || string(r.UserAgent) != c.agent {
				t.Errorf("%v %+v (agent %q); want %d, %q", ok, r, r.UserAgent, c.status, c.agent)
			}
		})
	}
}

func TestFormats(t *testing.T) {
	for name, c := range map[string]struct {
		format, escape, line string
		want                 Record
	}{
		"status and pid":        {`$status $pid`, "", `503 4711`, Record{Status: 503, PID: 4711}},
		"braces":                {`${status}x$pid`, "", `503x4711`, Record{Status: 503, PID: 4711}},
		"status last":           {`$request $status`, "", `GET /a 200 HTTP/1.1 404`, Record{Status: 404}},
		"status right behind":   {`$scheme$status`, "", `https200`, Record{Status: 200}},
		"two texts in a row":    {`$scheme$host $status`, "", `httpsexample.com 200`, Record{Status: 200}},
		"times of upstreams":    {`$status "$upstream_response_time" $pid`, "", `502 "0.5, 0.49 : 0.1" 9`, Record{Status: 502, PID: 9}},
		"json":                  {`{"agent":"$http_user_agent","status":$status,"pid":"$pid"}`, "json", `{"agent":"a\",\"status\":500,\"","status":201,"pid":"7"}`, Record{Status: 201, PID: 7, UserAgent: []byte(`a\",\"status\":500,\"`)}},
		"json, backslashes":     {`{"r":"$request","status":"$status"}`, "json", `{"r":"\\\\","status":"201"}`, Record{Status: 201}},
		"none":                  {`"$request" $status`, "none", `"GET /" HTTP/1.1" 200`, Record{Status: 200}},
		"an ISO time":           {`$time_iso8601|$status`, "", `2026-11-03T10:15:42+08:00|200`, Record{Status: 200}},
		"upper case":            {`$STATUS`, "", `200`, Record{Status: 200}},
		"the first of two":      {`$status $status`, "", `200 404`, Record{Status: 200}},
		"seconds, not measured": {`$request_time $status`, "", `- 200`, Record{Status: 200}},
		"text at the end":       {`$status $uri`, "", `200 /a b`, Record{Status: 200}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Compile(c.format, c.escape)
			if err != nil {
				t.Fatal(err)
			}
			var got Record
			ok := f.Parse([]byte(c.line), &got)
			if !ok || got.Status != c.want.Status || got.PID != c.want.PID || string(got.UserAgent) != string(c.want.UserAgent) {
				t.Errorf("%v %+v, want %+v", ok, got, c.want)
			}
		})
	}
}

func TestAFormatWithoutStatusIsUnobservable(t *testing.T) {
	if _, err := Compile(`$remote_addr $upstream_status`, ""); !errors.Is(err, ErrUnobservable) {
		t.Errorf("%v", err)
	}
	for _, broken := range []string{`$`, `$status ${pid`, `$status $-`, `${sta tus}`} {
		if _, err := Compile(broken, ""); err == nil || errors.Is(err, ErrUnobservable) {
			t.Errorf("%s: %v", broken, err)
		}
	}
	if _, err := Compile(`$status`, "xml"); err == nil {
		t.Error("escape=xml is taken")
	}
}

// escaped writes a variable as ngx_http_log_escape and ngx_escape_json do.
func escaped(escape, s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case escape == "json" && (c == '"' || c == '\\'):
			b.WriteByte('\\')
			b.WriteByte(c)
		case escape == "json" && c < 32:
			fmt.Fprintf(&b, "\\u%04X", c)
		case escape == "default" && (c == '"' || c == '\\' || c < 32 || c > 126):
			fmt.Fprintf(&b, "\\x%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestAClientCannotChangeTheStatusOfAQuotedFormat(t *testing.T) {
	hostile := rapid.OneOf(rapid.String(), rapid.StringMatching(`[" \[\]\\0-9{}:,status-]{0,40}`))
	formats := map[string]string{
		"default": combined,
		"json":    `{"user":"$remote_user","request":"$request","status":"$status","agent":"$http_user_agent"}`,
	}
	for escape, format := range formats {
		f, err := Compile(format, escape)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(escape, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				status := rapid.IntRange(100, 599).Draw(t, "status")
				agent := escaped(escape, hostile.Draw(t, "agent"))
				line := strings.NewReplacer(
					"$remote_addr", "::1", "$time_local", "03/Nov/2026:10:15:42 +0000", "$body_bytes_sent", "7",
					"$status", fmt.Sprint(status), "$http_user_agent", agent,
					"$http_referer", escaped(escape, hostile.Draw(t, "referer")),
					"$request", escaped(escape, hostile.Draw(t, "request")),
					"$remote_user", escaped(escape, hostile.Draw(t, "user")),
				).Replace(format)
				var r Record
				if ok := f.Parse([]byte(line), &r); !ok || r.Status != status || string(r.UserAgent) != agent {
					t.Fatalf("%s\n%v %d, agent %q", line, ok, r.Status, r.UserAgent)
				}
			})
		})
	}
}

func BenchmarkParse(b *testing.B) {
	f := Combined()
	line := []byte(`192.168.100.200 - - [03/Nov/2026:10:15:42 +0000] "GET /some/path/of/usual/length?with=query HTTP/1.1" 200 5316 "https://example.com/some/referer" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"`)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	var r Record
	for b.Loop() {
		if !f.Parse(line, &r) {
			b.Fatal("malformed")
		}
	}
}
