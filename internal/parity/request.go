package parity

import (
	"fmt"
	"net/netip"
	"strings"

	"graft/internal/nginx/conf"
)

// Request is one request that both binaries are asked. It holds what is really sent, secrets in the
// query included: it may go into the sandbox, but only [Request.Shown] may be printed or stored.
type Request struct {
	ID     int    `json:"id"`     // its place in the list, from 1; the client sends it as X-Graft-Request
	Method string `json:"method"` // "GET", "HEAD" or [StreamMethod]
	Target string `json:"target"` // path and query, as sent
	Host   string `json:"host"`   // the Host header; "" sends none

	Network       string `json:"network"` // "tcp" or "unix"
	Address       string `json:"address"` // "127.0.0.1:80", or the socket's path
	TLS           bool   `json:"tls,omitempty"`
	SNI           string `json:"sni,omitempty"` // "" sends none
	HTTP2         bool   `json:"http2,omitempty"`
	ProxyProtocol bool   `json:"proxy_protocol,omitempty"`

	// Source is the client's address in the log; the zero Addr leaves the choice to the dialer.
	Source    netip.Addr `json:"source,omitzero"`
	UserAgent string     `json:"user_agent,omitempty"`
	Referer   string     `json:"referer,omitempty"`

	Server   conf.Pos `json:"server"`   // the server block that nginx chooses
	Location conf.Pos `json:"location"` // the location block; the server's place if it chooses none
	Origin   Origin   `json:"origin"`
	// Counters are the parts of the answer that hold counters or times, by the configuration: see [counting].
	Counters []string `json:"counters,omitempty"`
	Shape    string   `json:"shape"`            // the route's shape: [ShapeOf] of the target
	Logged   int      `json:"logged,omitempty"` // the status in the log; 0 if it does not come from one
	Count    int      `json:"count,omitempty"`  // lines of the log that it stands for
}

// Origin is where a request was taken from.
type Origin string

// The origins.
const (
	LogOrigin    Origin = "access log"
	ConfigOrigin Origin = "configuration"
)

// lane names the requests that are sent one after the other, in order: what one of them leaves
// behind (a cache entry, a counter of limit_req) the next one may find.
func (r *Request) lane() string { return r.Server.String() + " " + r.Location.String() }

// Shown is a request as it may be printed and stored: without secrets.
type Shown struct {
	ID       int      `json:"id"`
	Method   string   `json:"method"`
	URL      string   `json:"url"`     // with the values that may be secret replaced by "***"
	Address  string   `json:"address"` // where the connection went
	Proto    string   `json:"proto"`   // "HTTP/1.1" or "HTTP/2.0"; "" for a stream
	Server   conf.Pos `json:"server"`
	Location conf.Pos `json:"location"`
	Origin   Origin   `json:"origin"`
	Logged   int      `json:"logged,omitempty"`
	Count    int      `json:"count,omitempty"`
}

// Shown is the form that may leave the process.
func (r *Request) Shown() Shown {
	scheme, proto := "http://", "HTTP/1.1"
	if r.TLS {
		scheme = "https://"
	}
	if r.HTTP2 {
		proto = "HTTP/2.0"
	}
	if r.Method == StreamMethod {
		scheme, proto = "tcp://"+r.Address, ""
		if r.Network == "unix" {
			scheme = ""
		}
	}
	return Shown{ID: r.ID, Method: r.Method, URL: scheme + r.Host + MaskTarget(r.Target), Address: r.Address,
		Proto: proto, Server: r.Server, Location: r.Location, Origin: r.Origin, Logged: r.Logged, Count: r.Count}
}

// String is the masked form.
func (s Shown) String() string {
	where := ""
	if strings.HasPrefix(s.Address, "/") {
		where = " (unix:" + s.Address + ")"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", s.Method, s.URL, s.Proto)) + where
}

// Number gives the requests of several lists their IDs, in order, and leaves out those that repeat
// an earlier one.
func Number(lists ...[]Request) []Request {
	type key struct {
		method, target, host, network, address, sni string
		tls, h2                                     bool
	}
	seen := map[key]bool{}
	var all []Request
	for _, list := range lists {
		for _, r := range list {
			k := key{r.Method, r.Target, r.Host, r.Network, r.Address, r.SNI, r.TLS, r.HTTP2}
			if seen[k] {
				continue
			}
			seen[k] = true
			r.ID = len(all) + 1
			all = append(all, r)
		}
	}
	return all
}
