package stub

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"graft/internal/nginx/conf"
)

// Upstreams is what a configuration's nginx may talk to.
type Upstreams struct {
	Endpoints []Endpoint

	// Hosts are lines for the sandbox's /etc/hosts: names that nginx resolves
	// at start and that have no address there yet.
	Hosts []string

	// Pools are the addresses of upstream blocks with more than one server, as
	// the stubs meet them, each with the name of its block.
	Pools map[string]string

	// Unknown are the directives whose target only a request decides. What of
	// it is written out, a scheme or a port, has an endpoint.
	Unknown []*conf.Directive
}

// Host is what Find must know of the host that the configuration runs on.
type Host struct {
	Addresses []netip.Addr            // its own: sandbox.HostAddresses
	Names     map[string][]netip.Addr // its /etc/hosts: ReadHosts
}

// Find lists the upstreams of a configuration: servers of upstream blocks,
// targets of the *_pass directives, auth_http, resolvers, OCSP responders and
// syslog servers. What nginx itself listens on is left out.
func Find(config *conf.Config, host Host) Upstreams {
	f := &finder{host: host, listens: config.Listens(), blocks: map[blockKey][]*conf.Directive{}, used: map[blockKey]bool{}}
	for _, d := range config.Find("upstream") {
		key := blockKey{d.Context(), strings.ToLower(d.Arg(0))}
		f.blocks[key] = append(f.blocks[key], d)
		f.pool(d)
	}
	config.Walk(func(d *conf.Directive) bool {
		if !d.Data {
			f.directive(d)
		}
		return !d.Data
	})
	for _, d := range config.Find("upstream") { // named by a variable, or by Lua
		if key := (blockKey{d.Context(), strings.ToLower(d.Arg(0))}); !f.used[key] {
			f.block(key, f.anyProtocol(d))
		}
	}
	f.names(config)
	return f.out
}

type blockKey struct{ context, name string }

type finder struct {
	host    Host
	listens []conf.Listen
	blocks  map[blockKey][]*conf.Directive
	used    map[blockKey]bool
	out     Upstreams
}

// target is how a directive's target is to be read.
type target struct {
	network  string
	protocol Protocol
	port     string // if none is given
}

// anyProtocol is what is most likely spoken to an upstream block that no
// directive names.
func (f *finder) anyProtocol(d *conf.Directive) target {
	if d.Context() == "stream" {
		return target{"tcp", TCP, ""}
	}
	return target{"tcp", HTTP, "80"}
}

func (f *finder) directive(d *conf.Directive) {
	first := d.Arg(0)
	switch d.Name {
	case "proxy_pass":
		if d.Context() == "stream" {
			for _, t := range f.streamTargets(d) {
				f.pass(d, first, t)
			}
			return
		}
		f.passURL(d, first, HTTP)
	case "grpc_pass":
		f.passURL(d, first, HTTP2)
	case "fastcgi_pass":
		f.pass(d, first, target{"tcp", FastCGI, ""})
	case "uwsgi_pass":
		_, rest := scheme(first)
		f.pass(d, rest, target{"tcp", UWSGI, ""})
	case "scgi_pass":
		f.pass(d, first, target{"tcp", SCGI, ""})
	case "memcached_pass":
		f.pass(d, first, target{"tcp", Memcached, ""})
	case "auth_http":
		f.passURL(d, first, MailAuth)
	case "ssl_stapling_responder", "ssl_ocsp_responder":
		f.passURL(d, first, HTTP)
	case "ssl_stapling", "ssl_ocsp":
		if !strings.EqualFold(first, "off") { // the responder is named in the certificate
			f.outside("tcp", "80", HTTP)
		}
	case "resolver":
		for _, arg := range d.Args {
			if !strings.Contains(arg, "=") && arg != "off" {
				f.pass(d, arg, target{"udp", DNS, "53"})
			}
		}
	case "access_log", "error_log":
		f.syslog(d, first)
	}
}

