package route

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"graft/internal/nginx/conf"
)

// Options tell what the configuration does not.
type Options struct {
	Unprivileged bool   // nginx was not started by root: a server without listen takes port 8000
	Hostname     string // for server_name $hostname
	// Resolve looks up a name in a listen directive; nil knows "localhost" alone.
	Resolve func(host string) []netip.Addr
}

// Router answers for one configuration. Any number of goroutines may use it.
type Router struct {
	sockets map[socketKey]*Socket
	order   []*Socket
	servers map[*conf.Directive]*Server
}

// socketKey is an address that is listened on; addr is unspecified for a wildcard.
type socketKey struct {
	addr netip.AddrPort
	path string
}

// Socket is one address and port that servers listen on.
type Socket struct {
	Addr    netip.AddrPort // unspecified for a wildcard
	Path    string         // of a unix socket
	Servers []*Server      // in order, each once
	Default *Server
	Listens []conf.Listen // all of its listen directives

	SSL, HTTP2, ProxyProtocol bool // nginx takes them for the socket if any of its listens has them

	dual     bool // [::] with ipv6only=off
	explicit bool // Default was named by default_server
	names    *names
}

// Server is one server block of http.
type Server struct {
	Block     *conf.Directive
	Names     []string // as written; "" if it has none
	Locations []*Location
	// Returns: a return directive of its own ends every request before a location is looked for.
	Returns bool

	top   *level
	merge bool
}

// New reads the servers of the http context.
func New(c *conf.Config, opts Options) *Router {
	r := &Router{sockets: map[socketKey]*Socket{}, servers: map[*conf.Directive]*Server{}}
	for _, l := range c.Listens() {
		if l.Context != "http" || l.Network == "udp" {
			continue
		}
		server := r.server(c, l.Server)
		for _, key := range keys(l, opts) {
			r.socket(key).add(server, l)
		}
	}
	for _, s := range r.order {
		s.names = newNames(s.Servers, opts.Hostname)
	}
	return r
}

// Sockets lists what is listened on, in the order of the configuration.
func (r *Router) Sockets() []*Socket { return r.order }

func (r *Router) server(c *conf.Config, block *conf.Directive) *Server {
	if s := r.servers[block]; s != nil {
		return s
	}
	s := &Server{Block: block, Names: conf.ServerNames(block), top: newLevel(block, "/"), merge: true}
	if len(s.Names) == 0 {
		s.Names = []string{""}
	}
	s.Locations = s.top.all
	if d := c.Effective(block, "merge_slashes"); d != nil {
		s.merge = !strings.EqualFold(d.Arg(0), "off")
	}
	s.Returns = slices.ContainsFunc(block.Block, func(d *conf.Directive) bool { return d.Name == "return" })
	r.servers[block] = s
	return s
}

func (r *Router) socket(key socketKey) *Socket {
	s := r.sockets[key]
	if s == nil {
		s = &Socket{Addr: key.addr, Path: key.path}
		r.sockets[key] = s
		r.order = append(r.order, s)
	}
	return s
}

func (s *Socket) add(server *Server, l conf.Listen) {
	if !slices.Contains(s.Servers, server) {
		s.Servers = append(s.Servers, server)
	}
	if s.Default == nil || l.DefaultServer && !s.explicit {
		s.Default, s.explicit = server, l.DefaultServer
	}
	s.Listens = append(s.Listens, l)
	s.SSL = s.SSL || l.SSL
	s.HTTP2 = s.HTTP2 || l.HTTP2
	s.ProxyProtocol = s.ProxyProtocol || l.ProxyProtocol
	s.dual = s.dual || slices.Contains(l.Params, "ipv6only=off")
}

// keys are the addresses that one listen directive names.
func keys(l conf.Listen, opts Options) []socketKey {
	if l.Network == "unix" {
		return []socketKey{{path: l.Host}}
	}
	var addrs []netip.Addr
	switch addr, err := netip.ParseAddr(l.Host); {
	case l.Host == "*":
		addrs = []netip.Addr{netip.IPv4Unspecified()}
	case err == nil:
		addrs = []netip.Addr{addr}
	case opts.Resolve != nil:
		addrs = opts.Resolve(l.Host)
	case strings.EqualFold(l.Host, "localhost"):
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	port := l.Port
	if l.Implicit && opts.Unprivileged {
		port = "8000"
	}
	first, last, ranged := strings.Cut(port, "-")
	if !ranged {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil {
		return nil
	}
	var all []socketKey
	for _, addr := range addrs {
		for p := from; p <= to; p++ {
			all = append(all, socketKey{addr: netip.AddrPortFrom(addr, uint16(p))})
		}
	}
	return all
}

// DialAddress is where a client on this host reaches the socket: a wildcard by loopback.
func (s *Socket) DialAddress() (network, address string) {
	if s.Path != "" {
		return "unix", s.Path
	}
	return "tcp", s.Dialed().String()
}

// Dialed is DialAddress as an address; the zero AddrPort for a unix socket.
func (s *Socket) Dialed() netip.AddrPort {
	switch addr := s.Addr.Addr(); {
	case addr == netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), s.Addr.Port())
	case addr == netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), s.Addr.Port())
	}
	return s.Addr
}

