package parity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"graft/internal/probe"
	"graft/internal/stub"
)

// DialFunc opens a connection to nginx. source is the client's address of the request, or the zero
// Addr; a dialer that cannot take that address uses its own. network is "tcp" or "unix".
type DialFunc func(ctx context.Context, source netip.Addr, network, address string) (net.Conn, error)

// Client sends requests and keeps the answers whole.
type Client struct {
	Dial     DialFunc
	Timeout  time.Duration // for one request, connecting included; 5 s if 0
	Parallel int           // requests at the same time; 16 if 0
}

const (
	defaultTimeout  = 5 * time.Second
	leastTimeout    = 500 * time.Millisecond
	defaultParallel = 16
)

// Run sends each request once, on a connection of its own, and returns the answers in the order of
// the requests. Nothing is tried again. The requests of one location go one after the other, in
// order; different locations go at the same time. Once ctx is done, what is left is not sent.
func (c Client) Run(ctx context.Context, requests []Request) []Answer {
	answers := make([]Answer, len(requests))
	lanes := lanesOf(requests)
	next := make(chan []int)
	var workers sync.WaitGroup
	parallel := c.Parallel
	if parallel <= 0 {
		parallel = defaultParallel
	}
	for range min(parallel, len(lanes)) {
		workers.Go(func() {
			for lane := range next {
				c.lane(ctx, requests, answers, lane)
			}
		})
	}
	for _, lane := range lanes {
		next <- lane
	}
	close(next)
	workers.Wait()
	return answers
}

// lanesOf are the indexes of the requests, by lane, the lane of the first request first.
func lanesOf(requests []Request) [][]int {
	at := map[string]int{}
	var lanes [][]int
	for i := range requests {
		name := requests[i].lane()
		n, ok := at[name]
		if !ok {
			n = len(lanes)
			at[name] = n
			lanes = append(lanes, nil)
		}
		lanes[n] = append(lanes[n], i)
	}
	return lanes
}

func (c Client) lane(ctx context.Context, requests []Request, answers []Answer, lane []int) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	for _, i := range lane {
		answers[i] = c.ask(ctx, &requests[i], timeout)
		if answers[i].Fate == probe.Timeout {
			// A location that does not answer must not cost its whole timeout each time.
			timeout = max(timeout/2, min(timeout, leastTimeout))
		}
	}
}

// ask sends one request.
func (c Client) ask(ctx context.Context, r *Request, timeout time.Duration) Answer {
	a := Answer{ID: r.ID, At: time.Now()}
	err := ctx.Err()
	if err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
		err = c.exchange(ctx, r, &a)
	}
	a.Took = time.Since(a.At)
	if a.Fate = fateOf(err); err != nil {
		a.Err = err.Error()
	}
	return a
}

func (c Client) exchange(ctx context.Context, r *Request, a *Answer) error {
	if strings.ContainsAny(r.Target+r.Host+r.Method+r.UserAgent+r.Referer, "\r\n") || strings.Contains(r.Target, " ") {
		return errors.New("the request holds a line break or a space: it is not sent")
	}
	conn, err := c.Dial(ctx, r.Source, r.Network, r.Address)
	if err != nil {
		return stageError{connecting, fmt.Errorf("connect: %w", err)}
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return stageError{connecting, err}
	}
	if r.ProxyProtocol {
		if _, err := io.WriteString(conn, proxyHeader(r.Source, conn)); err != nil {
			return stageError{connecting, fmt.Errorf("send the PROXY header: %w", err)}
		}
	}
	if r.TLS {
		secure := tls.Client(conn, tlsConfig(r))
		if err := secure.HandshakeContext(ctx); err != nil {
			return stageError{handshake, fmt.Errorf("TLS handshake: %w", err)}
		}
		conn = secure
		state := secure.ConnectionState()
		a.TLSVersion = tls.VersionName(state.Version)
		if len(state.PeerCertificates) > 0 {
			a.Certificate = fmt.Sprintf("%x", sha256.Sum256(state.PeerCertificates[0].Raw))
		}
		if got := state.NegotiatedProtocol; r.HTTP2 && got != "h2" {
			return stageError{handshake, fmt.Errorf("TLS handshake: the server does not offer HTTP/2 (ALPN %q)", got)}
		}
	}
	switch {
	case r.Method == StreamMethod:
		return exchangeStream(conn, a)
	case r.HTTP2:
		return exchangeHTTP2(conn, r, a)
	}
	return exchangeHTTP1(conn, r, a)
}

func tlsConfig(r *Request) *tls.Config {
	protocols := []string{"http/1.1"}
	switch {
	case r.Method == StreamMethod:
		protocols = nil
	case r.HTTP2:
		protocols = []string{"h2"}
	}
	return &tls.Config{
		ServerName:         r.SNI,
		InsecureSkipVerify: true, //nolint:gosec // both binaries show the same certificate; who signed it is not asked
		MinVersion:         tls.VersionTLS10,
		NextProtos:         protocols,
		// What both know; the post-quantum exchange would only cost time.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
	}
}

// fields are the headers that are sent, in order, without Host. Accept-Encoding is what browsers
// send, so that compression shows.
func (r *Request) fields() []Header {
	all := []Header{{"User-Agent", cmp.Or(r.UserAgent, "graft-parity")}, {"Accept", "*/*"}, {"Accept-Encoding", "gzip"},
		{stub.IDHeader, fmt.Sprint(r.ID)}}
	if r.Referer != "" {
		all = append(all, Header{"Referer", r.Referer})
	}
	return all
}

// proxyHeader is version 1 of the PROXY protocol, for the client's address if its family fits.
func proxyHeader(source netip.Addr, conn net.Conn) string {
	from, ok1 := conn.LocalAddr().(*net.TCPAddr)
	to, ok2 := conn.RemoteAddr().(*net.TCPAddr)
	if !ok1 || !ok2 {
		return "PROXY UNKNOWN\r\n"
	}
	src, dst := from.AddrPort().Addr().Unmap(), to.AddrPort().Addr().Unmap()
	if source.IsValid() && source.Is4() == dst.Is4() {
		src = source
	}
	family := "TCP6"
	if dst.Is4() {
		family = "TCP4"
	}
	return fmt.Sprintf("PROXY %s %s %s %d %d\r\n", family, src, dst, from.Port, to.Port)
}
