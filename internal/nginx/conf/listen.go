package conf

import "strings"

// Listen is one address a server block listens on.
type Listen struct {
	Directive *Directive // the listen directive, or the server block if it has none
	Server    *Directive // the server block
	Context   string     // "http", "stream" or "mail"
	Address   string     // as written; "" if Implicit
	// Network is "tcp", "udp" or "unix".
	Network string
	// Host is an address without brackets, a name, or "*"; for unix the socket's path.
	Host string
	Port string // a number or a range "8000-8010"; "" for unix
	// Implicit: an http server without listen takes *:80 if nginx starts as root, else *:8000.
	Implicit bool

	SSL           bool // also by `ssl on` (before nginx 1.25)
	HTTP2         bool // also by `http2 on` (from nginx 1.25)
	QUIC          bool
	Reuseport     bool
	ProxyProtocol bool
	DefaultServer bool
	Params        []string // all parameters after the address, as written
}

// Listens lists the listen addresses of all servers, in order.
func (c *Config) Listens() []Listen {
	var all []Listen
	for _, server := range c.Find("server") {
		if !server.IsBlock || server.Parent == nil {
			continue
		}
		explicit := false
		for _, d := range server.Block {
			if d.Name != "listen" || len(d.Args) == 0 {
				continue
			}
			explicit = true
			l := parseListen(server, d)
			l.SSL = l.SSL || c.on(server, "ssl")
			l.HTTP2 = l.HTTP2 || c.on(server, "http2")
			all = append(all, l)
		}
		if !explicit && server.Context() == "http" {
			all = append(all, Listen{Directive: server, Server: server, Context: "http",
				Network: "tcp", Host: "*", Port: "80", Implicit: true})
		}
	}
	return all
}

func (c *Config) on(block *Directive, flag string) bool {
	d := c.Effective(block, flag)
	return d != nil && strings.EqualFold(d.Arg(0), "on")
}

func parseListen(server, d *Directive) Listen {
	l := Listen{Directive: d, Server: server, Context: server.Context(), Address: d.Args[0],
		Network: "tcp", Params: d.Args[1:]}
	for _, param := range l.Params {
		switch {
		case param == "ssl":
			l.SSL = true
		case param == "http2":
			l.HTTP2 = true
		case param == "quic":
			l.QUIC, l.Network = true, "udp"
		case param == "udp":
			l.Network = "udp"
		case param == "reuseport":
			l.Reuseport = true
		case param == "proxy_protocol":
			l.ProxyProtocol = true
		case param == "default_server", param == "default":
			l.DefaultServer = true
		}
	}
	if path, ok := cutPrefixFold(l.Address, "unix:"); ok {
		l.Network, l.Host = "unix", path
		return l
	}
	l.Host, l.Port = splitListen(l.Address)
	if l.Port == "" && l.Context == "http" {
		l.Port = "80"
	}
	return l
}

// splitListen splits PORT, HOST, HOST:PORT and [IPV6]:PORT; the host is "*" if only a port is given.
func splitListen(address string) (host, port string) {
	if rest, ok := strings.CutPrefix(address, "["); ok {
		host, rest, _ = strings.Cut(rest, "]")
		return host, strings.TrimPrefix(rest, ":")
	}
	if host, port, ok := strings.Cut(address, ":"); ok {
		return host, port
	}
	if strings.Trim(address, "0123456789-") == "" {
		return "*", address
	}
	return address, ""
}

// ServerNames lists the names of a server block's server_name directives, wildcards and regular
// expressions as written.
func ServerNames(server *Directive) []string {
	var names []string
	for _, d := range server.Block {
		if d.Name == "server_name" {
			names = append(names, d.Args...)
		}
	}
	return names
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}
