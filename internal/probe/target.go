package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
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

	Protocol Protocol `json:"protocol,omitempty"`
	Method   string   `json:"method,omitempty"`  // GET if empty
	Headers  []Header `json:"headers,omitempty"` // further ones
	Send     string   `json:"send,omitempty"`    // by WebSocket (a text, instead of a ping) and TCP
	Expect   string   `json:"expect,omitempty"`  // how the answer to Send begins
}

// check tells why nothing can be asked of the target.
func (t Target) check() error {
	switch {
	case !strings.HasPrefix(t.Path, "/") && t.Protocol != OverTCP:
		return fmt.Errorf("target: the path %q does not begin with a slash", t.Path)
	case strings.ContainsAny(t.Path+t.Host+t.Method, "\r\n"):
		return errors.New("target: the path, the method or the Host header holds a line break")
	case t.Protocol == OverHTTP3 && (!t.TLS || t.ProxyProtocol || t.Network == "unix"):
		return errors.New("target: HTTP/3 is spoken over UDP, with TLS and without the PROXY protocol")
	}
	for _, h := range t.Headers {
		if h.Name == "" || strings.ContainsAny(h.Name+h.Value, "\r\n") || strings.ContainsAny(h.Name, ": ") {
			return fmt.Errorf("target: %q: %q is no header", h.Name, h.Value)
		}
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

// request is the request of this target in HTTP/1.1, ready to send.
func (t Target) request(userAgent string, closing bool) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: */*\r\n", cmp.Or(t.Method, "GET"), t.Path, t.Host, userAgent)
	for _, h := range t.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
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
func (t Target) greet(ctx context.Context, c net.Conn) (net.Conn, error) {
	if t.ProxyProtocol {
		if _, err := io.WriteString(c, proxyHeader(c.LocalAddr(), c.RemoteAddr())); err != nil {
			return nil, fmt.Errorf("send the PROXY header: %w", err)
		}
	}
	if !t.TLS {
		return c, nil
	}
	alpn := t.Protocol.alpn()
	conn := tls.Client(c, t.tlsConfig())
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; alpn == alpnH2 && got != alpnH2 {
		return nil, fmt.Errorf("%w: the server does not offer HTTP/2 (ALPN %q)", errHandshake, got)
	}
	return conn, nil
}

func (t Target) tlsConfig() *tls.Config {
	config := &tls.Config{
		ServerName:         t.ServerName,
		InsecureSkipVerify: !t.Verify, //nolint:gosec // the prober asks whether anybody answers, not who
		MinVersion:         tls.VersionTLS10,
	}
	if alpn := t.Protocol.alpn(); alpn != "" {
		config.NextProtos = []string{alpn}
	}
	return config
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
