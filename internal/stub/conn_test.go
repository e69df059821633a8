package stub

import (
	"io"
	"net"
	"testing"
	"time"
)

// protocols are beginnings, and hints, that a mutation starts from.
var protocols = []struct {
	hint  Protocol
	bytes string
}{
	{HTTP, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"},
	{HTTP, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: v\r\n\r\n"},
	{HTTP, "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x88\xff"},
	{HTTP2, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x84\x87"},
	{FastCGI, "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x01\x04\x00\x01\x00\x04\x00\x00\x01\x01ab\x01\x04\x00\x01\x00\x00\x00\x00\x01\x05\x00\x01\x00\x00\x00\x00"},
	{UWSGI, "\x00\x06\x00\x00\x01\x00a\x01\x00b"},
	{SCGI, "24:CONTENT_LENGTH\x002\x00SCGI\x001\x00,ok"},
	{Memcached, "get a b\r\nset k 0 0 2\r\nok\r\n"},
	{TCP, "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nline\n"},
	{TCP, proxyV2 + "\x21\x11\x00\x0c\xcb\x00\x71\x01\x0a\x00\x00\x05\x10\x00\x00\x50GET / HTTP/1.0\r\n\r\n"},
	{HTTP, "\x16\x03\x01\x00\x05hello"},
}

// Whatever a client sends, a stub answers or hangs up: nginx under trial may
// send anything.
func FuzzConn(f *testing.F) {
	config, err := selfSigned()
	if err != nil {
		f.Fatal(err)
	}
	for i, p := range protocols {
		f.Add(i, []byte(p.bytes))
	}
	f.Fuzz(func(t *testing.T, hint int, data []byte) {
		s := &Server{tls: config, saw: map[string][]Saw{}, conns: map[net.Conn]bool{}}
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.serve(server, []Protocol{protocols[uint(hint)%uint(len(protocols))].hint})
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_ = client.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = client.Write(data) // the stub may have hung up
		client.Close()
		<-done
		answerDNS(data)
	})
}

func TestEachBeginningIsRecognised(t *testing.T) {
	config, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range protocols[:len(protocols)-1] {
		s := &Server{tls: config, saw: map[string][]Saw{}, conns: map[net.Conn]bool{}}
		client, server := net.Pipe()
		go func() {
			_, _ = io.WriteString(client, p.bytes)
		}()
		go func() { s.serve(server, []Protocol{p.hint, TCP}) }()
		buffer := make([]byte, 1)
		if _, err := client.Read(buffer); err != nil {
			t.Errorf("%q: no answer: %v", p.bytes, err)
		}
		go func() { _, _ = io.Copy(io.Discard, client) }()
		if p.hint != HTTP2 { // speaks before it has seen the request
			seen := s.Seen("")
			if len(seen) == 0 || seen[0].Protocol != p.hint && seen[0].Protocol != HTTP {
				t.Errorf("%q: seen %+v", p.bytes, seen)
			}
		}
		client.Close()
	}
}
