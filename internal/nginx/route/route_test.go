package route

import (
	"net/netip"
	"strings"
	"testing"

	"graft/internal/nginx/conf"
)

func router(t *testing.T, text string) *Router {
	t.Helper()
	ds, err := conf.Parse("/n.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return New(&conf.Config{Directives: ds}, Options{})
}

func TestAChoiceTellsFileAndLine(t *testing.T) {
	r := router(t, `http { server { listen 80; server_name a.test;
		location / { }
		location ~ \.php$ { }
	} }`)
	for target, line := range map[string]int{"/x": 2, "/x.php?a=b": 3, "/a/%2e%2e/x%2Ephp": 3} {
		c := r.Route(Request{Local: netip.MustParseAddrPort("10.0.0.1:80"), Host: "a.test", Target: target})
		if c.Place() != (conf.Pos{File: "/n.conf", Line: line}) || c.Name != "" || c.Unknown != "" {
			t.Errorf("%s: %v %+v, want line %d", target, c.Place(), c, line)
		}
	}
}

func TestAnExpressionThatIsNotUnderstoodIsUnknown(t *testing.T) {
	r := router(t, `http { server { listen 80; location / { } location ~ ^/(a(?R)?b)$ { } } }`)
	c := r.Route(Request{Local: netip.MustParseAddrPort("10.0.0.1:80"), Host: "a", Target: "/aabb"})
	if !strings.Contains(c.Unknown, "(?R)") {
		t.Errorf("%+v", c)
	}
}

func TestNobodyListens(t *testing.T) {
	r := router(t, `http { server { listen 127.0.0.1:80; } }`)
	for _, local := range []string{"127.0.0.2:80", "127.0.0.1:81", "[::1]:80"} {
		if c := r.Route(Request{Local: netip.MustParseAddrPort(local), Host: "a", Target: "/"}); c.Server != nil || !strings.Contains(c.Refused, local) {
			t.Errorf("%s: %+v", local, c)
		}
	}
}

// Without a bound, an expression with nested repetition would take a request's whole time.
func TestAnExpressionThatBacktracksWithoutEndIsGivenUp(t *testing.T) {
	p := Compile(`^(?=a)((a+)+)+b\2$`, false)
	if _, err := p.Match(strings.Repeat("a", 40)); err == nil {
		t.Error("no error")
	}
}
