package accesslogtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// sent is one request as it went over the wire, and what came back.
type sent struct {
	request, agent, user string // as the client wrote them
	status               int    // of the answer; 0: whatever nginx logs
	fails                int    // tries of an upstream that must show as failed
	proxied              bool
}

// hostile is what clients have put into a URI, a header or a user's name to fool who reads the logs.
var hostile = []string{
	"plain", `quo"te`, `"`, `\`, `\"`, `\x22`, `a\x5cb`, "-", `" 500 12 "-" "x`, `] "GET / HTTP/1.1" 502 0`,
	`x] 200 [`, `{"status":500,"uri":"/"}`, "\xc3\xbc\xe2\x82\xac", "\x80\xff\xfe", "\u2028", "%22%0a%20", "%e2%82%ac?q=%00",
	`'; DROP TABLE logs; --`, "$status $request", "${jndi:ldap://127.0.0.1/a}", strings.Repeat("long", 500), `<script>alert(1)</script>`,
	`[25/Nov/2026:01:00:00 +0000]`, ` 0.001 0.002`, `| 9 | 9`,
}

// client sends to one instance and keeps what it sent.
type client struct {
	t    *testing.T
	inst *nginxtest.Instance
	all  []sent
}

// raw writes text on a new connection and reads the answer until its end.
func (c *client) raw(text string, s sent) {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.inst.Addr("http"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		c.t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn) // a reset may end it
	if words := strings.Fields(string(answer[:min(len(answer), 40)])); s.status == 0 && len(words) > 1 && strings.HasPrefix(words[0], "HTTP/") {
		s.status, err = strconv.Atoi(words[1])
		if err != nil {
			c.t.Fatalf("%q answers %q", text, answer)
		}
	}
	c.all = append(c.all, s)
}

// get sends a GET with these, which go over the wire as they are.
func (c *client) get(uri, agent, user string, s sent) {
	c.t.Helper()
	s.request, s.agent, s.user = "GET "+uri+" HTTP/1.1", strings.Trim(agent, " "), user
	s.user, _, _ = strings.Cut(user, ":") // what follows belongs to the password
	text := s.request + "\r\nHost: site.test\r\nConnection: close\r\n"
	if agent != "" {
		text += "User-Agent: " + agent + "\r\n"
	}
	if user != "" {
		text += "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":pw")) + "\r\n"
	}
	c.raw(text+"\r\n", s)
}

// sendAll sends everything that a log may have to tell of.
func (c *client) sendAll() {
	c.t.Helper()
	for _, h := range hostile {
		c.get("/a/"+strings.ReplaceAll(h, " ", "%20"), "uri", "", sent{})
		c.get("/spaces/"+h, "uri as it is", "", sent{})
		c.get("/b", h, "", sent{})
		c.get("/c", "user", h, sent{})
		c.get("/app/ok?"+strings.ReplaceAll(h, " ", "+"), h, h, sent{proxied: true})
		c.raw("GET /d HTTP/1.1\r\nHost: "+h+"\r\nConnection: close\r\nUser-Agent: host\r\n\r\n", sent{request: "GET /d HTTP/1.1", agent: "host"})
		c.raw("GET /e HTTP/1.1\r\nHost: a\r\nConnection: close\r\nReferer: "+h+"\r\nUser-Agent: ref\r\n\r\n", sent{request: "GET /e HTTP/1.1", agent: "ref"})
	}
	for _, method := range []string{"HEAD", "POST", "OPTIONS", "DELETE", "FOO", "get", "M-SEARCH"} {
		line := method + " /method HTTP/1.1"
		c.raw(line+"\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", sent{request: line})
	}
	c.get("/missing", "404", "", sent{})
	c.get("/app/two-tries", "two tries", "", sent{proxied: true, fails: 1})
	c.get("/app/error?status=503", "503", "", sent{proxied: true, fails: 1})
	c.get("/redirected/x?status=404", "internal redirect", "", sent{proxied: true})
	c.get("/mirrored", "mirrored", "", sent{proxied: true})
	c.raw("GET /nine\r\n", sent{request: "GET /nine", status: http.StatusOK}) // HTTP/0.9 has no status line
	c.raw("GET /ten HTTP/1.0\r\n\r\n", sent{request: "GET /ten HTTP/1.0"})
	c.raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", sent{request: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}) // TLS where none is spoken
	c.raw("nonsense\r\n\r\n", sent{request: "nonsense"})
	c.raw("GET /half HTTP/1.1\r\nHost: a\r\n", sent{request: "GET /half HTTP/1.1", status: http.StatusRequestTimeout})
	c.raw("GET /"+strings.Repeat("x", 9000)+" HTTP/1.1\r\nHost: a\r\n\r\n", sent{status: http.StatusRequestURITooLong}) // logged in part
	c.pipelined()
	c.goesAway()
	c.http2()
}

// pipelined are two requests in one packet.
func (c *client) pipelined() {
	c.raw("GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", sent{request: "GET /first HTTP/1.1"})
	c.all = append(c.all, sent{request: "GET /second HTTP/1.1", status: 200})
}

// goesAway closes its connection while the upstream is at work: 499.
func (c *client) goesAway() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 100*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.inst.Addr("http")+"/app/slow?ms=60000", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "goes away")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		c.t.Fatal("an answer that was not waited for")
	}
	c.all = append(c.all, sent{request: "GET /app/slow?ms=60000 HTTP/1.1", agent: "goes away", status: 499, proxied: true})
}

func (c *client) http2() {
	c.t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	for i := range 3 {
		req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, fmt.Sprintf("https://%s/two/%d?a=%%22", c.inst.Addr("https"), i), nil)
		if err != nil {
			c.t.Fatal(err)
		}
		req.Header.Set("User-Agent", `h2 "agent"`)
		resp, err := transport.RoundTrip(req)
		if err != nil {
			c.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, bufio.NewReader(resp.Body))
		resp.Body.Close()
		if resp.ProtoMajor != 2 {
			c.t.Fatalf("HTTP/2 was meant, %s spoken", resp.Proto)
		}
		c.all = append(c.all, sent{request: fmt.Sprintf("GET /two/%d?a=%%22 HTTP/2.0", i), agent: `h2 "agent"`, status: resp.StatusCode})
	}
}
