package probe

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Conn speaks HTTP/2 on one connection, a stream at a time, on bare frames: the fate of a
// stream follows from the GOAWAY and RST_STREAM frames themselves, which http2.Transport keeps to
// itself behind its retries.
type http2Conn struct {
	conn     net.Conn
	out      *bufio.Writer
	frames   *http2.Framer
	body     []byte // of each request, if any
	headers  []byte // the header block; the same for every stream, since it refers to no dynamic table
	stream   uint32 // id of the current or last stream
	closing  bool   // GOAWAY was seen
	answered bool   // at least once
	unacked  uint32 // bytes of DATA not yet returned to the windows
	server   string
	keepHead bool
	grpc     bool
	headOnly bool // the method is HEAD
}

const (
	h2Window = 1 << 30 // bytes the server may send ahead, on the connection and on each stream
	h2Return = 1 << 20 // bytes after which windows are topped up
)

func newHTTP2(conn net.Conn, t Target, userAgent string) (*http2Conn, error) {
	h := &http2Conn{conn: conn, out: bufio.NewWriter(conn), grpc: t.Protocol == OverGRPC, headOnly: t.Method == "HEAD"}
	h.frames = http2.NewFramer(h.out, bufio.NewReaderSize(conn, readBuffer))
	h.frames.SetReuseFrames()
	h.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)

	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	method, scheme, path := cmp.Or(t.Method, "GET"), "http", t.Path
	if t.TLS {
		scheme = "https"
	}
	further := []hpack.HeaderField{{Name: "accept", Value: "*/*"}}
	if t.Protocol == OverGRPC {
		method = "POST"
		path, h.body = grpcCall(t.Path)
		further = []hpack.HeaderField{{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"}}
	}
	for _, f := range t.Headers {
		further = append(further, hpack.HeaderField{Name: strings.ToLower(f.Name), Value: f.Value})
	}
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: scheme}, {Name: ":authority", Value: t.Host},
		{Name: ":path", Value: path}, {Name: "user-agent", Value: userAgent},
	}, further...) {
		f.Sensitive = true // "never indexed" keeps it out of the dynamic table
		if err := encoder.WriteField(f); err != nil {
			return nil, fmt.Errorf("encode %s: %w", f.Name, err)
		}
	}
	h.headers = block.Bytes()

	// These only fill the buffer; they leave with the first request.
	_, err := h.out.WriteString(http2.ClientPreface)
	return h, errors.Join(err,
		h.frames.WriteSettings(
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: h2Window}),
		h.frames.WriteWindowUpdate(0, h2Window))
}

func (h *http2Conn) close() { h.conn.Close() }

// h2Answer is the answer that the current stream has got so far.
type h2Answer struct {
	begun  bool // a frame of this stream came
	status int
	length int64 // Content-Length, or -1
	bytes  int64
	ended  bool

	headers    []Header // where they were asked for, and trailers
	grpcStatus bool     // the header was there
}

// errNotProcessed marks a stream that the server says it has not begun to process.
var errNotProcessed = errors.New("not processed by the server")

func (h *http2Conn) exchange(deadline time.Time, sink io.Writer) reply {
	at := onNew
	if h.answered {
		at = onReused
	}
	if err := h.conn.SetDeadline(deadline); err != nil {
		return failed(err, at, "set the deadline")
	}
	h.stream += 2
	if h.stream == 2 {
		h.stream = 1
	}
	err := h.frames.WriteHeaders(http2.HeadersFrameParam{
		StreamID: h.stream, BlockFragment: h.headers, EndStream: len(h.body) == 0, EndHeaders: true,
	})
	if err == nil && len(h.body) > 0 {
		err = h.frames.WriteData(h.stream, true, h.body)
	}
	if err == nil {
		err = h.out.Flush()
	}
	if err != nil && !isBroken(err) { // as in HTTP/1.1, what can be read settles it
		return failed(err, at, "send the request")
	}
	answer := h2Answer{length: -1}
	for !answer.ended {
		err := h.frame(&answer, sink)
		if err == nil {
			continue
		}
		if errors.Is(err, errNotProcessed) {
			return reply{fate: GoAway, err: err}
		}
		if answer.begun {
			at = inAnswer
		}
		r := failed(err, at, "read the answer")
		r.bytes = answer.bytes
		return r
	}
	if answer.length >= 0 && answer.length != answer.bytes {
		return failed(malformed("Content-Length %d, but %d bytes", answer.length, answer.bytes), inAnswer, "read the answer")
	}
	if h.grpc && answer.status == 200 && !answer.grpcStatus {
		return failed(malformed("an answer without grpc-status"), inAnswer, "read the answer")
	}
	h.answered = true
	return reply{fate: OK, status: answer.status, server: h.server, bytes: answer.bytes, reuse: !h.closing, headers: answer.headers}
}