// streamTargets are the transports of the server that a stream's proxy_pass is in.
func (f *finder) streamTargets(d *conf.Directive) []target {
	var all []target
	for _, l := range f.listens {
		t := target{"tcp", TCP, ""}
		if l.Network == "udp" {
			t = target{"udp", UDP, ""}
		}
		if l.Server == d.Enclosing("server") && !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

func (f *finder) syslog(d *conf.Directive, log string) {
	params, ok := strings.CutPrefix(log, "syslog:")
	if !ok {
		return
	}
	for param := range strings.SplitSeq(params, ",") {
		server, ok := strings.CutPrefix(param, "server=")
		if path, unix := strings.CutPrefix(server, "unix:"); unix {
			f.add(Endpoint{"unixgram", path, Syslog, false})
		} else if ok {
			f.pass(d, server, target{"udp", Syslog, "514"})
		}
	}
}

// passURL adds the target of a directive that takes a URL: its scheme decides
// the port.
func (f *finder) passURL(d *conf.Directive, url string, p Protocol) {
	name, rest := scheme(url)
	switch {
	case strings.Contains(name, "$"): // http or https
		f.pass(d, rest, target{"tcp", p, "443"})
		f.pass(d, rest, target{"tcp", p, "80"})
	case strings.HasSuffix(strings.ToLower(name), "s"): // https, grpcs
		f.pass(d, rest, target{"tcp", p, "443"})
	default:
		f.pass(d, rest, target{"tcp", p, "80"})
	}
}

// scheme splits a URL; without one all of it is the rest.
func scheme(url string) (name, rest string) {
	if name, rest, ok := strings.Cut(url, "://"); ok {
		return name, rest
	}
	return "", url
}

// pass adds what a directive names: an upstream block, or an address or name
// with an optional port and URI.
func (f *finder) pass(d *conf.Directive, where string, t target) {
	if path, ok := strings.CutPrefix(where, "unix:"); ok {
		path, _, _ = strings.Cut(path, ":") // a URI follows
		if strings.Contains(path, "$") {
			f.unknown(d)
			return
		}
		f.add(Endpoint{"unix", path, t.protocol, false})
		return
	}
	host, port := hostPort(where)
	key := blockKey{d.Context(), strings.ToLower(host)}
	if f.blocks[key] != nil && isPass(d) && port == "" {
		f.block(key, t)
		return
	}
	if port == "" {
		port = t.port
	}
	if strings.Contains(host+port, "$") {
		f.unknown(d)
	}
	f.host1(host, port, t)
}

func isPass(d *conf.Directive) bool { return strings.HasSuffix(d.Name, "_pass") }

// block adds the servers of an upstream block, as one that is spoken to so.
func (f *finder) block(key blockKey, t target) {
	f.used[key] = true
	for _, block := range f.blocks[key] {
		for _, server := range block.Block {
			if server.Name != "server" || server.Arg(0) == "" {
				continue
			}
			if t.network == "tcp" && key.context == "http" {
				t.port = "80" // whatever the scheme of those who name the block
			}
			f.pass(server, server.Arg(0), t)
		}
	}
}

// host1 adds one host's endpoints.
func (f *finder) host1(host, port string, t target) {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return // a variable, or nginx itself refuses it
	}
	addrs := f.addresses(host)
	if len(addrs) == 0 {
		f.outside(t.network, port, t.protocol)
		return
	}
	for _, a := range addrs {
		if !a.IsLoopback() && !slices.Contains(f.host.Addresses, a) {
			f.outside(t.network, port, t.protocol)
			continue
		}
		if !f.listensOn(t.network, a, port) {
			f.add(Endpoint{t.network, net.JoinHostPort(a.String(), port), t.protocol, false})
		}
	}
}

// addresses are a host's, if it has some here already: the rest are outside.
func (f *finder) addresses(host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	if addrs := f.host.Names[strings.ToLower(host)]; addrs != nil {
		return addrs
	}
	if strings.EqualFold(host, "localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return nil
}

// listensOn tells whether nginx itself answers at an address.
func (f *finder) listensOn(network string, a netip.Addr, port string) bool {
	n, err := strconv.Atoi(port)
	if err != nil {
		return false
	}
	for _, l := range f.listens {
		from, to, isRange := strings.Cut(l.Port, "-")
		first, err := strconv.Atoi(from)
		last := first
		if isRange && err == nil {
			last, err = strconv.Atoi(to)
		}
		if err != nil || l.Network != network || n < first || n > last {
			continue
		}
		switch addrs := f.addresses(l.Host); {
		case l.Host == "*", l.Host == "0.0.0.0" && a.Is4(), l.Host == "::", slices.Contains(addrs, a):
			return true
		}
	}
	return false
}

func (f *finder) outside(network, port string, p Protocol) {
	f.add(Endpoint{network, net.JoinHostPort("0.0.0.0", port), p, true})
	if network == "udp" && port == "53" && p == UDP {
		f.add(Endpoint{network, net.JoinHostPort("0.0.0.0", port), DNS, true})
	}
}

func (f *finder) add(e Endpoint) {
	for _, l := range f.listens {
		if e.Network == "unix" && l.Network == "unix" && l.Host == e.Address {
			return
		}
	}
	if !slices.Contains(f.out.Endpoints, e) {
		f.out.Endpoints = append(f.out.Endpoints, e)
	}
}

func (f *finder) unknown(d *conf.Directive) {
	if !slices.Contains(f.out.Unknown, d) {
		f.out.Unknown = append(f.out.Unknown, d)
	}
}

// hostPort splits HOST[:PORT][/URI], without the brackets of IPv6.
func hostPort(where string) (host, port string) {
	if i := strings.IndexAny(where, "/?"); i >= 0 {
		where = where[:i]
	}
	if rest, ok := strings.CutPrefix(where, "["); ok {
		host, port, _ = strings.Cut(rest, "]")
		return host, strings.TrimPrefix(port, ":")
	}
	host, port, _ = strings.Cut(where, ":")
	return host, port
}
