package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http" // for its Request alone: quic-go's client connection takes one, and sends it once
	"net/url"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const alpnH3 = "h3"

// http3Conn speaks HTTP/3 on one QUIC connection. Of quic-go only the connection is used, not its
// transport: that opens others and tries again.
type http3Conn struct {
	quic      *quic.Conn
	packets   *net.UDPConn
	client    *http3.ClientConn
	target    Target
	userAgent string
	keepHead  bool
	answered  bool
}

// quicIdle bounds a connection on which nothing comes: longer than any pause between probes, so that
// silence of the server is told as a timeout of the request, not of the connection.
const quicIdle = 5 * time.Minute

// dialHTTP3 opens a connection until ctx is done.
func dialHTTP3(ctx context.Context, t Target, userAgent string, keepHead bool) (*http3Conn, error) {
	address, err := net.ResolveUDPAddr("udp", t.Address)
	if err != nil {
		return nil, err
	}
	packets, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	config := t.tlsConfig()
	config.MinVersion = 0 // QUIC has TLS 1.3 alone
	// Without keep-alives: PINGs would find out between two requests what a request is there to find out.
	conn, err := quic.Dial(ctx, packets, address, config, &quic.Config{MaxIdleTimeout: quicIdle})
	if err != nil {
		_ = packets.Close()
		return nil, err
	}
	transport := &http3.Transport{DisableCompression: true}
	return &http3Conn{quic: conn, packets: packets, client: transport.NewClientConn(conn), target: t, userAgent: userAgent, keepHead: keepHead}, nil
}

func (h *http3Conn) close() {
	_ = h.client.CloseWithError(0x100, "") // H3_NO_ERROR; the connection may be gone already
	_ = h.packets.Close()
}

func (h *http3Conn) exchange(deadline time.Time, sink io.Writer) reply {
	at := onNew
	if h.answered {
		at = onReused
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	request, err := h.request(ctx)
	if err != nil {
		return failed(err, at, "make the request")
	}
	answer, err := h.client.RoundTrip(request)
	if err != nil {
		return h.failed(ctx, err, at, "wait for the answer")
	}
	defer answer.Body.Close()
	if sink == nil {
		sink = io.Discard
	}
	n, err := io.Copy(sink, answer.Body)
	if err != nil {
		r := h.failed(ctx, err, inAnswer, fmt.Sprintf("read the body after %d bytes", n))
		r.bytes = n
		return r
	}
	h.answered = true
	r := reply{fate: OK, status: answer.StatusCode, server: answer.Header.Get("Server"), bytes: n, reuse: true}
	if h.keepHead {
		for name, values := range answer.Header {
			for _, v := range values {
				r.headers = append(r.headers, Header{name, v})
			}
		}
		sortHeaders(r.headers)
	}
	return r
}

func (h *http3Conn) request(ctx context.Context) (*http.Request, error) {
	path, err := url.ParseRequestURI(h.target.Path)
	if err != nil {
		return nil, err
	}
	path.Scheme, path.Host = "https", h.target.Host
	r, err := http.NewRequestWithContext(ctx, h.target.Method, path.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", h.userAgent)
	r.Header.Set("Accept", "*/*")
	for _, f := range h.target.Headers {
		r.Header.Add(f.Name, f.Value)
	}
	return r, nil
}

// failed names the fate of an exchange by what QUIC says of it.
func (h *http3Conn) failed(ctx context.Context, err error, at stage, doing string) reply {
	// The stream's error tells less than the connection's, where that has ended.
	if cause := context.Cause(h.quic.Context()); cause != nil && ctx.Err() == nil {
		err = cause
	}
	return reply{fate: fateOfQUIC(err, at), err: fmt.Errorf("%s: %w", doing, err)}
}

// fateOfQUIC is fateOf in QUIC's terms. An unknown connection is answered by a stateless reset: what
// RST is in TCP. A connection that the server closes without an error while nothing is under way is
// what an EOF is.
func fateOfQUIC(err error, at stage) Fate {
	var (
		reset     *quic.StatelessResetError
		app       *quic.ApplicationError
		transport *quic.TransportError
		stream    *quic.StreamError
		h3        *http3.Error
		version   *quic.VersionNegotiationError
	)
	code := http3.ErrCode(0)
	switch {
	case isTimeout(err):
		return Timeout
	case errors.As(err, &reset):
		return Reset
	case errors.As(err, &version):
		return Malformed
	case errors.As(err, &transport):
		switch {
		case transport.ErrorCode.IsCryptoError():
			return TLS
		case transport.ErrorCode == quic.ConnectionRefused:
			return Refused
		case transport.ErrorCode == quic.NoError:
			return [...]Fate{onNew: EOFNew, onReused: EOFIdle, inAnswer: Truncated}[at]
		}
		return Malformed
	case errors.As(err, &app):
		code = http3.ErrCode(app.ErrorCode)
	case errors.As(err, &h3):
		code = h3.ErrorCode
	case errors.As(err, &stream):
		code = http3.ErrCode(stream.ErrorCode)
	default:
		return fateOf(err, at)
	}
	switch code {
	case http3.ErrCodeNoError:
		return [...]Fate{onNew: EOFNew, onReused: EOFIdle, inAnswer: Truncated}[at]
	case http3.ErrCodeRequestRejected:
		return GoAway
	}
	return Malformed
}
