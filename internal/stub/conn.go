package stub

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"time"
)

// maxHead bounds a line and the head of a request, in bytes.
const maxHead = 256 << 10

// conn is one connection to a stub.
type conn struct {
	net.Conn
	server *Server
	in     *bufio.Reader
	saw    Saw // what is known of every request on it
	hints  []Protocol
}

func newConn(s *Server, c net.Conn, saw Saw, hints []Protocol) *conn {
	return &conn{Conn: c, server: s, in: bufio.NewReaderSize(c, 16<<10), saw: saw, hints: hints}
}

// Read reads what was looked at, too: TLS goes on from there.
func (c *conn) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *conn) hinted(p Protocol) bool { return slices.Contains(c.hints, p) }

// starts tells whether the next bytes are text. It waits for no byte more than
// the answer takes.
func (c *conn) starts(text string) bool {
	for n := 1; n <= len(text); n++ {
		got, err := c.in.Peek(n)
		if err != nil || got[n-1] != text[n-1] {
			return false
		}
	}
	return true
}

// serve finds out what the client speaks and answers until it is done.
func (c *conn) serve() {
	for { // a PROXY protocol's header precedes the real thing
		switch {
		case c.starts(proxyV2):
			if !c.proxyV2() {
				return
			}
		case c.starts("PROXY "):
			line, err := c.line()
			if err != nil {
				return
			}
			c.saw.Proxy = line
		default:
			c.speak()
			return
		}
	}
}

func (c *conn) speak() {
	first, err := c.in.Peek(1)
	if err != nil {
		return
	}
	switch b := first[0]; {
	case b == 0x16 && c.saw.TLS == nil && c.starts("\x16\x03"):
		c.startTLS()
	case b == 1 && !c.hinted(UWSGI) && c.starts("\x01\x01"), b == 1 && c.hinted(FastCGI):
		c.serveFastCGI()
	case b == 0 && !c.onlyRaw(), c.hinted(UWSGI) && !upper(b):
		c.serveUWSGI()
	case '1' <= b && b <= '9' && c.hinted(SCGI):
		c.serveSCGI()
	case c.hinted(Memcached) && !upper(b):
		c.serveMemcached()
	case c.starts("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
		c.serveHTTP2()
	case upper(b) && !c.onlyRaw(), c.method():
		c.serveHTTP()
	default:
		c.serveRaw()
	}
}

// onlyRaw tells that nothing is expected here but a stream of any kind.
func (c *conn) onlyRaw() bool { return len(c.hints) == 1 && c.hints[0] == TCP }

func upper(b byte) bool { return 'A' <= b && b <= 'Z' }

// method tells whether a stream, of which nothing is known, begins as HTTP.
func (c *conn) method() bool {
	for _, m := range []string{"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH "} {
		if c.starts(m) {
			return true
		}
	}
	return false
}

// handshakeTime bounds the wait for a client that opened TLS and went silent.
const handshakeTime = 30 * time.Second

func (c *conn) startTLS() {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	t := tls.Server(c, c.server.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		return // the client's log tells
	}
	state := t.ConnectionState()
	saw := c.saw
	saw.TLS = &TLS{ServerName: state.ServerName, ALPN: state.NegotiatedProtocol}
	newConn(c.server, t, saw, c.hints).serve()
	_ = t.Close() // tells the client that this is all; it may be gone
}

// line reads a line without its end.
func (c *conn) line() (string, error) {
	var line []byte
	for {
		part, err := c.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) < maxHead:
		case err != nil:
			return "", err
		default:
			return strings.TrimRight(string(line), "\r\n"), nil
		}
	}
}
