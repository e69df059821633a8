package stub

import (
	"encoding/binary"
	"io"
	"strconv"
	"strings"
)

// serveUWSGI answers one request of uwsgi: a head of four bytes (modifier,
// size, modifier), the parameters, the body.
func (c *conn) serveUWSGI() {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return
	}
	params := make([]byte, binary.LittleEndian.Uint16(head[1:]))
	if _, err := io.ReadFull(c.in, params); err != nil {
		return
	}
	var fields []Field
	var words []string
	for len(params) >= 2 {
		n := int(binary.LittleEndian.Uint16(params))
		if params = params[2:]; n > len(params) {
			return
		}
		words = append(words, string(params[:n]))
		params = params[n:]
	}
	for i := 0; i+1 < len(words); i += 2 {
		fields = append(fields, Field{words[i], words[i+1]})
	}
	c.answerParams(UWSGI, fields, "HTTP/1.1 200 OK\r\n")
}

// serveSCGI answers one request of SCGI: the parameters as a netstring, the
// body.
func (c *conn) serveSCGI() {
	size, err := c.in.ReadString(':')
	if err != nil {
		return
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
	if err != nil || n < 0 || n > maxHead {
		return
	}
	params := make([]byte, n+1) // and a comma
	if _, err := io.ReadFull(c.in, params); err != nil {
		return
	}
	words := strings.Split(string(params[:n]), "\x00")
	var fields []Field
	for i := 0; i+1 < len(words); i += 2 {
		fields = append(fields, Field{words[i], words[i+1]})
	}
	c.answerParams(SCGI, fields, "Status: 200 OK\r\n")
}

// answerParams reads the body that the parameters tell of, and answers. Neither
// protocol knows a second request on a connection.
func (c *conn) answerParams(p Protocol, fields []Field, first string) {
	saw := c.saw
	saw.Protocol, saw.Fields = p, fields
	saw.identify()
	d := newDigest()
	if err := copyLength(d, c.in, saw.Get("CONTENT_LENGTH")); err != nil {
		return
	}
	saw.Body = d.body()
	c.server.note(saw)
	_, _ = c.Write(answerCGI(first, &saw)) // the client may be gone
}
