package parity

import (
	"fmt"
	"net/url"
	"strings"

	"graft/internal/nginx/conf"
	"graft/internal/nginx/route"
)

// LeftOut is a server or location that no request was made for.
type LeftOut struct {
	Where conf.Pos `json:"where"`
	Why   string   `json:"why"`
}

// FromConfig makes requests for each server, listen and location of the configuration: for a prefix
// the prefix itself and something below it (a file, where one is served from there), for an
// expression a URI that it matches. It tells which got none. A configuration with more of them than
// src.Max has each location asked over each of HTTP and HTTPS, or once; no location is left out for
// that.
func FromConfig(src Source) ([]Request, []LeftOut) {
	var m *maker
	sockets := src.router().Sockets()
	counters := newCounting(src.Config)
	targets := map[*conf.Directive][]string{}
	for _, detail := range []detail{everySocket, everyScheme, onePerLocation, least} {
		m = &maker{src: src, detail: detail, asked: map[any]bool{}, targets: targets, counters: counters}
		for _, socket := range sockets {
			for _, server := range socket.Servers {
				m.server(socket, server)
			}
		}
		if len(m.requests) <= src.max() {
			break
		}
	}
	return m.requests, m.leftOut()
}

type detail int

const (
	everySocket detail = iota
	everyScheme
	onePerLocation
	least // one request in all for a location
)

// maker makes the requests of a configuration.
type maker struct {
	src      Source
	detail   detail
	requests []Request
	asked    map[any]bool
	failed   []LeftOut
	counters *counting
	targets  map[*conf.Directive][]string // of each location, once they were found
}

func (m *maker) server(socket *route.Socket, server *route.Server) {
	host, ok := m.hostOf(socket, server)
	if !ok {
		m.fail(server.Block, "no Host header was found with which nginx chooses this server here: another one takes its names")
		return
	}
	// One request for the server on each of its sockets, whatever else is left out.
	if m.detail < least || !socket.HTTP2 {
		m.add(socket, host, "/", false)
	}
	if socket.HTTP2 { // without TLS by prior knowledge; up to nginx 1.25.0 such a socket knows nothing else
		m.add(socket, host, "/", true)
	}
	m.locations(socket, server, host, server.Locations)
}

func (m *maker) locations(socket *route.Socket, server *route.Server, host string, locations []*route.Location) {
	for _, l := range locations {
		m.locations(socket, server, host, l.Nested)
		if l.Kind == route.Named || m.internal(l) || m.enough(socket, l) {
			continue
		}
		if server.Returns {
			m.fail(l.Block, "the server answers every request by return before a location is looked for")
			continue
		}
		served := func(target string) bool {
			c := socket.Route(m.ask(socket, host, target))
			return c.Location == l.Block && c.Unknown == ""
		}
		found := false
		for _, target := range m.targetsOf(l, served) {
			if m.detail < least || !found {
				m.add(socket, host, target, false)
			}
			found = true
		}
		if !found {
			m.fail(l.Block, "no URI was found for which nginx chooses this location")
		}
	}
}

// enough tells whether the location was asked often enough for the level of detail, and notes that
// it is asked now.
func (m *maker) enough(socket *route.Socket, l *route.Location) bool {
	var key any
	switch m.detail {
	case everySocket:
		return false
	case everyScheme:
		key = [2]any{l.Block, socket.SSL}
	default:
		key = l.Block
	}
	if m.asked[key] {
		return true
	}
	m.asked[key] = true
	return false
}

func (m *maker) internal(l *route.Location) bool {
	for _, d := range l.Block.Block {
		if d.Name == "internal" {
			return true
		}
	}
	return false
}

// targetsOf remembers what was found, which is right for most sockets of the server.
func (m *maker) targetsOf(l *route.Location, served func(string) bool) []string {
	known := m.targets[l.Block]
	for _, target := range known {
		if !served(target) {
			known = nil
			break
		}
	}
	if known == nil {
		known = m.find(l, served)
		m.targets[l.Block] = known
	}
	return known
}

