package probe

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

const (
	maxHeader  = 64 << 10 // bytes in the head of an answer
	readBuffer = 16 << 10 // also bounds a line; nginx itself makes none of more than 8 kB by default
)

// answerHead is the part of an answer's head that a prober acts on; server is valid until the next
// answer.
type answerHead struct {
	status  int
	server  []byte
	length  int64 // of the body; -1: until EOF
	chunked bool
	closing bool // the server will close

	fields []Header // where they are kept
	accept string   // Sec-WebSocket-Accept
}

// answerReader reads HTTP/1.x answers off a connection (RFC 9112).
type answerReader struct {
	r    *bufio.Reader
	head answerHead
	read int64 // bytes of the head and of chunk framing

	keepHead  bool
	upgrading bool // 101 is a final answer
	headOnly  bool // to HEAD
}

// readHead reads the head of the next final answer; 1xx answers before it are passed over. The
// first byte must have been seen already (Peek), so that EOF here is one in the middle.
func (a *answerReader) readHead() error {
	for {
		if err := a.readOneHead(); err != nil {
			return err
		}
		if a.head.status >= 200 || a.head.status == 101 && a.upgrading {
			return nil
		}
		if a.head.status == 101 {
			return malformed("101 without an upgrade having been asked for")
		}
	}
}

func (a *answerReader) readOneHead() error {
	a.head = answerHead{length: -1, server: a.head.server[:0]}
	a.read = 0
	line, err := a.line()
	if err != nil {
		return err
	}
	// "HTTP/1.1 200 OK"; the reason may be empty, and the space before it missing.
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return malformed("status line %.60q", line)
	}
	status, ok := decimal(line[9:12])
	if !ok || status < 100 {
		return malformed("status line %.60q", line)
	}
	a.head.status = int(status)
	a.head.closing = line[7] == '0'
	for {
		line, err := a.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		if err := a.field(line); err != nil {
			return err
		}
	}
	switch {
	case a.head.status < 200, a.headOnly, a.head.status == 204, a.head.status == 304:
		a.head.length, a.head.chunked = 0, false
	case a.head.chunked && a.head.length >= 0:
		return malformed("both Transfer-Encoding and Content-Length")
	case !a.head.chunked && a.head.length < 0:
		a.head.closing = true
	}
	return nil
}

func (a *answerReader) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return malformed("header line %.60q", line)
	}
	name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
	if a.keepHead {
		a.head.fields = append(a.head.fields, Header{string(name), string(value)})
	}
	switch {
	case named(name, "content-length"):
		n, ok := decimal(value)
		if !ok || a.head.length >= 0 && a.head.length != n {
			return malformed("Content-Length %.60q", value)
		}
		a.head.length = n
	case named(name, "transfer-encoding"):
		if !named(value, "chunked") {
			return malformed("Transfer-Encoding %.60q", value)
		}
		a.head.chunked = true
	case named(name, "connection"):
		for token := range bytes.SplitSeq(value, []byte(",")) {
			if named(bytes.TrimSpace(token), "close") {
				a.head.closing = true
			} else if named(bytes.TrimSpace(token), "keep-alive") {
				a.head.closing = false // HTTP/1.0 says so
			}
		}
	case a.upgrading && named(name, "sec-websocket-accept"):
		a.head.accept = string(value)
	case named(name, "server"):
		a.head.server = append(a.head.server[:0], value...)
	}
	return nil
}

// named compares without case, and without the cost of bytes.EqualFold's Unicode.
func named(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// line reads one line without its end.
func (a *answerReader) line() ([]byte, error) {
	line, err := a.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, malformed("a line of more than %d bytes: %.60q…", readBuffer, line)
	}
	if err != nil {
		return nil, midway(err)
	}
	if a.read += int64(len(line)); a.read > maxHeader {
		return nil, malformed("a head of more than %d bytes", maxHeader)
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

// readBody reads the whole body, gives it to sink unless that is nil, and counts its bytes.
func (a *answerReader) readBody(sink io.Writer) (int64, error) {
	switch {
	case a.head.chunked:
		return a.readChunks(sink)
	case a.head.length >= 0:
		n, err := a.copy(sink, a.head.length)
		return n, midway(err)
	default:
		n, err := a.copy(sink, 1<<62)
		if errors.Is(err, io.EOF) {
			err = nil // nothing tells whether it was whole
		}
		return n, err
	}
}

func (a *answerReader) readChunks(sink io.Writer) (int64, error) {
	var total int64
	for {
		a.read = 0
		line, err := a.line()
		if err != nil {
			return total, err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseInt(string(bytes.TrimSpace(digits)), 16, 64)
		if err != nil || size < 0 {
			return total, malformed("chunk size %.60q", line)
		}
		if size == 0 {
			break
		}
		n, err := a.copy(sink, size)
		total += n
		if err != nil {
			return total, midway(err)
		}
		if line, err = a.line(); err != nil {
			return total, err
		} else if len(line) != 0 {
			return total, malformed("%.60q behind a chunk", line)
		}
	}
	for { // trailers
		line, err := a.line()
		if err != nil {
			return total, err
		}
		if len(line) == 0 {
			return total, nil
		}
	}
}

// copy passes n bytes on. It returns the bare error: whether EOF is the end, the caller knows.
func (a *answerReader) copy(sink io.Writer, n int64) (int64, error) {
	var done int64
	for done < n {
		if _, err := a.r.Peek(1); err != nil {
			return done, err
		}
		chunk, _ := a.r.Peek(int(min(int64(a.r.Buffered()), n-done)))
		if sink != nil {
			if _, err := sink.Write(chunk); err != nil {
				return done, err
			}
		}
		k, _ := a.r.Discard(len(chunk))
		done += int64(k)
	}
	return done, nil
}

// midway turns EOF into one that nobody takes for an end.
func midway(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decimal reads digits only: no sign, no space, at most 18 of them.
func decimal(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
