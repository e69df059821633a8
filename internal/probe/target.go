package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Target is where requests go and what they ask for.
type Target struct {
	Network       string `json:"network"`               // "tcp" or "unix"
	Address       string `json:"address"`               // "127.0.0.1:80", "[::1]:443", "/run/nginx.sock"
	TLS           bool   `json:"tls,omitempty"`         // speak TLS
	ServerName    string `json:"server_name,omitempty"` // SNI; an IP address is not sent, as RFC 6066 asks
	Verify        bool   `json:"verify,omitempty"`      // verify the certificate; off, since a prober on loopback rarely matches its name
	Host          string `json:"host"`                  // the Host header
	Path          string `json:"path"`                  // request target: path and query
	ProxyProtocol bool   `json:"proxy_protocol,omitempty"`
}

// ParseURL reads http://host[:port]/path, https://…, and nginx's own spelling of a unix socket,
// http://unix:/path/to.sock:/uri, where ":/uri" may be missing.
func ParseURL(s string) (Target, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return Target{}, fmt.Errorf("parse URL %q: it must begin with http:// or https://", s)
	}
	t := Target{Network: "tcp", TLS: scheme == "https"}
	if path, ok := strings.CutPrefix(rest, "unix:"); ok {
		path, uri, _ := strings.Cut(path, ":")
		if !strings.HasPrefix(path, "/") {
			return Target{}, fmt.Errorf("parse URL %q: the path of a unix socket must be absolute, as in http://unix:/run/nginx.sock:/uri", s)
		}
		t.Network, t.Address, t.Host, t.ServerName = "unix", path, "localhost", "localhost"
		rest = "localhost" + uri
	}
	u, err := url.Parse(scheme + "://" + rest)
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
	if t.Network == "unix" {
		if !strings.HasPrefix(t.Path, "/") || u.Host != "localhost" {
			return Target{}, fmt.Errorf("parse URL %q: the part behind the socket must begin with a slash, as in http://unix:/run/nginx.sock:/uri", s)
		}
		return t, nil
	}
	if u.Hostname() == "" {
		return Target{}, fmt.Errorf("parse URL %q: no host", s)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	t.Address = net.JoinHostPort(u.Hostname(), port)
	t.Host, t.ServerName = u.Host, u.Hostname()
	return t, nil
}

// String is the URL; it reads back with [ParseURL] unless Host or ServerName were set apart.
func (t Target) String() string {
	scheme := "http://"
	if t.TLS {
		scheme = "https://"
	}
	if t.Network == "unix" {
		return scheme + "unix:" + t.Address + ":" + t.Path
	}
	return scheme + t.Address + t.Path
}

// check tells why nothing can be asked of the target.
func (t Target) check() error {
	switch {
	case !strings.HasPrefix(t.Path, "/"):
		return fmt.Errorf("target: the path %q does not begin with a slash", t.Path)
	case strings.ContainsAny(t.Path+t.Host, "\r\n"):
		return errors.New("target: the path or the Host header holds a line break")
	}
	return t.checkAddress()
}

// checkAddress is enough for connecting.
func (t Target) checkAddress() error {
	switch {
	case t.Network != "tcp" && t.Network != "unix":
		return fmt.Errorf("target: network %q is neither tcp nor unix", t.Network)
	case t.Address == "":
		return errors.New("target: no address")
	}
	return nil
}

// request is the GET of this target, ready to send.
func (t Target) request(userAgent string, closing bool) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: */*\r\n", t.Path, t.Host, userAgent)
	if closing {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// dial opens a connection; a receive buffer of 0 bytes leaves the kernel's own.
func (t Target) dial(ctx context.Context, receiveBuffer int) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1}
	if receiveBuffer > 0 {
		// Before connecting: the window offered with SYN already follows from it.
		dialer.Control = func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) {
				// A refusal leaves a larger buffer and a less slow reader: not worth failing for.
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
			})
		}
	}
	return dialer.DialContext(ctx, t.Network, t.Address)
}

// greet does what comes before HTTP: the PROXY protocol's header and the TLS handshake, until the
// connection's deadline.
func (t Target) greet(ctx context.Context, c net.Conn, alpn string) (net.Conn, error) {
	if t.ProxyProtocol {
		if _, err := io.WriteString(c, proxyHeader(c.LocalAddr(), c.RemoteAddr())); err != nil {
			return nil, fmt.Errorf("send the PROXY header: %w", err)
		}
	}
	if !t.TLS {
		return c, nil
	}
	conn := tls.Client(c, &tls.Config{
		ServerName:         t.ServerName,
		InsecureSkipVerify: !t.Verify, //nolint:gosec // the prober asks whether anybody answers, not who
		MinVersion:         tls.VersionTLS10,
		NextProtos:         []string{alpn},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; alpn == alpnH2 && got != alpnH2 {
		return nil, fmt.Errorf("%w: the server does not offer HTTP/2 (ALPN %q)", errHandshake, got)
	}
	return conn, nil
}

const (
	alpnHTTP1 = "http/1.1"
	alpnH2    = "h2"
)

// proxyHeader is version 1 of the PROXY protocol (haproxy's doc/proxy-protocol.txt).
func proxyHeader(from, to net.Addr) string {
	src, ok1 := from.(*net.TCPAddr)
	dst, ok2 := to.(*net.TCPAddr)
	if !ok1 || !ok2 {
		return "PROXY UNKNOWN\r\n"
	}
	family := "TCP6"
	if src.IP.To4() != nil {
		family = "TCP4"
	}
	return fmt.Sprintf("PROXY %s %s %s %d %d\r\n", family, src.IP, dst.IP, src.Port, dst.Port)
}

// defaultTimeout bounds a request for which the caller named no time.
const defaultTimeout = 10 * time.Second
