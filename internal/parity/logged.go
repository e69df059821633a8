package parity

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"graft/internal/nginx/conf"
	"graft/internal/nginx/route"
)

// logged is what one line tells of its request.
type logged struct {
	method, target     string
	http2              bool
	status             int
	host               string // "" if the format does not tell
	scheme             string // "http", "https", or "" if the format does not tell
	port               string // "" if the format does not tell
	source             netip.Addr
	userAgent, referer string
}

// readLogged reads a line's variables; ok is false for what is no GET or HEAD of a path.
func readLogged(v map[string]string) (l logged, ok bool) {
	line := v["request"]
	method, rest, _ := strings.Cut(line, " ")
	target, proto := rest, ""
	if i := strings.LastIndexByte(rest, ' '); i >= 0 {
		target, proto = rest[:i], rest[i+1:]
	}
	l.method, l.target = cmp.Or(v["request_method"], method), target
	l.http2 = strings.HasPrefix(cmp.Or(v["server_protocol"], proto), "HTTP/2")
	for _, name := range []string{"host$request_uri", "http_host$request_uri", "server_name$request_uri"} {
		if host, path, ok := strings.Cut(v[name], "/"); ok && v[name] != "" {
			l.host, l.target = host, "/"+path
		}
	}
	switch {
	case v["request_uri"] != "":
		l.target = v["request_uri"]
	case l.target == "" && v["uri$is_args$args"] != "":
		l.target = v["uri$is_args$args"]
	case l.target == "" && v["uri"] != "":
		l.target = escapePath(v["uri"])
		if args := set(v["args"], v["query_string"]); args != "" {
			l.target += "?" + args
		}
	}
	if l.method == "" {
		l.method = "GET"
	}
	l.status, _ = strconv.Atoi(v["status"]) // three digits: the format says so
	l.host = set(l.host, v["host"], v["http_host"], v["ssl_server_name"], v["server_name"])
	l.port = set(v["server_port"])
	switch {
	case set(v["scheme"]) != "":
		l.scheme = v["scheme"]
	case v["https"] == "on", set(v["ssl_protocol"], v["ssl_cipher"]) != "", l.http2:
		l.scheme = "https"
	case v["ssl_protocol"] == "-", v["ssl_cipher"] == "-":
		l.scheme = "http"
	}
	l.source = parseAddr(set(v["realip_remote_addr"], v["remote_addr"]))
	l.userAgent, l.referer = set(v["http_user_agent"]), set(v["http_referer"])
	ok = (l.method == "GET" || l.method == "HEAD") && strings.HasPrefix(l.target, "/") && !strings.ContainsAny(l.target, " \r\n\x00")
	return l, ok
}

// set is the first value that nginx had: it logs "-" for an empty one.
func set(values ...string) string {
	for _, v := range values {
		if v != "" && v != "-" {
			return v
		}
	}
	return ""
}

// aim is where a logged request is sent, and with which Host.
type aim struct {
	socket *route.Socket
	host   string
}

// aims are the sockets, one for each scheme that the line allows, on which a server that writes
// this log takes the request. Without a host in the line every such server gets it; where those are
// many, some of them in turn.
func (s *sampler) aims(line logged, w *writer) []aim {
	if line.host == "" {
		return s.hostless(line, w).next()
	}
	var all []aim
	done := map[bool]bool{}
	for _, socket := range s.sockets {
		if line.fits(socket) && !done[socket.SSL] && w.servers[s.serverFor(socket, line.host)] {
			done[socket.SSL] = true
			all = append(all, aim{socket, line.host})
		}
	}
	return all
}

// fits tells whether the request may have come by this socket.
func (l *logged) fits(socket *route.Socket) bool {
	if l.scheme != "" && socket.SSL != (l.scheme == "https") {
		return false
	}
	return l.port == "" || socket.Path != "" || l.port == strconv.Itoa(int(socket.Addr.Port()))
}

// turns are aims that are taken in turn.
type turns struct {
	aims []aim
	at   int
}

const atOnce = 8 // aims for one line without a host

func (t *turns) next() []aim {
	if len(t.aims) <= atOnce {
		return t.aims
	}
	var some []aim
	for range atOnce {
		some = append(some, t.aims[t.at])
		t.at = (t.at + 1) % len(t.aims)
	}
	return some
}

// turnsKey is what the aims of lines without a host depend on.
type turnsKey struct {
	writer       *writer
	scheme, port string
}

func (s *sampler) hostless(line logged, w *writer) *turns {
	key := turnsKey{w, line.scheme, line.port}
	if t := s.turns[key]; t != nil {
		return t
	}
	t := &turns{}
	s.turns[key] = t
	done := map[[2]any]bool{}
	for _, socket := range s.sockets {
		for _, server := range socket.Servers {
			key := [2]any{server.Block, socket.SSL}
			if !line.fits(socket) || !w.servers[server.Block] || done[key] {
				continue
			}
			if host, ok := (&maker{src: s.src}).hostOf(socket, server); ok {
				done[key] = true
				t.aims = append(t.aims, aim{socket, host})
			}
		}
	}
	return t
}

func (s *sampler) serverFor(socket *route.Socket, host string) *conf.Directive {
	return socket.Route((&maker{src: s.src}).ask(socket, host, "/")).Server
}
