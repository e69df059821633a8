package parity

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
)

const (
	maxHead = 256 << 10 // bytes in the head of an answer
	maxKept = 64 << 10  // bytes of a body that are kept
	maxBody = 64 << 20  // bytes of a body that are read; what lies behind them is not compared
)

// exchangeHTTP1 sends the request and reads the whole answer.
func exchangeHTTP1(conn net.Conn, r *Request, a *Answer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	if r.Host != "" {
		fmt.Fprintf(&b, "Host: %s\r\n", r.Host)
	}
	for _, f := range r.fields() {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("\r\n")
	// A server may answer and close before it has read all; what can be read settles it.
	_, sent := io.WriteString(conn, b.String())
	in := bufio.NewReader(conn)
	if _, err := in.Peek(1); err != nil {
		return stageError{waiting, fmt.Errorf("wait for the answer: %w", errors.Join(sent, err))}
	}
	for {
		if err := readHead(in, a); err != nil {
			return err
		}
		if a.Status >= 200 || a.Status == 101 {
			break
		}
	}
	body, err := bodyReader(in, r.Method, a)
	if err != nil {
		return err
	}
	return keepBody(a, body)
}

// readHead reads one head, that of a 1xx answer included.
func readHead(in *bufio.Reader, a *Answer) error {
	left := maxHead
	line, err := readLine(in, &left)
	if err != nil {
		return err
	}
	proto, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || !strings.HasPrefix(proto, "HTTP/1.") {
		return malformed("status line %.60q", line)
	}
	a.Proto, a.Status, a.Reason, a.Headers = proto, status, reason, nil
	for {
		line, err := readLine(in, &left)
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return malformed("header line %.60q", line)
		}
		a.Headers = append(a.Headers, Header{name, strings.Trim(value, " \t")})
	}
	a.Closing = strings.EqualFold(a.Header("Connection"), "close") || proto == "HTTP/1.0"
	a.Chunked = strings.EqualFold(a.Header("Transfer-Encoding"), "chunked")
	return nil
}

func readLine(in *bufio.Reader, left *int) (string, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if *left -= len(part); *left < 0 {
			return "", malformed("a head of more than %d bytes", maxHead)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", stageError{inAnswer, fmt.Errorf("read the head: %w", err)}
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
	}
}

// bodyReader reads the body up to its end, where an early EOF is an error.
func bodyReader(in *bufio.Reader, method string, a *Answer) (io.Reader, error) {
	length := a.Header("Content-Length")
	switch {
	case method == "HEAD", a.Status == 204, a.Status == 304, a.Status == 101:
		return strings.NewReader(""), nil
	case a.Chunked && length != "":
		return nil, malformed("both Transfer-Encoding and Content-Length")
	case a.Chunked:
		return httputil.NewChunkedReader(in), nil
	case length != "":
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil || n < 0 {
			return nil, malformed("Content-Length %.60q", length)
		}
		return &exactly{in, n}, nil
	}
	a.Closing = true
	return in, nil
}

// exactly reads n bytes; fewer are an unexpected EOF.
type exactly struct {
	from io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.from.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
