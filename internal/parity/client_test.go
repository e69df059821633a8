package parity

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/probe"
)

// listening hands each connection to serve, which closes it, and returns its address.
func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// server answers each connection with the same bytes, once a whole head was read.
func server(t *testing.T, answer string) string {
	t.Helper()
	return listening(t, func(c net.Conn) {
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, answer)
		}
		if answer == "" {
			_, _ = io.Copy(io.Discard, c) // until the client gives up
		}
	})
}

func ask(t *testing.T, address string) Answer {
	t.Helper()
	return Client{Dial: dial, Timeout: 300 * time.Millisecond}.Run(t.Context(), []Request{{ID: 5, Method: "GET", Target: "/", Host: "a", Network: "tcp", Address: address}})[0]
}

func TestAnAnswerIsKeptAsItCame(t *testing.T) {
	a := ask(t, server(t, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 Fine\r\nB: 1\r\na:  2 \r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	if a.Fate != probe.OK || a.ID != 5 || a.Status != 200 || a.Reason != "Fine" || string(a.Body) != "abc" || !a.Chunked || !a.Closing ||
		fmt.Sprint(a.Headers) != "[{B 1} {a 2} {Transfer-Encoding chunked} {Connection close}]" {
		t.Errorf("%+v", a)
	}
}

func TestFates(t *testing.T) {
	for answer, want := range map[string]probe.Fate{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab":                                      probe.Truncated,
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n":                                            probe.Truncated,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab":                        probe.Truncated,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n": probe.Malformed,
		"SSH-2.0\r\n":                          probe.Malformed,
		"":                                     probe.Timeout,
		"HTTP/1.1 200 OK\r\n\r\nuntil the end": probe.OK,
	} {
		if a := ask(t, server(t, answer)); a.Fate != want || (a.Err == "") != (want == probe.OK) {
			t.Errorf("%q: %s %s, want %s", answer, a.Fate, a.Err, want)
		}
	}
	if a := ask(t, "127.0.0.1:1"); a.Fate != probe.Refused {
		t.Errorf("%+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := (Client{Dial: dial}).Run(ctx, asked())[0]; a.Fate != probe.Unknown {
		t.Errorf("not sent: %+v", a)
	}
}

// A target of the log must not smuggle a second request.
func TestALineBreakIsNotSent(t *testing.T) {
	r := Request{Method: "GET", Target: "/\r\nX: y", Network: "tcp", Address: "127.0.0.1:1"}
	if a := (Client{Dial: dial}).Run(t.Context(), []Request{r})[0]; a.Fate != probe.Unknown || !strings.Contains(a.Err, "line break") {
		t.Errorf("%+v", a)
	}
}

func TestRequestsOfOneLocationGoInOrder(t *testing.T) {
	var mu sync.Mutex
	var order []string
	recording := func(ctx context.Context, source netip.Addr, network, address string) (net.Conn, error) {
		mu.Lock()
		order = append(order, address)
		mu.Unlock()
		return nil, errors.New("nobody")
	}
	var requests []Request
	for i := range 50 {
		r := Request{Method: "GET", Target: "/", Network: "tcp", Address: fmt.Sprintf("%d:%02d", i%2, i)}
		r.Location.Line = i % 2
		requests = append(requests, r)
	}
	Client{Dial: recording}.Run(t.Context(), requests)
	last := map[byte]string{}
	for _, address := range order {
		if address < last[address[0]] {
			t.Fatalf("%v", order)
		}
		last[address[0]] = address
	}
	if len(order) != 50 {
		t.Errorf("%d dialled", len(order))
	}
}

// The client speaks TLS, HTTP/2, the PROXY protocol and to unix sockets, with the address it is given.
func TestWhatNginxSeesOfTheClient(t *testing.T) {
	s := newSite(t, preamble+`server { listen 127.0.0.1:8080; listen 127.0.0.1:8443 ssl http2 proxy_protocol; listen unix:{{dir}}/s; server_name a.test; ssl_certificate cert.pem; ssl_certificate_key key.pem;
gzip on; gzip_min_length 1; gzip_types *;
location / { return 200 "$server_protocol $ssl_server_name $proxy_protocol_addr $remote_addr $http_user_agent $http_x_graft_request"; } } }`, nil)
	requests := s.requests()
	for i := range requests {
		requests[i].Source, requests[i].UserAgent = netip.MustParseAddr("127.0.0.7"), "agent"
	}
	stop, ok := s.start(t.Context(), nginxtest.Release(t, "1.22.1").Path, s.dir)
	if !ok {
		t.Fatal("nginx does not start")
	}
	defer stop()
	bound := func(ctx context.Context, source netip.Addr, network, address string) (net.Conn, error) {
		d := net.Dialer{}
		if network == "tcp" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		}
		return d.DialContext(ctx, network, address)
	}
	seen := map[string]bool{}
	for i, a := range (Client{Dial: bound}).Run(t.Context(), requests) {
		if a.Fate != probe.OK || a.Header("Content-Encoding") != "gzip" || a.TLSVersion != map[bool]string{true: "TLS 1.2"}[requests[i].TLS] || (a.Certificate == "") == requests[i].TLS {
			t.Errorf("%+v: %+v", requests[i], a)
		}
		seen[strings.TrimSuffix(string(a.Body), fmt.Sprint(" ", i+1))] = true
	}
	for _, want := range []string{"HTTP/1.1   127.0.0.7 agent", "HTTP/1.1 a.test 127.0.0.7 127.0.0.7 agent", "HTTP/2.0 a.test 127.0.0.7 127.0.0.7 agent", "HTTP/1.1   unix: agent"} {
		if !seen[want] {
			t.Errorf("no %q in %v", want, seen)
		}
	}
}
