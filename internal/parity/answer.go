package parity

import (
	"time"

	"graft/internal/probe"
)

// Header is one line of a head, as it came.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Answer is what one request came to at one binary.
type Answer struct {
	ID      int        `json:"id"` // of the request
	Fate    probe.Fate `json:"fate"`
	Err     string     `json:"err,omitempty"` // why Fate is not OK
	Status  int        `json:"status,omitempty"`
	Proto   string     `json:"proto,omitempty"`   // "HTTP/1.1"
	Reason  string     `json:"reason,omitempty"`  // behind the status
	Headers []Header   `json:"headers,omitempty"` // in order, with the names' case
	Chunked bool       `json:"chunked,omitempty"`
	Closing bool       `json:"closing,omitempty"` // the server does not keep the connection
	Bytes   int64      `json:"bytes"`             // of the body
	SHA256  string     `json:"sha256,omitempty"`  // of the body, hexadecimal
	Body    []byte     `json:"body,omitempty"`    // its first 64 KiB

	Upstream []Saw         `json:"upstream,omitempty"` // what reached the stub upstreams, in order
	At       time.Time     `json:"at"`                 // when it was sent
	Took     time.Duration `json:"took_ns"`
}

// Saw is one request as it reached a stub upstream; the fields and their JSON are those of
// internal/stub's record.
type Saw struct {
	Protocol string  `json:"protocol"` // "http", "fastcgi", …
	Version  string  `json:"version,omitempty"`
	To       string  `json:"to"` // the address that nginx connected to
	TLS      *SawTLS `json:"tls,omitempty"`
	Proxy    string  `json:"proxy,omitempty"` // the PROXY protocol's header

	Method string   `json:"method,omitempty"`
	Target string   `json:"target,omitempty"`
	Fields []Header `json:"fields,omitempty"` // headers, or the parameters of FastCGI and the like
	Body   SawBody  `json:"body"`
}

// SawTLS is what nginx said when it opened a TLS connection.
type SawTLS struct {
	ServerName string `json:"server_name"`
	ALPN       string `json:"alpn,omitempty"`
}

// SawBody is a request's body.
type SawBody struct {
	Length int64  `json:"length"`
	SHA256 string `json:"sha256"`
	Start  string `json:"start"` // its first bytes
}

// Header is the first header of that name, without regard to case.
func (a *Answer) Header(name string) string { return headerOf(a.Headers, name) }

// Attach gives each answer what the upstreams saw of its request.
func Attach(answers []Answer, saw func(id int) []Saw) {
	for i := range answers {
		answers[i].Upstream = saw(answers[i].ID)
	}
}
