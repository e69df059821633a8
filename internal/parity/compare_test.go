package parity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"graft/internal/nginx/conf"
	"graft/internal/probe"
	"graft/internal/stub"
)

var sentAt = time.Unix(1764021600, 0)

// answer is a whole answer; headers are "Name: value" lines.
func answer(status int, body string, headers ...string) Answer {
	a := Answer{ID: 1, Fate: probe.OK, Status: status, Proto: "HTTP/1.1", Reason: "R", Body: []byte(body), Bytes: int64(len(body)),
		SHA256: fmt.Sprintf("%x", body), At: sentAt}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		a.Headers = append(a.Headers, Header{name, value})
	}
	return a
}

// through adds what an upstream saw.
func (a Answer) through(method, target string, headers ...string) Answer {
	saw := stub.Saw{Protocol: stub.HTTP, Version: "1.0", To: "10.0.0.1:80", Method: method, Target: target}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		saw.Fields = append(saw.Fields, stub.Field{Name: name, Value: value})
	}
	a.Upstream = append(a.Upstream, saw)
	return a
}

func failedAs(f probe.Fate) Answer { return Answer{ID: 1, Fate: f, Err: "it failed", At: sentAt} }

func asked() []Request {
	return []Request{{ID: 1, Method: "GET", Target: "/a?token=abcdef", Host: "a.test", Network: "tcp", Address: "127.0.0.1:80",
		Server: conf.Pos{File: "/n.conf", Line: 1}, Location: conf.Pos{File: "/n.conf", Line: 7}}}
}

