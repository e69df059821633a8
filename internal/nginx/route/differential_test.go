package route

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"graft/internal/nginx/conf"
	"graft/internal/nginxtest"
)

// Each block of a generated configuration says its own number in a header, so that real nginx tells
// which one it chose. GRAFT_ROUTE_CASES is how many requests are tried, 4000 if it is not set.
func TestNginxChoosesTheSame(t *testing.T) {
	cases := 4000
	if n, err := strconv.Atoi(os.Getenv("GRAFT_ROUTE_CASES")); err == nil {
		cases = n
	}
	const perConfig = 800
	for round := 0; round*perConfig < cases; round++ {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			binary := []string{"1.22.1", "1.18.0"}[round%2]
			compareWithNginx(t, nginxtest.Release(t, binary), uint64(round), perConfig)
		})
	}
}

func compareWithNginx(t *testing.T, bin nginxtest.Binary, seed uint64, requests int) {
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 7)), hostname: hostname}
	inst := nginxtest.Start(t, nginxtest.Options{Binary: bin, Config: g.config()})
	config, err := conf.Load(conf.Options{File: inst.Conf})
	if err != nil {
		t.Fatal(err)
	}
	router := New(config, Options{Hostname: g.hostname})
	asker := &asker{conns: map[string]net.Conn{}}
	t.Cleanup(asker.close)
	seen := map[string]int{}
	for range requests {
		req := g.request(inst)
		got := told(router.Route(req))
		want, err := asker.ask(req)
		if err != nil {
			t.Fatalf("%+v: %v", req, err)
		}
		if strings.HasPrefix(got, "400") && want == "400" {
			got = want
		}
		seen[want]++
		if got != want {
			text, _ := os.ReadFile(inst.Conf)
			t.Fatalf("%+v\ngot  %s\nwant %s (nginx %s)\n%s", req, got, want, bin.Version, text)
		}
	}
	if len(seen) < 5 {
		t.Errorf("only %d places were reached: the requests try too little: %v", len(seen), seen)
	}
}

// told is a choice in the words of the generated configuration.
func told(c Choice) string {
	if c.Refused != "" {
		return c.Refused
	}
	if c.Unknown != "" {
		return "unknown: " + c.Unknown
	}
	block := c.Server
	if c.Location != nil {
		block = c.Location
	}
	mark := "?"
	for _, d := range block.Block {
		if d.Name == "add_header" {
			mark = d.Arg(1)
		}
	}
	if c.Slash {
		mark += " slash"
	}
	return mark
}

// asker asks nginx, over connections that it keeps.
type asker struct{ conns map[string]net.Conn }

func (a *asker) close() {
	for _, c := range a.conns {
		c.Close()
	}
}

