package stub

import (
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
	"strings"
)

// errHead is a request that cannot be read any further.
var errHead = errors.New("not a request of HTTP/1")

// serveHTTP answers requests of HTTP/1.0 and 1.1 until the client has no more.
// net/http would lose the headers' order and case.
func (c *conn) serveHTTP() {
	for {
		saw, err := c.readHead()
		if err != nil {
			return
		}
		if saw.Version == "1.1" && strings.EqualFold(saw.Get("Expect"), "100-continue") {
			if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return
			}
		}
		if err := c.readBody(&saw); err != nil {
			return
		}
		c.server.note(saw)
		if hasToken(saw.Get("Connection"), "upgrade") && saw.Get("Upgrade") != "" {
			c.upgrade(&saw)
			return
		}
		stay := saw.Version == "1.1" && !hasToken(saw.Get("Connection"), "close") ||
			saw.Version == "1.0" && hasToken(saw.Get("Connection"), "keep-alive")
		if _, err := c.Write(c.answerHTTP(&saw, stay)); err != nil || !stay {
			return
		}
	}
}

func (c *conn) readHead() (Saw, error) {
	saw := c.saw
	saw.Protocol = HTTP
	line, err := c.line()
	if err != nil {
		return saw, err
	}
	var version string
	var ok bool
	saw.Method, line, _ = strings.Cut(line, " ")
	// The target is all up to the version: nginx may be made to send spaces.
	if i := strings.LastIndexByte(line, ' '); i >= 0 {
		saw.Target, version = line[:i], line[i+1:]
	}
	if saw.Version, ok = strings.CutPrefix(version, "HTTP/"); !ok {
		return saw, errHead
	}
	saw.Fields, err = c.readFields()
	saw.identify()
	return saw, err
}

// readFields reads headers, or trailers, up to the empty line.
func (c *conn) readFields() ([]Field, error) {
	var fields []Field
	for size := 0; size < maxHead; {
		line, err := c.line()
		if err != nil || line == "" {
			return fields, err
		}
		size += len(line)
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, Field{name, strings.Trim(value, " \t")})
	}
	return nil, errHead
}

func (c *conn) readBody(saw *Saw) error {
	d := newDigest()
	if hasToken(saw.Get("Transfer-Encoding"), "chunked") {
		if _, err := io.Copy(d, httputil.NewChunkedReader(c.in)); err != nil {
			return err
		}
		trailers, err := c.readFields()
		if err != nil {
			return err
		}
		saw.Trailers = trailers
	} else if err := copyLength(d, c.in, saw.Get("Content-Length")); err != nil {
		return err
	}
	saw.Body = d.body()
	return nil
}

// copyLength takes in a body of the length that a header or parameter tells.
func copyLength(d *digest, in io.Reader, length string) error {
	if length == "" {
		return nil
	}
	n, err := strconv.ParseInt(length, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("length of a body: %q", length)
	}
	_, err = io.CopyN(d, in, n)
	return err
}

// answerHTTP is the whole answer to a request.
func (c *conn) answerHTTP(saw *Saw, stay bool) []byte {
	body := saw.echo()
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\n")
	writeFields(&b, saw, len(body))
	if c.hinted(MailAuth) {
		// No mailbox stands behind: nginx is to tell its client so.
		b.WriteString("Auth-Status: a stub upstream knows no mailboxes\r\n")
	}
	switch {
	case !stay:
		b.WriteString("Connection: close\r\n")
	case saw.Version == "1.0":
		b.WriteString("Connection: keep-alive\r\n")
	}
	b.WriteString("\r\n")
	if saw.Method != "HEAD" {
		b.Write(body)
	}
	return []byte(b.String())
}

// answerCGI is the answer to a request that came as parameters; what stands
// for the first line depends on the protocol.
func answerCGI(first string, saw *Saw) []byte {
	body := saw.echo()
	var b strings.Builder
	b.WriteString(first)
	writeFields(&b, saw, len(body))
	b.WriteString("\r\n")
	if saw.Get("REQUEST_METHOD") != "HEAD" {
		b.Write(body)
	}
	return []byte(b.String())
}

func writeFields(b *strings.Builder, saw *Saw, length int) {
	for _, f := range answerFields(saw, length) {
		fmt.Fprintf(b, "%s: %s\r\n", f.Name, f.Value)
	}
}

// answerFields are the headers of every answer: nothing in them changes with
// time.
func answerFields(saw *Saw, length int) []Field {
	return []Field{
		{"Server", "graft-stub"},
		{"Date", "Thu, 01 Jan 2026 00:00:00 GMT"},
		{"Content-Type", "application/json"},
		{"Content-Length", strconv.Itoa(length)},
		{"ETag", saw.etag()},
	}
}

func hasToken(list, token string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(t), token) {
			return true
		}
	}
	return false
}