// Reached is the socket that accepts a connection to an address, or nil: the address itself before
// the wildcard of its family.
func (r *Router) Reached(local netip.AddrPort, path string) *Socket {
	if path != "" {
		return r.sockets[socketKey{path: path}]
	}
	if s := r.sockets[socketKey{addr: local}]; s != nil {
		return s
	}
	addr := local.Addr().Unmap()
	if addr.Is4() {
		if s := r.sockets[socketKey{addr: netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())}]; s != nil {
			return s
		}
	}
	s := r.sockets[socketKey{addr: netip.AddrPortFrom(netip.IPv6Unspecified(), local.Port())}]
	if s != nil && addr.Is4() && !s.dual {
		return nil
	}
	return s
}

// Route tells where nginx takes a request.
func (r *Router) Route(req Request) Choice {
	s := r.Reached(req.Local, req.Path)
	if s == nil {
		where := req.Path
		if where == "" {
			where = net.JoinHostPort(req.Local.Addr().String(), strconv.Itoa(int(req.Local.Port())))
		}
		return Choice{Refused: "no server listens on " + where}
	}
	return s.Route(req)
}

// Route is [Router.Route] for a connection to this socket.
func (s *Socket) Route(req Request) Choice {
	var c Choice
	first, negotiated := s.negotiate(req, &c)
	chosen := s.pick(req, first, negotiated, &c)
	if c.Refused != "" {
		return c
	}
	c.Server = chosen.Block
	// The path is decoded before the Host header is read: the handshake's server has the say.
	path := pathOf(req.Target)
	uri, ok := normalise(path, first.merge)
	if !ok || !strings.HasPrefix(path, "/") {
		c.Refused = "400: invalid request target"
		return c
	}
	c.URI = uri
	if chosen.Returns {
		return c
	}
	found := search{uri: uri}
	v := found.find(chosen.top)
	c.Slash = v == slash
	if found.found != nil {
		c.Location = found.found.Block
	}
	if found.unknown != nil && c.Unknown == "" {
		c.Unknown = found.unknown.Error()
	}
	return c
}

// negotiate chooses the server before a request is read: by SNI. name is what was asked for, if
// some server has it.
func (s *Socket) negotiate(req Request, c *Choice) (server *Server, name string) {
	if req.TLS && req.SNI != "" {
		if name, ok := normaliseHost(req.SNI); ok {
			if e, found := s.lookup(name, c); found {
				c.Name = e.name
				return e.server, name
			}
		}
	}
	return s.Default, ""
}

// pick chooses the server by the host.
func (s *Socket) pick(req Request, first *Server, negotiated string, c *Choice) *Server {
	host := req.Host
	if absolute := hostOf(req.Target); absolute != "" {
		host = absolute
	}
	if host == "" {
		c.Refused = "400: no Host"
		return nil
	}
	name, ok := normaliseHost(host)
	if !ok {
		c.Refused = "400: invalid Host"
		return nil
	}
	if name == negotiated {
		return first
	}
	if e, found := s.lookup(name, c); found {
		c.Name = e.name
		return e.server
	}
	c.Name = ""
	return s.Default // even where the name in the handshake belongs to another
}

func (s *Socket) lookup(name string, c *Choice) (named, bool) {
	if len(s.Servers) == 1 {
		return named{}, false
	}
	e, found, err := s.names.find(name)
	if err != nil && c.Unknown == "" {
		c.Unknown = err.Error()
	}
	return e, found
}

// pathOf is a target without the scheme and host of the absolute form.
func pathOf(target string) string {
	_, rest, ok := strings.Cut(target, "://")
	if !ok || strings.HasPrefix(target, "/") {
		return target
	}
	end := strings.IndexAny(rest, "/?#")
	switch {
	case end < 0:
		return "/"
	case rest[end] == '/':
		return rest[end:]
	}
	return "/" + rest[end:]
}

func hostOf(target string) string {
	_, rest, ok := strings.Cut(target, "://")
	if !ok || strings.HasPrefix(target, "/") {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}
