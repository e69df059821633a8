package parity

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"graft/internal/stub"
)

// trusted are the headers and parameters by which upstreams decide who asks for what.
var trusted = []string{"host", "authorization", "cookie", "x-forwarded-for", "x-real-ip", "x-forwarded-proto", "x-forwarded-host", "forwarded", "content-type",
	"script_filename", "script_name", "document_root", "document_uri", "request_uri", "request_method", "query_string", "path_info", "path_translated",
	"http_host", "https", "remote_addr", "remote_user", "server_name", "server_port", "server_addr", "request_scheme", "http_authorization", "http_cookie"}

// upstream compares what reached the stub upstreams.
func (p *pair) upstream() {
	olds, news := ordered(p.old.Upstream), ordered(p.new.Upstream)
	var seconds []stub.Saw
	steady := true
	if p.again != nil {
		seconds = ordered(p.again.Upstream)
		steady = len(seconds) == len(olds)
	}
	if len(olds) != len(news) {
		class := Breaking
		if !steady {
			class = Volatile
		}
		p.differ(class, fmt.Sprintf("requests to upstreams: %d → %d", len(olds), len(news)), p.upstreamLines()...)
		return
	}
	for i := range olds {
		var again *stub.Saw
		if p.again != nil && steady {
			again = &seconds[i]
		}
		p.saw(&olds[i], &news[i], again)
	}
}

// ordered sorts what subrequests and mirrors may send in any order.
func ordered(saw []stub.Saw) []stub.Saw {
	saw = slices.Clone(saw)
	slices.SortStableFunc(saw, func(a, b stub.Saw) int {
		return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.Method+a.Target, b.Method+b.Target))
	})
	return saw
}

func (p *pair) upstreamLines() (diff []string) {
	for _, s := range ordered(p.old.Upstream) {
		diff = append(diff, "- upstream "+sawLine(&s))
	}
	for _, s := range ordered(p.new.Upstream) {
		diff = append(diff, "+ upstream "+sawLine(&s))
	}
	return diff
}

func sawLine(s *stub.Saw) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s: %s %s", s.Protocol, s.To, s.Method, s.Target))
}

func (p *pair) saw(o, n, again *stub.Saw) {
	part := func(kind string, class Class, get func(*stub.Saw) string) {
		was, is := get(o), get(n)
		var second *string
		if again != nil {
			s := get(again)
			second = &s
		}
		switch p.texts(was, is, second).compare() {
		case equal:
			return
		case alike:
			class = Expected
		case unsteady:
			class = Volatile
		}
		p.differ(class, kind, "- upstream "+was, "+ upstream "+is)
	}
	part("upstream address", Breaking, func(s *stub.Saw) string { return string(s.Protocol) + " " + s.To })
	part("upstream request line", Breaking, func(s *stub.Saw) string { return strings.TrimSpace(s.Method + " " + s.Target) })
	part("upstream HTTP version", Suspicious, func(s *stub.Saw) string { return strings.TrimSpace(s.Version + " " + string(s.Protocol)) })
	part("upstream body", Breaking, func(s *stub.Saw) string {
		return fmt.Sprintf("body of %d bytes %.12s: %s", s.Body.Length, s.Body.SHA256, s.Body.Start)
	})
	part("upstream TLS", Breaking, func(s *stub.Saw) string {
		if s.TLS == nil {
			return "no TLS"
		}
		return fmt.Sprintf("TLS server name %q, ALPN %q", s.TLS.ServerName, s.TLS.ALPN)
	})
	part("upstream PROXY header", Suspicious, func(s *stub.Saw) string { return withoutPort(s.Proxy) })
	p.fields(o, n, again)
}

// withoutPort is a header of the PROXY protocol without the client's port, which is another each time.
func withoutPort(proxy string) string {
	words := strings.Fields(proxy)
	if len(words) == 6 {
		words[4] = "port"
	}
	return strings.Join(words, " ")
}

// fields compares the headers or parameters that reached an upstream.
func (p *pair) fields(o, n, again *stub.Saw) {
	olds, news := headersOf(o), headersOf(n)
	for _, name := range namesOf(olds, news) {
		was, had := valuesOf(olds, name)
		is, has := valuesOf(news, name)
		var second *string
		if again != nil {
			s, _ := valuesOf(headersOf(again), name)
			second = &s
		}
		class := Suspicious
		if slices.Contains(trusted, name) {
			class = Breaking
		}
		if was != is {
			switch p.values(name, was, is, second, false) {
			case alike:
				class = Expected
				if p.known == nil {
					p.known = map[[2]string]bool{}
				}
				p.known[[2]string{was, is}] = true
			case unsteady:
				class = Volatile
			}
		} else if had == has {
			continue
		}
		shown := properName(name, olds, news)
		diff := headerDiff("upstream "+shown, was, is, had, has)
		p.differ(class, "upstream header "+shown, diff...)
	}
	if a, b := fieldNames(olds, news), fieldNames(news, olds); !slices.Equal(a, b) {
		p.differ(Suspicious, "order or case of the upstream's headers", "- upstream "+strings.Join(a, ", "), "+ upstream "+strings.Join(b, ", "))
	}
}

func headersOf(s *stub.Saw) []Header {
	all := make([]Header, len(s.Fields))
	for i, f := range s.Fields {
		all[i] = Header(f)
	}
	return all
}

// fieldNames are the names that both have, as hs writes and orders them.
func fieldNames(hs, others []Header) (names []string) {
	for _, h := range hs {
		if _, ok := valuesOf(others, h.Name); ok {
			names = append(names, h.Name)
		}
	}
	return names
}

// echoes tells whether the body is a stub's own, which repeats what it saw.
func echoes(a *Answer) bool {
	var saw struct {
		Protocol string `json:"protocol"`
		To       string `json:"to"`
	}
	return len(a.Upstream) > 0 && json.Unmarshal(a.Body, &saw) == nil && saw.Protocol != "" && saw.To != ""
}

func (p *pair) upstreamDiffers() bool {
	return slices.ContainsFunc(p.found, func(d difference) bool { return strings.Contains(d.kind, "upstream") })
}
