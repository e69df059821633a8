package probe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// reply is what one request came to.
type reply struct {
	fate   Fate
	err    error // what went wrong, where fate is not OK
	status int
	server string
	bytes  int64 // of the body
	reuse  bool  // the connection takes another request

	headers []Header // where they were asked for
}

// http1 speaks HTTP/1.1 on one connection, a request at a time.
type http1 struct {
	conn     net.Conn
	request  []byte
	in       answerReader
	answered bool // at least once
	server   string
}

func newHTTP1(conn net.Conn, request []byte) *http1 {
	return &http1{conn: conn, request: request, in: answerReader{r: bufio.NewReaderSize(conn, readBuffer)}}
}

func (h *http1) close() { h.conn.Close() }

// exchange sends the request and reads the whole answer, whose body also goes to sink unless that is nil.
func (h *http1) exchange(deadline time.Time, sink io.Writer) reply {
	at := onNew
	if h.answered {
		at = onReused
	}
	if err := h.conn.SetDeadline(deadline); err != nil {
		return failed(err, at, "set the deadline")
	}
	// A server that closes may have answered before it did, so a broken pipe does not settle
	// anything: what can be read does.
	if _, err := h.conn.Write(h.request); err != nil && !isBroken(err) {
		return failed(err, at, "send the request")
	}
	if _, err := h.in.r.Peek(1); err != nil {
		return failed(err, at, "wait for the answer")
	}
	if err := h.in.readHead(); err != nil {
		return failed(err, inAnswer, "read the head of the answer")
	}
	head := &h.in.head
	bytes, err := h.in.readBody(sink)
	if err != nil {
		r := failed(err, inAnswer, fmt.Sprintf("read the body after %d bytes", bytes))
		r.bytes = bytes
		return r
	}
	if extra := h.in.r.Buffered(); extra > 0 && head.status != 101 {
		return failed(malformed("%d bytes behind the answer", extra), inAnswer, "read the answer")
	}
	if h.server != string(head.server) { // without an allocation for each answer
		h.server = string(head.server)
	}
	h.answered = true
	return reply{fate: OK, status: head.status, server: h.server, bytes: bytes, reuse: !head.closing, headers: head.fields}
}

func failed(err error, at stage, doing string) reply {
	return reply{fate: fateOf(err, at), err: fmt.Errorf("%s: %w", doing, err)}
}

func isBroken(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
