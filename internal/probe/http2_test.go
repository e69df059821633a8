package probe_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"graft/internal/probe"
)

// h2peer is the server's end of an HTTP/2 connection, on bare frames.
type h2peer struct {
	*http2.Framer
	conn net.Conn
}

// stream waits for the next request and returns its stream's id, 0 at the end of the connection.
func (p *h2peer) stream() uint32 {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return 0
		}
		if f, ok := f.(*http2.HeadersFrame); ok {
			return f.StreamID
		}
	}
}

func (p *h2peer) answer(id uint32, ended bool, fields ...hpack.HeaderField) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range append([]hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "server", Value: "test"}}, fields...) {
		f.Sensitive = true
		_ = encoder.WriteField(f)
	}
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: ended})
}

func (p *h2peer) whole(id uint32) {
	p.answer(id, false, hpack.HeaderField{Name: "content-length", Value: "5"})
	_ = p.WriteData(id, true, []byte("hello"))
}

func TestFatesOfHTTP2Streams(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, NextProtos: []string{"h2"}}
	// afterOne answers one stream, does what the test says with the next one of the first
	// connection, and is a good server on all others.
	afterOne := func(end func(p *h2peer, id uint32)) func(*h2peer, int) {
		return func(p *h2peer, number int) {
			p.whole(p.stream())
			id := p.stream()
			if number == 1 {
				end(p, id)
				return
			}
			for ; id != 0; id = p.stream() {
				p.whole(id)
			}
		}
	}
	for _, test := range []struct {
		name   string
		script func(p *h2peer, number int)
		want   fates
	}{
		{"whole answers on one connection", func(p *h2peer, _ int) {
			for id := p.stream(); id != 0; id = p.stream() {
				p.whole(id)
			}
		}, fates{probe.OK: 5}},
		{"GOAWAY before the stream: it was not processed", afterOne(func(p *h2peer, id uint32) {
			_ = p.WriteGoAway(id-2, http2.ErrCodeNo, nil)
		}), fates{probe.OK: 4, probe.GoAway: 1}},
		{"GOAWAY that still answers the stream, as nginx at keepalive_requests", afterOne(func(p *h2peer, id uint32) {
			_ = p.WriteGoAway(id, http2.ErrCodeNo, nil)
			p.whole(id)
		}), fates{probe.OK: 5}},
		{"GOAWAY that promises an answer and does not give it", afterOne(func(p *h2peer, id uint32) {
			_ = p.WriteGoAway(id, http2.ErrCodeNo, nil)
			p.answer(id, false)
		}), fates{probe.OK: 4, probe.Truncated: 1}},
		{"GOAWAY that blames the client", afterOne(func(p *h2peer, id uint32) {
			_ = p.WriteGoAway(id-2, http2.ErrCodeProtocol, []byte("your fault"))
		}), fates{probe.OK: 4, probe.Malformed: 1}},
		{"REFUSED_STREAM: it was not processed", afterOne(func(p *h2peer, id uint32) {
			_ = p.WriteRSTStream(id, http2.ErrCodeRefusedStream)
		}), fates{probe.OK: 4, probe.GoAway: 1}},
		{"any other RST_STREAM", afterOne(func(p *h2peer, id uint32) {
			_ = p.WriteRSTStream(id, http2.ErrCodeInternal)
		}), fates{probe.OK: 4, probe.Reset: 1}},
		{"idle-keepalive-close without a GOAWAY", afterOne(func(*h2peer, uint32) {}), fates{probe.OK: 4, probe.EOFIdle: 1}},
		{"EOF in a body", afterOne(func(p *h2peer, id uint32) {
			p.answer(id, false)
			_ = p.WriteData(id, false, []byte("he"))
		}), fates{probe.OK: 4, probe.Truncated: 1}},
		{"a body shorter than its length", afterOne(func(p *h2peer, id uint32) {
			p.answer(id, false, hpack.HeaderField{Name: "content-length", Value: "5"})
			_ = p.WriteData(id, true, []byte("he"))
		}), fates{probe.OK: 4, probe.Malformed: 1}},
		{"DATA without HEADERS", afterOne(func(p *h2peer, id uint32) {
			_ = p.WriteData(id, true, []byte("he"))
		}), fates{probe.OK: 4, probe.Malformed: 1}},
		{"EOF on a new connection", func(p *h2peer, _ int) { p.stream() }, fates{probe.EOFNew: 5}},
		{"no answer in time", func(p *h2peer, number int) {
			for id := p.stream(); id != 0; id = p.stream() {
				if number > 1 {
					p.whole(id)
				}
			}
		}, fates{probe.OK: 4, probe.Timeout: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, "tcp", "127.0.0.1:0")
			play(t, l, func(c *peer, number int) {
				conn := tls.Server(c.Conn, config)
				if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
					t.Errorf("preface: %v", err)
					return
				}
				p := &h2peer{http2.NewFramer(conn, conn), conn}
				if err := errors.Join(p.WriteSettings(), p.WritePing(false, [8]byte{1})); err != nil {
					t.Errorf("settings: %v", err)
				}
				test.script(p, number)
				_ = conn.CloseWrite() // half, so that the client's acknowledgements do not turn EOF into RST
				p.stream()
			})
			tally := run(t, probe.Load{Target: target(t, "https://"+l.Addr().String()+"/"), Mode: probe.HTTP2, Requests: 5, Timeout: time.Second})
			if diff := cmp.Diff(test.want, tally.Fates); diff != "" {
				t.Errorf("fates (-want +got):\n%s%v", diff, tally.Failures)
			}
		})
	}
}

func TestHTTP2NeedsAServerThatOffersIt(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	play(t, l, func(c *peer, _ int) { _ = tls.Server(c.Conn, config).Handshake() })
	tally := run(t, probe.Load{Target: target(t, "https://"+l.Addr().String()+"/"), Mode: probe.HTTP2, Requests: 1})
	if diff := cmp.Diff(fates{probe.TLS: 1}, tally.Fates); diff != "" {
		t.Errorf("fates (-want +got):\n%s%v", diff, tally.Failures)
	}
}

// TestHandoverOfHTTP2Servers hands a listening socket from one server to another as nginx does, with
// graceful shutdown and under load: every stream is answered or handed back by GOAWAY.
func TestHandoverOfHTTP2Servers(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	inherited, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	certificate := selfSigned(t)
	serve := func(name string, l net.Listener) *http.Server {
		s := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Server", name)
				_, _ = w.Write(bytes.Repeat([]byte(name), 30_000))
			}),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
			ErrorLog:  log.New(io.Discard, "", 0),
		}
		go func() { _ = s.ServeTLS(l, "", "") }()
		t.Cleanup(func() { s.Close() })
		return s
	}
	old := serve("old", l)
	running, err := probe.Start(t.Context(), probe.Load{
		Target: target(t, "https://"+l.Addr().String()+"/"), Mode: probe.HTTP2, Clients: 4, Duration: 30 * time.Second, Requests: 2000,
	})
	if err != nil {
		t.Fatal(err)
	}
	for running.Tally().Requests < 500 {
		time.Sleep(time.Millisecond)
	}
	serve("new", inherited)
	if err := old.Shutdown(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	tally := running.Wait()
	if tally.Lost() != 0 || tally.Requests != 2000 {
		t.Errorf("%d requests, %d lost: %v %v", tally.Requests, tally.Lost(), tally.Fates, tally.Failures)
	}
	if len(tally.Servers) != 2 || tally.Servers[0].Name != "old" || tally.Servers[1].Name != "new" {
		t.Errorf("servers: %+v", tally.Servers)
	}
}
