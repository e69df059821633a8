package probe

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// scheme is the beginning of a URL.
type scheme struct {
	name     string
	protocol Protocol
	tls      bool
	port     string
}

var schemes = []scheme{
	{"http", OverHTTP1, false, "80"},
	{"https", OverHTTP1, true, "443"},
	{"h2c", OverHTTP2, false, "80"},
	{"h2", OverHTTP2, true, "443"},
	{"h3", OverHTTP3, true, "443"},
	{"ws", OverWebSocket, false, "80"},
	{"wss", OverWebSocket, true, "443"},
	{"grpc", OverGRPC, false, "80"},
	{"grpcs", OverGRPC, true, "443"},
	{"tcp", OverTCP, false, ""},
	{"tls", OverTCP, true, ""},
}

// ParseURL reads SCHEME://host[:port]/path, and nginx's own spelling of a unix socket,
// SCHEME://unix:/path/to.sock:/uri, where ":/uri" may be missing.
//
// The schemes are http and https (HTTP/1.1), h2 and h2c (HTTP/2 with and without TLS), h3 (HTTP/3),
// ws and wss (WebSocket), grpc and grpcs, tcp and tls. A gRPC URL without a path asks the standard
// health check; /name asks it for that service; /package.Service/Method calls that method with an
// empty message.
func ParseURL(s string) (Target, error) {
	name, rest, ok := strings.Cut(s, "://")
	i := slices.IndexFunc(schemes, func(sc scheme) bool { return sc.name == name })
	if !ok || i < 0 {
		return Target{}, fmt.Errorf("parse URL %q: it must begin with %s", s, schemeNames())
	}
	sc := schemes[i]
	t := Target{Network: "tcp", TLS: sc.tls, Protocol: sc.protocol}
	if path, ok := strings.CutPrefix(rest, "unix:"); ok {
		if sc.protocol == OverHTTP3 {
			return Target{}, fmt.Errorf("parse URL %q: HTTP/3 needs UDP, not a unix socket", s)
		}
		path, uri, _ := strings.Cut(path, ":")
		if !strings.HasPrefix(path, "/") {
			return Target{}, fmt.Errorf("parse URL %q: the path of a unix socket must be absolute, as in http://unix:/run/nginx.sock:/uri", s)
		}
		t.Network, t.Address, t.Host, t.ServerName = "unix", path, "localhost", "localhost"
		rest = "localhost" + uri
	}
	u, err := url.Parse("http://" + rest)
	if err != nil {
		var reason *url.Error
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return Target{}, fmt.Errorf("parse URL %q: %w", s, err)
	}
	if u.User != nil {
		return Target{}, fmt.Errorf("parse URL %q: a user name and password are not supported", s)
	}
	t.Path = u.RequestURI()
	if t.Network == "unix" && (!strings.HasPrefix(t.Path, "/") || u.Host != "localhost") {
		return Target{}, fmt.Errorf("parse URL %q: the part behind the socket must begin with a slash, as in http://unix:/run/nginx.sock:/uri", s)
	}
	if t.Protocol == OverTCP {
		if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
			return Target{}, fmt.Errorf("parse URL %q: %s://host:port has no path", s, name)
		}
		t.Path = ""
	}
	if t.Network == "unix" {
		return t, nil
	}
	if u.Hostname() == "" {
		return Target{}, fmt.Errorf("parse URL %q: no host", s)
	}
	port := u.Port()
	if port == "" {
		port = sc.port
	}
	if port == "" {
		return Target{}, fmt.Errorf("parse URL %q: no port, as in %s://host:port", s, name)
	}
	if !IsPort(port) {
		return Target{}, fmt.Errorf("parse URL %q: port %s: want 1 to 65535", s, port)
	}
	t.Address = net.JoinHostPort(u.Hostname(), port)
	t.Host, t.ServerName = u.Host, u.Hostname()
	return t, nil
}

// IsPort tells whether text is the number of a port that can be connected to.
func IsPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func schemeNames() string {
	var names []string
	for _, sc := range schemes {
		names = append(names, sc.name+"://")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// String is the URL; it reads back with [ParseURL] unless Host, ServerName or another field beside
// was set apart.
func (t Target) String() string {
	name := "http"
	for _, sc := range schemes {
		if sc.protocol == t.Protocol && sc.tls == t.TLS {
			name = sc.name
		}
	}
	if t.Network == "unix" {
		if t.Path == "" {
			return name + "://unix:" + t.Address
		}
		return name + "://unix:" + t.Address + ":" + t.Path
	}
	return name + "://" + t.Address + t.Path
}
