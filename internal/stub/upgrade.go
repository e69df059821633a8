package stub

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// upgrade accepts whatever protocol was asked for and then sends back what it
// reads: frame by frame if that is WebSocket.
func (c *conn) upgrade(saw *Saw) {
	accept := ""
	webSocket := strings.EqualFold(saw.Get("Upgrade"), "websocket")
	if webSocket {
		// RFC 6455, section 4.2.2: the key shows that a WebSocket server answers.
		sum := sha1.Sum([]byte(saw.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		accept = "Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	}
	_, err := fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nServer: graft-stub\r\nUpgrade: %s\r\nConnection: upgrade\r\n%s\r\n",
		saw.Get("Upgrade"), accept)
	switch {
	case err != nil:
	case webSocket:
		for c.echoFrame() {
		}
	default:
		_, _ = io.Copy(c, c.in) // until the client ends it
	}
}

// echoFrame sends one WebSocket frame back, unmasked as a server's must be. It
// tells whether more may come.
func (c *conn) echoFrame() bool {
	const (
		closing, ping, pong = 8, 9, 10
		masked              = 0x80
	)
	head := make([]byte, 2)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return false
	}
	length := uint64(head[1] &^ masked)
	more := map[uint64]int{126: 2, 127: 8}[length]
	long := make([]byte, 8)
	if _, err := io.ReadFull(c.in, long[8-more:]); err != nil {
		return false
	}
	if more > 0 {
		length = binary.BigEndian.Uint64(long)
	}
	if length > 1<<20 {
		return false
	}
	var mask [4]byte
	if head[1]&masked != 0 {
		if _, err := io.ReadFull(c.in, mask[:]); err != nil {
			return false
		}
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return false
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	op := head[0] & 0xf
	first := head[0]
	switch op {
	case pong:
		return true
	case ping:
		first = first&^0xf | pong
	}
	frame := append([]byte{first, head[1] &^ masked}, long[8-more:]...)
	_, err := c.Write(append(frame, payload...))
	return err == nil && op != closing
}