func (a *asker) ask(r Request) (string, error) {
	key := r.Local.String() + r.Path + "|" + r.SNI
	conn := a.conns[key]
	if conn == nil {
		network, address := "tcp", r.Local.String()
		if r.Path != "" {
			network, address = "unix", r.Path
		}
		var err error
		if conn, err = net.Dial(network, address); err != nil {
			return "", err
		}
		if r.TLS {
			conn = tls.Client(conn, &tls.Config{ServerName: r.SNI, InsecureSkipVerify: true})
		}
		a.conns[key] = conn
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", r.Target, r.Host); err != nil {
		return "", err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	answer.Body.Close() // all have Content-Length and are read ahead by one connection's reader
	conn.Close()
	delete(a.conns, key)
	switch mark := answer.Header.Get("X-Place"); {
	case answer.StatusCode == 400:
		return "400", nil
	case answer.StatusCode == 301:
		return mark + " slash", nil
	default:
		return mark, nil
	}
}

// generator makes configurations and requests from few letters, so that they meet often.
type generator struct {
	*rand.Rand
	places   int
	hostname string
	uris     []string
}

func (g *generator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) mark() string {
	g.places++
	return fmt.Sprintf("add_header X-Place p%d always;", g.places)
}

var hostNames = []string{"a.test", "b.a.test", "c.b.a.test", "www.a.test", "www.a.org", "www.b.org", "a", "x1.test", "Y2.Test", "a.test.", "A.TEST:80", "[::1]:80", "other", "..", "a/b"}

func (g *generator) config() string {
	var b strings.Builder
	b.WriteString(`worker_processes 1; pid {{.PidFile}}; error_log {{.ErrorLog}}; events { }
http { access_log off; server_names_hash_bucket_size 128; client_body_temp_path temp/a; proxy_temp_path temp/b; fastcgi_temp_path temp/c; uwsgi_temp_path temp/d; scgi_temp_path temp/e;
`)
	defaults := map[string]bool{}
	for range 7 {
		b.WriteString("server {\n")
		for _, l := range []string{`127.0.0.1:{{.Port "a"}}`, `{{.Port "a"}}`, `127.0.0.2:{{.Port "a"}}`, `[::]:{{.Port "b"}} ipv6only=off`, `127.0.0.1:{{.Port "s"}} ssl`, `unix:{{.Prefix}}/run/s`} {
			if g.IntN(10) < 5 {
				continue
			}
			extra := ""
			if !defaults[l] && g.IntN(4) == 0 && !strings.HasPrefix(l, "[") {
				extra, defaults[l] = " default_server", true
			}
			if strings.HasPrefix(l, "[") {
				if defaults[l] {
					l = `[::]:{{.Port "b"}}`
				}
				defaults[`[::]:{{.Port "b"}} ipv6only=off`] = true
			}
			fmt.Fprintf(&b, "listen %s%s;\n", l, extra)
		}
		fmt.Fprintf(&b, "listen 127.0.0.3:{{.Port \"a\"}};\nssl_certificate cert.pem; ssl_certificate_key key.pem; %s\n", g.mark())
		for range g.IntN(4) {
			fmt.Fprintf(&b, "server_name %s;\n", g.one("a.test", "b.a.test", "*.a.test", ".a.test", "*.b.a.test", "*.test", "www.a.*", "www.*", "~^x(?<n>\\d)", "~\\.org$", "~^Y\\d", "~^(?!other)o", "a", "B.a.test", `""`, "$hostname", ".b.a.test"))
		}
		if g.IntN(5) == 0 {
			b.WriteString("merge_slashes off;\n")
		}
		if g.IntN(12) == 0 {
			b.WriteString("return 204;\n")
		}
		g.locations(&b, "/", 0, 7)
		b.WriteString("}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func (g *generator) path() string {
	var b strings.Builder
	for range 1 + g.IntN(4) {
		b.WriteString(g.one("/", "/a", "/b", "a", "b", "/a/", ".php", "/ab", "+", "é"))
	}
	return "/" + strings.TrimLeft(b.String(), "/")
}

func (g *generator) locations(b *strings.Builder, under string, depth, count int) {
	seen := map[string]bool{}
	for range g.IntN(count + 1) {
		kind := g.one("", "", "", "=", "^~", "~", "~*")
		name := g.path()
		if under == "~" { // nginx takes only expressions there
			kind = "~"
		} else if under != "/" {
			name = under + g.one("", "/", "a", "b", "/b", "/a/")
		}
		group := "prefix"
		switch kind {
		case "=":
			group = "="
		case "~", "~*":
			name, group = g.one(`\.php$`, `^/a`, `/b/`, `B`, `a(?!b)`, `(a|b)\1`, `^/[ab]+/$`, `^/(?<part>a+)\.`, `.`, `é`, `^/a.b`, `a{1,2}b`, `\+`, `(?i)A/b`), "~"
		}
		if seen[group+name] || kind != "~" && kind != "~*" && name == under && depth > 0 && kind == "=" {
			continue
		}
		seen[group+name] = true
		written := kind + " " + name
		if strings.Contains(name, "{") {
			written = kind + " \"" + name + "\""
		} else if g.IntN(5) == 0 {
			written = kind + name
		}
		fmt.Fprintf(b, "location %s { %s return 204; ", written, g.mark())
		if g.IntN(3) == 0 {
			b.WriteString("proxy_pass http://127.0.0.1:1; ")
		}
		if depth < 2 && kind != "=" && g.IntN(2) == 0 {
			inner := name
			if kind == "~" || kind == "~*" {
				inner = "~"
			}
			b.WriteString("\n")
			g.locations(b, inner, depth+1, 3)
		}
		b.WriteString("}\n")
		if group != "~" {
			g.uris = append(g.uris, name)
		}
	}
}

func (g *generator) request(inst *nginxtest.Instance) Request {
	uri := g.path()
	if len(g.uris) > 0 && g.IntN(2) == 0 {
		uri = g.uris[g.IntN(len(g.uris))]
	}
	for range g.IntN(4) {
		switch at := 1 + g.IntN(len(uri)); g.IntN(3) {
		case 0:
			uri = uri[:at] + g.one("/", "//", "/./", "/../", "%2f", "%2E%2e/", "%61", "a", "b/", ".php", "?x=/a#b", "#f", "%", "%25", "%3f", "%23..", "..", "%0a", "%00", "+", "%C3%A9", "é") + uri[at:]
		case 1:
			uri = uri[:at]
		case 2:
			uri += g.one("/", "a", "b", ".php", "/..", "/.", "%2e", "/b", "?q")
		}
	}
	r := Request{Host: g.one(append(hostNames, g.hostname)...), Target: uri}
	addr := func(ip, port string) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(inst.Ports[port]))
	}
	switch g.IntN(8) {
	case 0:
		r.Local = addr("127.0.0.2", "a")
	case 1:
		r.Local = addr("127.0.0.3", "a")
	case 2:
		r.Local = addr("127.0.0.1", "b")
		if inst.Ports["b"] == 0 {
			r.Local = addr("127.0.0.3", "a")
		}
	case 3:
		if inst.Ports["s"] == 0 {
			r.Local = addr("127.0.0.3", "a")
			break
		}
		r.Local, r.TLS, r.SNI = addr("127.0.0.1", "s"), true, g.one("a.test", "b.a.test", "other", "www.a.org")
	case 4:
		r.Path = inst.Prefix + "/run/s"
		if _, err := os.Stat(r.Path); err != nil {
			r.Path, r.Local = "", addr("127.0.0.3", "a")
		}
	default:
		r.Local = addr("127.0.0.1", "a")
		if c, err := net.Dial("tcp", r.Local.String()); err == nil {
			c.Close()
		} else {
			r.Local = addr("127.0.0.3", "a")
		}
	}
	if r.Local.Addr().String() == "127.0.0.2" {
		if c, err := net.Dial("tcp", r.Local.String()); err == nil {
			c.Close()
		} else {
			r.Local = addr("127.0.0.3", "a")
		}
	}
	return r
}