// frame reads one frame and does what it asks for.
func (h *http2Conn) frame(answer *h2Answer, sink io.Writer) error {
	frame, err := h.frames.ReadFrame()
	if err != nil {
		return h2Error(err)
	}
	ours := frame.Header().StreamID == h.stream
	if ours {
		answer.begun = true
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return h.send(h.frames.WriteSettingsAck())
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return h.send(h.frames.WritePing(true, f.Data))
		}
	case *http2.GoAwayFrame:
		h.closing = true
		switch {
		case f.LastStreamID >= h.stream: // it will still be answered
		case f.ErrCode == http2.ErrCodeNo:
			return fmt.Errorf("GOAWAY before stream %d: %w", h.stream, errNotProcessed)
		default:
			return malformed("GOAWAY %v: %.60q", f.ErrCode, f.DebugData())
		}
	case *http2.RSTStreamFrame:
		switch {
		case !ours:
		case f.ErrCode == http2.ErrCodeRefusedStream:
			return fmt.Errorf("RST_STREAM: %w", errNotProcessed)
		default:
			return &streamReset{f.ErrCode}
		}
	case *http2.MetaHeadersFrame:
		if ours {
			return h.head(answer, f)
		}
	case *http2.DataFrame:
		if ours {
			return h.data(answer, f, sink)
		}
	case *http2.PushPromiseFrame:
		return malformed("PUSH_PROMISE, although push is off")
	}
	return nil
}

func (h *http2Conn) head(answer *h2Answer, f *http2.MetaHeadersFrame) error {
	h.keep(answer, f)
	if answer.status >= 200 { // trailers
		answer.ended = f.StreamEnded()
		return nil
	}
	status, ok := decimal([]byte(f.PseudoValue("status")))
	if !ok || status < 100 || status > 999 {
		return malformed(":status %.60q", f.PseudoValue("status"))
	}
	answer.status, answer.ended = int(status), f.StreamEnded()
	server := ""
	for _, field := range f.RegularFields() {
		switch field.Name {
		case "server":
			server = strings.Clone(field.Value)
		case "content-length":
			n, err := strconv.ParseInt(field.Value, 10, 64)
			if err != nil || n < 0 {
				return malformed("content-length %.60q", field.Value)
			}
			answer.length = n
		}
	}
	if answer.status < 200 {
		answer.length, answer.headers = -1, nil
		if answer.ended {
			return malformed("the stream ended with status %d", answer.status)
		}
		return nil
	}
	if answer.status == 304 || h.headOnly {
		answer.length = -1 // tells the length of a body that is not sent
	}
	h.server = server
	return nil
}

// keep notes the head's fields.
func (h *http2Conn) keep(answer *h2Answer, f *http2.MetaHeadersFrame) {
	if !h.keepHead && !h.grpc {
		return
	}
	for _, field := range f.RegularFields() {
		answer.grpcStatus = answer.grpcStatus || field.Name == "grpc-status"
		if h.keepHead {
			answer.headers = append(answer.headers, Header{strings.Clone(field.Name), strings.Clone(field.Value)})
		}
	}
}

func (h *http2Conn) data(answer *h2Answer, f *http2.DataFrame, sink io.Writer) error {
	if answer.status < 200 {
		return malformed("DATA before HEADERS")
	}
	answer.bytes += int64(len(f.Data()))
	answer.ended = f.StreamEnded()
	if sink != nil {
		if _, err := sink.Write(f.Data()); err != nil {
			return err
		}
	}
	if h.unacked += f.Length; h.unacked < h2Return {
		return nil
	}
	returned := h.unacked
	h.unacked = 0
	err := h.frames.WriteWindowUpdate(0, returned)
	if err == nil && !answer.ended {
		err = h.frames.WriteWindowUpdate(h.stream, returned)
	}
	return h.send(err)
}

// send flushes what a frame writer that returned err has written. A connection broken for writing
// may still hold an answer to read.
func (h *http2Conn) send(err error) error {
	if err == nil {
		err = h.out.Flush()
	}
	if err != nil && !isBroken(err) {
		return err
	}
	return nil
}

// h2Error tells protocol errors of the peer from those of the connection.
func h2Error(err error) error {
	var stream http2.StreamError
	var connection http2.ConnectionError
	if errors.As(err, &stream) || errors.As(err, &connection) || errors.Is(err, http2.ErrFrameTooLarge) {
		return malformed("%v", err)
	}
	return err
}

// streamReset is RST_STREAM from the server: for its one request what an RST is for a connection.
type streamReset struct{ code http2.ErrCode }

func (e *streamReset) Error() string { return fmt.Sprintf("RST_STREAM %v", e.code) }

func (e *streamReset) Is(target error) bool { return target == syscall.ECONNRESET }
