package stub

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strings"
)

// IDHeader is the request header by whose value [Server.Seen] finds what
// reached the stubs. In FastCGI, uwsgi and SCGI it arrives as the parameter
// HTTP_X_GRAFT_REQUEST.
const IDHeader = "X-Graft-Request"

const idParam = "HTTP_X_GRAFT_REQUEST"

// Protocol is what an upstream speaks, or spoke.
type Protocol string

// What the stubs know. As a hint in an [Endpoint] HTTP stands for HTTP/1 and
// HTTP/2, with and without TLS.
const (
	HTTP      Protocol = "http"
	HTTP2     Protocol = "http2"
	FastCGI   Protocol = "fastcgi"
	UWSGI     Protocol = "uwsgi"
	SCGI      Protocol = "scgi"
	Memcached Protocol = "memcached"
	MailAuth  Protocol = "mail_auth" // HTTP with the answer a mail proxy asks for
	TCP       Protocol = "tcp"       // of a stream: anything
	UDP       Protocol = "udp"
	DNS       Protocol = "dns"
	Syslog    Protocol = "syslog" // swallowed
)

// Saw is one request as it reached a stub.
type Saw struct {
	// ID is the value of IDHeader; "" if there was none.
	ID       string   `json:"-"`
	Protocol Protocol `json:"protocol"`
	// Version is "1.0" or "1.1" of HTTP.
	Version string `json:"version,omitempty"`
	// From is the address of the peer. Its port is another each time, so it is
	// not part of the echo. "" for unix sockets.
	From string `json:"-"`
	// To is the address that was reached: IP:PORT, or the unix socket's path; of
	// a pool's servers, the pool's name.
	// Of several servers nginx may choose another each time.
	To    string `json:"to"`
	TLS   *TLS   `json:"tls,omitempty"`
	Proxy string `json:"proxy,omitempty"` // the PROXY protocol's header, as version 1 writes it

	Method string `json:"method,omitempty"`
	Target string `json:"target,omitempty"` // of the request line; memcached's key
	// Fields are the headers in their order, or the parameters of FastCGI,
	// uwsgi and SCGI.
	Fields []Field `json:"fields,omitempty"`
	Body   Body    `json:"body"`
	// Trailers follow a chunked body, or one of HTTP/2.
	Trailers []Field `json:"trailers,omitempty"`
}

// TLS is what a client said when it opened a TLS connection.
type TLS struct {
	ServerName string `json:"server_name"`
	ALPN       string `json:"alpn,omitempty"` // what was agreed on
}

// Field is a header or a parameter.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Body is a request's body; of a stream, what was read.
type Body struct {
	Length int64  `json:"length"`
	SHA256 string `json:"sha256"`
	// Start is the first 256 bytes; what is no UTF-8 is replaced in the echo.
	Start string `json:"start"`
}

// Get is the value of the first field of that name, without regard to case.
func (s Saw) Get(name string) string {
	for _, f := range s.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// identify sets the ID from the fields.
func (s *Saw) identify() {
	if s.ID = s.Get(IDHeader); s.ID == "" {
		s.ID = s.Get(idParam)
	}
}

// echo is the answer's body: the same for the same request.
func (s *Saw) echo() []byte {
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(text, '\n')
}

// etag depends on what was asked for, not on how or where: neither a volatile
// header nor the choice among several servers shall change it.
func (s *Saw) etag() string {
	sum := sha256.Sum256([]byte(s.Method + " " + s.Target + " " + s.Get("REQUEST_URI")))
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// digest takes a body in as it is read.
type digest struct {
	hash   hash.Hash
	length int64
	start  []byte
}

func newDigest() *digest { return &digest{hash: sha256.New()} }

func (d *digest) Write(p []byte) (int, error) {
	d.length += int64(len(p))
	d.start = append(d.start, p[:min(len(p), 256-len(d.start))]...)
	return d.hash.Write(p)
}

func (d *digest) body() Body {
	return Body{Length: d.length, SHA256: hex.EncodeToString(d.hash.Sum(nil)), Start: string(d.start)}
}
