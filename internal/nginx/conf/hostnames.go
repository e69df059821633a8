package conf

import (
	"net/netip"
	"slices"
	"strings"
)

// Hostname is a name that nginx must resolve to start: one that cannot be resolved keeps a new
// master from starting, although the running one goes on.
type Hostname struct {
	Name      string
	Directive *Directive
}

// Hostnames lists the names nginx resolves when it reads the configuration, in order: hosts of
// *_pass, upstream servers, listen, resolver, syslog servers, trusted proxies and OCSP responders.
// Addresses, unix sockets, names of upstream blocks, and what is resolved at run time (values with
// variables, upstream servers with `resolve`) are left out.
func (c *Config) Hostnames() []Hostname {
	upstreams := c.upstreams()
	var names []Hostname
	c.Walk(func(d *Directive) bool {
		if d.Data {
			return false
		}
		for _, host := range hosts(d) {
			if host == "" || host == "*" || isAddress(host) || upstreams[upstreamKey{d.Context(), strings.ToLower(host)}] && isPass(d) {
				continue
			}
			names = append(names, Hostname{host, d})
		}
		return true
	})
	return names
}

// upstreamKey is an upstream's name, in lower case, in http or stream.
type upstreamKey struct{ context, name string }

func (c *Config) upstreams() map[upstreamKey]bool {
	all := map[upstreamKey]bool{}
	for _, d := range c.Find("upstream") {
		all[upstreamKey{d.Context(), strings.ToLower(d.Arg(0))}] = true
	}
	return all
}

func isPass(d *Directive) bool {
	switch d.Name {
	case "proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass", "grpc_pass":
		return true
	}
	return false
}

// hosts lists the host parts of a directive that nginx resolves at start.
func hosts(d *Directive) []string {
	if len(d.Args) == 0 {
		return nil
	}
	first := d.Args[0]
	switch d.Name {
	case "proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass", "grpc_pass",
		"auth_http", "ssl_stapling_responder", "ssl_ocsp_responder":
		if strings.Contains(first, "$") {
			return nil
		}
		return []string{urlHost(withoutScheme(first))}
	case "server":
		if d.IsBlock || d.Parent == nil || d.Parent.Name != "upstream" || slices.Contains(d.Args, "resolve") {
			return nil
		}
		return []string{urlHost(first)}
	case "listen":
		if _, isUnix := cutPrefixFold(first, "unix:"); isUnix || d.Parent == nil || d.Parent.Name != "server" {
			return nil
		}
		host, _ := splitListen(first)
		return []string{host}
	case "resolver":
		var all []string
		for _, arg := range d.Args {
			if !strings.Contains(arg, "=") && arg != "off" {
				all = append(all, urlHost(arg))
			}
		}
		return all
	case "set_real_ip_from":
		if first == "unix:" || strings.Contains(first, "/") {
			return nil
		}
		return []string{first} // no port, so an IPv6 address has no brackets
	case "error_log", "access_log":
		return []string{syslogHost(first)}
	}
	return nil
}

// syslogHost is the host of syslog:server=HOST[:PORT],…; "" if the log is no syslog.
func syslogHost(log string) string {
	params, ok := strings.CutPrefix(log, "syslog:")
	if !ok {
		return ""
	}
	for param := range strings.SplitSeq(params, ",") {
		if server, ok := strings.CutPrefix(param, "server="); ok {
			return urlHost(server)
		}
	}
	return ""
}

func withoutScheme(url string) string {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		return rest
	}
	return url
}

// urlHost is the host of HOST[:PORT][/URI] as ngx_parse_url splits it; "" for a unix socket.
func urlHost(url string) string {
	if _, ok := cutPrefixFold(url, "unix:"); ok {
		return ""
	}
	if rest, ok := strings.CutPrefix(url, "["); ok {
		host, _, _ := strings.Cut(rest, "]")
		return host
	}
	if i := strings.IndexAny(url, ":/?"); i >= 0 {
		url = url[:i]
	}
	return url
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