// find finds the request targets to ask a location with.
func (m *maker) find(l *route.Location, served func(string) bool) []string {
	var all []string
	try := func(target string) bool {
		ok := served(target)
		if ok {
			all = append(all, target)
		}
		return ok
	}
	switch l.Kind {
	case route.Regex, route.RegexCaseless:
		for _, begin := range []string{"/", l.Under} {
			if text, ok := l.Pattern.Example(begin, func(s string) bool { return strings.HasPrefix(s, "/") && served(escapePath(s)) }); ok {
				try(escapePath(text))
				break
			}
		}
	case route.Exact:
		try(escapePath(l.Name))
	default:
		try(escapePath(l.Name))
		below := l.Name
		if !strings.HasSuffix(below, "/") {
			below += "/"
		}
		if file := m.src.fileBelow(l); file == "" || !try(escapePath(below+file)) {
			_ = try(escapePath(below+"graft-parity")) || try(escapePath(below+"graft-parity.html"))
		}
	}
	return all
}

// hostOf is a Host header with which the socket chooses the server.
func (m *maker) hostOf(socket *route.Socket, server *route.Server) (string, bool) {
	chosen := func(host string) bool {
		c := socket.Route(m.ask(socket, host, "/"))
		return c.Server == server.Block && c.Unknown == ""
	}
	for _, name := range server.Names {
		for _, host := range hostsFor(name, m.src.hostname(), chosen) {
			if chosen(host) {
				return host, true
			}
		}
	}
	if socket.Default == server && chosen("graft-parity.invalid") {
		return "graft-parity.invalid", true
	}
	return "", false
}

// hostsFor are hosts that a server_name stands for.
func hostsFor(name, hostname string, chosen func(string) bool) []string {
	switch {
	case name == "":
		return nil
	case strings.EqualFold(name, "$hostname"):
		return []string{hostname}
	case name[0] == '~':
		caseless := strings.ToLower(name) != name
		text, _ := route.Compile(name[1:], caseless).Example("", func(s string) bool { return s != "" && chosen(s) })
		return []string{text}
	case strings.HasPrefix(name, "*."):
		return []string{"graft-parity" + name[1:], "graft.parity" + name[1:]}
	case name[0] == '.':
		return []string{name[1:], "graft-parity" + name}
	case strings.HasSuffix(name, ".*"):
		return []string{strings.TrimSuffix(name, "*") + "test", strings.TrimSuffix(name, "*") + "graft-parity"}
	}
	return []string{name}
}

// ask is the router's form of a request.
func (m *maker) ask(socket *route.Socket, host, target string) route.Request {
	return route.Request{Local: socket.Dialed(), Path: socket.Path, TLS: socket.SSL, SNI: sniOf(socket, host), Host: host, Target: target}
}

func sniOf(socket *route.Socket, host string) string {
	if !socket.SSL || strings.ContainsAny(host, ":[_") {
		return ""
	}
	return host
}

func (m *maker) add(socket *route.Socket, host, target string, http2 bool) {
	c := socket.Route(m.ask(socket, host, target))
	r := newRequest(socket, host, target, c)
	r.Origin, r.HTTP2, r.Counters = ConfigOrigin, http2, m.counters.of(c)
	m.requests = append(m.requests, r)
}

// newRequest is a request to a socket, without origin and number.
func newRequest(socket *route.Socket, host, target string, c route.Choice) Request {
	network, address := socket.DialAddress()
	r := Request{Method: "GET", Target: target, Host: host, Network: network, Address: address,
		TLS: socket.SSL, SNI: sniOf(socket, host), ProxyProtocol: socket.ProxyProtocol, Location: c.Place(), Shape: ShapeOf(target)}
	if c.Server != nil {
		r.Server = c.Server.Pos()
	}
	return r
}

func (m *maker) fail(block *conf.Directive, why string) {
	m.failed = append(m.failed, LeftOut{block.Pos(), why})
}

// leftOut lists each place once, and only if no socket led there.
func (m *maker) leftOut() []LeftOut {
	reached := map[conf.Pos]bool{}
	for _, r := range m.requests {
		reached[r.Server], reached[r.Location] = true, true
	}
	var all []LeftOut
	for _, l := range m.failed {
		if !reached[l.Where] {
			reached[l.Where] = true
			all = append(all, l)
		}
	}
	return all
}

// escapePath writes a decoded URI as a request target.
func escapePath(uri string) string {
	escaped := (&url.URL{Path: uri}).EscapedPath()
	if !strings.HasPrefix(escaped, "/") {
		return fmt.Sprintf("/%s", strings.TrimPrefix(escaped, "./"))
	}
	return escaped
}