func TestDifferencesAndTheirClass(t *testing.T) {
	page := func(server string) string { return "<h1>404</h1><hr><center>" + server + "</center>" }
	for name, c := range map[string]struct {
		old, new Answer
		want     string // "class kind, …"; "" if nothing differs
	}{
		"nothing":                    {answer(200, "a", "A: b"), answer(200, "a", "A: b"), ""},
		"date":                       {answer(200, "", "Date: Tue, 24 Nov 2026 22:13:02 GMT"), answer(200, "", "Date: Tue, 24 Nov 2026 22:13:09 GMT"), "expected header Date"},
		"date of another day":        {answer(200, "", "Date: Tue, 24 Nov 2026 22:13:02 GMT"), answer(200, "", "Date: Wed, 25 Nov 2026 22:13:09 GMT"), "suspicious header Date"},
		"version":                    {answer(200, "", "Server: nginx/1.22.1"), answer(200, "", "Server: openresty/1.27.1.2"), "expected header Server"},
		"version is shown now":       {answer(200, "", "Server: nginx"), answer(200, "", "Server: openresty/1.27.1.2"), "suspicious header Server"},
		"a server name of one's own": {answer(200, "", "Server: mine"), answer(200, "", "Server: nginx/1.22.1"), "suspicious header Server"},
		"version in an error page":   {answer(404, page("nginx/1.22.1")), answer(404, page("openresty/1.27.1.2")), "expected body"},
		"another error page":         {answer(404, "lost"), answer(404, page("nginx")), "suspicious text of the 404 page"},
		"etag of a new file":         {answer(200, "abc", `ETag: "65a-3"`, "Last-Modified: Tue, 24 Nov 2026 20:13:02 GMT"), answer(200, "abc", `ETag: "65f-3"`, "Last-Modified: Tue, 24 Nov 2026 12:13:02 GMT"), "expected header ETag, expected header Last-Modified"},
		"etag of another size":       {answer(200, "abc", `ETag: "65a-3"`), answer(200, "abc", `ETag: "65a-4"`), "suspicious header ETag"},
		"request id":                 {answer(200, "", "X-ID: 0123456789abcdef0123456789abcdef"), answer(200, "", "X-ID: 1123456789abcdef0123456789abcdef"), "expected header X-ID"},
		"msec":                       {answer(200, "at 1764021600.123"), answer(200, "at 1764021603.456"), "expected body"},
		"a number that is no time":   {answer(200, "id 1764"), answer(200, "id 1765"), "breaking body"},
		"pid":                        {answer(200, "", "X-Worker: 12"), answer(200, "", "X-Worker: 34567"), "expected header X-Worker"},
		"cookie value":               {answer(200, "", "Set-Cookie: id=abc; Path=/; Secure"), answer(200, "", "Set-Cookie: id=xyz; Path=/; Secure"), "expected header Set-Cookie"},
		"cookie flag":                {answer(200, "", "Set-Cookie: id=abc; Path=/; Secure"), answer(200, "", "Set-Cookie: id=xyz; Path=/"), "breaking header Set-Cookie"},
		"status":                     {answer(200, "a"), answer(404, "b", "X: y"), "breaking status 200 → 404"},
		"body":                       {answer(200, "a"), answer(200, "b"), "breaking body"},
		"body's white space":         {answer(200, "<a> <b>"), answer(200, "<a>\n<b>"), "suspicious white space in the body"},
		"length with the body":       {answer(200, "a", "Content-Length: 1"), answer(200, "bc", "Content-Length: 2"), "breaking body"},
		"length of packed text":      {answer(200, "a", "Content-Encoding: gzip", "Content-Length: 1"), answer(200, "a", "Content-Encoding: gzip", "Content-Length: 2"), "expected header Content-Length"},
		"hsts":                       {answer(200, "", "Strict-Transport-Security: max-age=1"), answer(200, ""), "breaking header Strict-Transport-Security is gone"},
		"csp":                        {answer(200, "", "Content-Security-Policy: a"), answer(200, "", "Content-Security-Policy: b"), "breaking header Content-Security-Policy"},
		"other header":               {answer(200, "", "X-A: b"), answer(200, ""), "suspicious header X-A is gone"},
		"new header":                 {answer(200, ""), answer(200, "", "X-A: b"), "suspicious header X-A is new"},
		"location":                   {answer(301, "", "Location: http://a.test/"), answer(301, "", "Location: https://a.test/"), "breaking header Location"},
		"media type":                 {answer(200, "", "Content-Type: text/html"), answer(200, "", "Content-Type: text/plain"), "breaking header Content-Type"},
		"charset":                    {answer(200, "", "Content-Type: text/html"), answer(200, "", "Content-Type: text/html; charset=utf-8"), "suspicious header Content-Type"},
		"framing":                    {answer(200, "a", "Content-Length: 1"), answer(200, "a", "Transfer-Encoding: chunked"), "suspicious header Content-Length is gone, suspicious header Transfer-Encoding is new"},
		"keep-alive":                 {answer(200, "", "Connection: keep-alive"), answer(200, "", "Connection: close"), "suspicious header Connection"},
		"order":                      {answer(200, "", "A: 1", "B: 2"), answer(200, "", "B: 2", "A: 1"), "suspicious order of the headers"},
		"case":                       {answer(200, "", "Ab: 1"), answer(200, "", "AB: 1"), "suspicious case of the headers' names"},
		"reset":                      {answer(200, ""), failedAs(probe.Reset), "breaking connection: ok → reset"},
		"handshake":                  {answer(200, ""), failedAs(probe.TLS), "breaking connection: ok → tls"},
		"answers at last":            {failedAs(probe.Timeout), answer(200, ""), "suspicious connection: timeout → ok"},
		"both close":                 {failedAs(probe.EOFNew), failedAs(probe.EOFNew), ""},
		"upstream line":              {answer(200, "").through("GET", "/a%20b"), answer(200, "").through("GET", "/a b"), "breaking upstream request line"},
		"upstream host":              {answer(200, "").through("GET", "/", "Host: a"), answer(200, "").through("GET", "/", "Host: b"), "breaking upstream header Host"},
		"upstream connection":        {answer(200, "").through("GET", "/", "Connection: close"), answer(200, "").through("GET", "/", "Connection: keep-alive"), "suspicious upstream header Connection"},
		"upstream port":              {answer(200, "").through("GET", "/", "REMOTE_PORT: 1"), answer(200, "").through("GET", "/", "REMOTE_PORT: 2"), "expected upstream header REMOTE_PORT"},
		"upstream order":             {answer(200, "").through("GET", "/", "A: 1", "B: 2"), answer(200, "").through("GET", "/", "B: 2", "A: 1"), "suspicious order or case of the upstream's headers"},
		"upstream not asked":         {answer(200, "").through("GET", "/"), answer(200, ""), "breaking requests to upstreams: 1 → 0"},
		"mirrored in another order":  {answer(200, "").through("GET", "/a").through("GET", "/b"), answer(200, "").through("GET", "/b").through("GET", "/a"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			report := Compare(asked(), []Answer{c.old}, []Answer{c.new}, nil)
			var got []string
			for _, g := range report.Groups {
				got = append(got, string(g.Class)+" "+g.Kind)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if report.Green() == strings.Contains(c.want, "breaking") {
				t.Errorf("green: %v", report.Green())
			}
		})
	}
}

func TestWhatTheOldBinaryItselfChangesIsVolatile(t *testing.T) {
	old, again := answer(200, "random 17 fixed 1"), answer(200, "random 99 fixed 1")
	if r := Compare(asked(), []Answer{old}, []Answer{answer(200, "random 4 fixed 1")}, []Answer{again}); r.Volatile != 1 || !r.Green() {
		t.Errorf("%s", groups(r))
	}
	if r := Compare(asked(), []Answer{old}, []Answer{answer(200, "random 4 fixed 2")}, []Answer{again}); r.Breaking != 1 {
		t.Errorf("a difference beside the volatile one: %s", groups(r))
	}
	if r := Compare(asked(), []Answer{old}, []Answer{answer(500, "")}, []Answer{answer(503, "")}); r.Volatile != 1 {
		t.Errorf("%s", groups(r))
	}
}

// No evidence is not success.
func TestWhatWasNotAskedIsNotGreen(t *testing.T) {
	ok := answer(200, "")
	for _, answers := range [][]Answer{nil, {{}}, {failedAs(probe.Local)}} {
		if r := Compare(asked(), []Answer{ok}, answers, nil); r.Green() || r.NotAsked != 1 || r.Same != 0 {
			t.Errorf("%+v", r)
		}
	}
	if r := Compare(nil, nil, nil, nil); r.Green() {
		t.Error("green without a request")
	}
}

func TestTheReportReads(t *testing.T) {
	requests := append(asked(), asked()...)
	requests[1].Origin, requests[1].Logged, requests[1].Count = LogOrigin, 200, 312
	requests[1].Location.Line = 9
	old := []Answer{answer(200, "a\nb\nc\n", "Server: nginx/1.22.1", "X-A: 1"), answer(302, "", "Location: /login?token=abcdef")}
	new := []Answer{answer(200, "a\nB\nc\n", "Server: openresty/1.27.1.2", "X-A: 2"), answer(302, "", "Location: /?next=1&token=abcdef")}
	report := Compare(requests, old, new, nil)
	const want = `
BREAKING  body: 1 request at /n.conf:7
    GET http://a.test/a?token=*** HTTP/1.1
    - b
    + B

BREAKING  header Location: 1 request at /n.conf:9
    GET http://a.test/a?token=*** HTTP/1.1  (logged with status 200, such requests: 312)
    - Location: /login?token=***
    + Location: /?next=1&token=***

suspicious  header X-A: 1 request at /n.conf:7
    GET http://a.test/a?token=*** HTTP/1.1
    - X-A: 1
    + X-A: 2
`
	if got := text(t, report); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var short bytes.Buffer
	if err := report.WriteText(&short, 1); err != nil || !strings.HasSuffix(short.String(), "\n… and 2 more kinds of differences\n") {
		t.Errorf("%v %s", err, short.String())
	}
	out, err := json.Marshal(report)
	if err != nil || bytes.Contains(out, []byte("abcdef")) || !bytes.Contains(out, []byte(`"class":"breaking","kind":"body","location":{"file":"/n.conf","line":7},"count":1`)) {
		t.Errorf("%v %s", err, out)
	}
}

// Two binaries that say nothing agree, and nothing is known of either.
func TestAnAddressThatNeverAnswersIsTold(t *testing.T) {
	requests := []Request{
		{ID: 1, Address: "192.0.2.1:80"}, {ID: 2, Address: "192.0.2.1:80"}, // nobody answers
		{ID: 3, Address: "127.0.0.1:80"}, {ID: 4, Address: "127.0.0.1:80"}, // one of them hangs
		{ID: 5, Address: "127.0.0.1:81"}, // return 444
	}
	answers := []Answer{failedAs(probe.Timeout), failedAs(probe.Refused), answer(200, "a"), failedAs(probe.Timeout), failedAs(probe.EOFNew)}
	report := Compare(requests, answers, answers, nil)
	if report.NoAnswer != 3 || len(report.Mute) != 1 || report.Mute[0] != "192.0.2.1:80" || report.Green() {
		t.Errorf("%+v", report)
	}
	if !strings.Contains(report.Summary(), "3 got no answer from either binary") {
		t.Error(report.Summary())
	}
}
