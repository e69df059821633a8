package stub

import (
	"encoding/binary"
	"io"
)

// The records of FastCGI that a responder meets.
const (
	fcgiBegin  = 1
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6

	fcgiKeepConn = 1
)

// serveFastCGI answers requests of FastCGI, one after the other, which is how
// nginx sends them.
func (c *conn) serveFastCGI() {
	for {
		id, keep, params, body, err := c.readFastCGI()
		if err != nil {
			return
		}
		saw := c.saw
		saw.Protocol, saw.Fields, saw.Body = FastCGI, fcgiFields(params), body.body()
		saw.identify()
		c.server.note(saw)
		if err := c.writeFastCGI(id, answerCGI("Status: 200 OK\r\n", &saw)); err != nil || !keep {
			return
		}
	}
}

// readFastCGI reads one request's records: its parameters and its body each
// end with an empty one.
func (c *conn) readFastCGI() (id uint16, keep bool, params []byte, body *digest, err error) {
	body = newDigest()
	head := make([]byte, 8)
	for {
		if _, err := io.ReadFull(c.in, head); err != nil {
			return 0, false, nil, nil, err
		}
		id = binary.BigEndian.Uint16(head[2:])
		content := make([]byte, int(binary.BigEndian.Uint16(head[4:])))
		if _, err := io.ReadFull(c.in, content); err != nil {
			return 0, false, nil, nil, err
		}
		if _, err := c.in.Discard(int(head[6])); err != nil { // padding
			return 0, false, nil, nil, err
		}
		switch head[1] {
		case fcgiBegin:
			keep = len(content) > 2 && content[2]&fcgiKeepConn != 0
		case fcgiParams:
			if params = append(params, content...); len(params) > maxHead {
				return 0, false, nil, nil, errHead
			}
		case fcgiStdin:
			if len(content) == 0 {
				return id, keep, params, body, nil
			}
			_, _ = body.Write(content) // a hash takes everything
		}
	}
}

// fcgiFields splits a stream of names and values, each preceded by its length:
// one byte, or four with the highest bit set.
func fcgiFields(b []byte) []Field {
	var fields []Field
	length := func() int {
		switch {
		case len(b) > 0 && b[0] < 0x80:
			n := int(b[0])
			b = b[1:]
			return n
		case len(b) >= 4:
			n := int(binary.BigEndian.Uint32(b) &^ (1 << 31))
			b = b[4:]
			return n
		}
		b = nil
		return 0
	}
	for len(b) > 0 {
		n, v := length(), length()
		if n+v > len(b) {
			break
		}
		fields = append(fields, Field{string(b[:n]), string(b[n : n+v])})
		b = b[n+v:]
	}
	return fields
}

func (c *conn) writeFastCGI(id uint16, answer []byte) error {
	record := func(kind byte, content []byte) []byte {
		head := []byte{1, kind, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint16(head[2:], id)
		binary.BigEndian.PutUint16(head[4:], uint16(len(content)))
		return append(head, content...)
	}
	var out []byte
	for len(answer) > 0 {
		n := min(len(answer), 0xfff8)
		out = append(out, record(fcgiStdout, answer[:n])...)
		answer = answer[n:]
	}
	out = append(out, record(fcgiStdout, nil)...)
	out = append(out, record(fcgiEnd, make([]byte, 8))...) // exit status 0, request complete
	_, err := c.Write(out)
	return err
}
