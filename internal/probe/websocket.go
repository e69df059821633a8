package probe

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it; nothing secret depends on it
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// webSocket keeps one WebSocket (RFC 6455): the first exchange is the handshake and a message, the
// later ones are messages. A message is a ping, or the target's text, whose echo is awaited.
type webSocket struct {
	http1
	target    Target
	userAgent string
	open      bool
}

func newWebSocket(conn net.Conn, t Target, userAgent string) *webSocket {
	return &webSocket{http1: http1{conn: conn, in: answerReader{r: bufio.NewReaderSize(conn, readBuffer)}}, target: t, userAgent: userAgent}
}

// Opcodes of frames.
const (
	wsContinuation = 0x0
	wsText         = 0x1
	wsClose        = 0x8
	wsPing         = 0x9
	wsPong         = 0xA
)

const wsPayload = "graft-probe"

func (w *webSocket) exchange(deadline time.Time, sink io.Writer) reply {
	shaken := reply{}
	if !w.open {
		nonce := make([]byte, 16)
		_, _ = rand.Read(nonce) // never fails, by its documentation
		key := base64.StdEncoding.EncodeToString(nonce)
		t := w.target
		t.Method = "GET"
		t.Headers = append([]Header{{"Connection", "Upgrade"}, {"Upgrade", "websocket"},
			{"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", key}}, t.Headers...)
		w.request = t.request(w.userAgent, false)
		w.in.upgrading = true
		shaken = w.http1.exchange(deadline, sink)
		w.in.upgrading = false
		if shaken.fate != OK {
			shaken.reuse = false
			return shaken
		}
		if shaken.status != 101 { // a file, a page that says 403: who wanted a WebSocket has none
			return failed(malformed("status %d instead of 101: no WebSocket is spoken there", shaken.status), inAnswer, "shake hands")
		}
		if w.in.head.accept != wsAccept(key) {
			return failed(malformed("Sec-WebSocket-Accept %.60q", w.in.head.accept), inAnswer, "shake hands")
		}
		w.open = true
	}
	at := onReused
	if shaken.fate == OK { // still the first request of this connection: there is no excuse
		at = inAnswer
	}
	n, err := w.message(deadline, sink)
	if err != nil {
		return failed(err, at, "wait for the answer to a WebSocket message")
	}
	return reply{fate: OK, status: 101, server: w.server, bytes: n, reuse: true, headers: shaken.headers}
}

func wsAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// message sends a ping or the target's text, and reads until it is answered.
func (w *webSocket) message(deadline time.Time, sink io.Writer) (int64, error) {
	if err := w.conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	opcode, want := byte(wsPing), byte(wsPong)
	payload := wsPayload
	if w.target.Send != "" {
		opcode, want, payload = wsText, wsText, w.target.Send
	}
	if err := w.send(opcode, []byte(payload)); err != nil && !isBroken(err) {
		return 0, err
	}
	for {
		got, text, err := w.receive()
		if err != nil {
			return 0, err
		}
		switch {
		case got == wsPing:
			if err := w.send(wsPong, text); err != nil {
				return 0, err
			}
		case got == wsClose:
			// A server that goes away says so first: then the connection ended between two messages.
			return 0, fmt.Errorf("the server closed the WebSocket (%s): %w", closeReason(text), io.EOF)
		case got != want, want == wsPong && string(text) != payload:
		case w.target.Expect != "" && !strings.HasPrefix(string(text), w.target.Expect):
			return 0, malformed("the message %.60q does not begin with %.60q", text, w.target.Expect)
		default:
			if sink != nil && want == wsText {
				if _, err := sink.Write(text); err != nil {
					return 0, err
				}
			}
			return int64(len(text)), nil
		}
	}
}

func closeReason(text []byte) string {
	if len(text) < 2 {
		return "no code"
	}
	return strings.TrimSpace(fmt.Sprintf("code %d %s", binary.BigEndian.Uint16(text), bytes.ToValidUTF8(text[2:], []byte("?"))))
}

// send writes one frame, masked as a client has to.
func (w *webSocket) send(opcode byte, payload []byte) error {
	frame := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(n))
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	frame = append(frame, mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	_, err := w.conn.Write(frame)
	return err
}

// receive reads one message; of one in several frames, control frames between them are answered.
func (w *webSocket) receive() (opcode byte, text []byte, err error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(w.in.r, head[:1]); err != nil {
			return 0, nil, err
		}
		if _, err := io.ReadFull(w.in.r, head[1:]); err != nil {
			return 0, nil, midway(err)
		}
		final, code, size := head[0]&0x80 != 0, head[0]&0x0F, uint64(head[1]&0x7F)
		if head[0]&0x70 != 0 || head[1]&0x80 != 0 {
			return 0, nil, malformed("a WebSocket frame that begins with %x", head)
		}
		var long [8]byte
		switch size {
		case 126:
			_, err = io.ReadFull(w.in.r, long[6:])
			size = binary.BigEndian.Uint64(long[:])
		case 127:
			_, err = io.ReadFull(w.in.r, long[:])
			size = binary.BigEndian.Uint64(long[:])
		}
		if err != nil {
			return 0, nil, midway(err)
		}
		if size > maxMessage || uint64(len(text))+size > maxMessage {
			return 0, nil, malformed("a WebSocket message of more than %d bytes", maxMessage)
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(w.in.r, payload); err != nil {
			return 0, nil, midway(err)
		}
		switch {
		case code >= wsClose && opcode == 0: // control frames are whole
			return code, payload, nil
		case code == wsPing:
			if err := w.send(wsPong, payload); err != nil {
				return 0, nil, err
			}
			continue
		case code == wsClose:
			return code, payload, nil
		case code == wsPong:
			continue
		case code != wsContinuation:
			opcode = code
		}
		text = append(text, payload...)
		if final {
			return opcode, text, nil
		}
	}
}

// maxMessage bounds what a server may make this process keep.
const maxMessage = 1 << 20
