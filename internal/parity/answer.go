package parity

import (
	"strconv"
	"time"

	"graft/internal/probe"
	"graft/internal/stub"
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
	Bytes   int64      `json:"bytes"`             // of the body, as sent
	SHA256  string     `json:"sha256,omitempty"`  // of the body, unpacked if it is gzip, hexadecimal
	Body    []byte     `json:"body,omitempty"`    // its first 64 KiB, unpacked

	TLSVersion  string `json:"tls_version,omitempty"` // "TLS 1.3"
	Certificate string `json:"certificate,omitempty"` // SHA-256 of what the server showed, hexadecimal

	Upstream []stub.Saw    `json:"upstream,omitempty"` // what reached the stub upstreams, in order
	At       time.Time     `json:"at"`                 // when it was sent
	Took     time.Duration `json:"took_ns"`
}

// Header is the first header of that name, without regard to case.
func (a *Answer) Header(name string) string { return headerOf(a.Headers, name) }

// Attach gives each answer what the upstreams saw of its request; saw is [stub.Server.Seen].
func Attach(answers []Answer, saw func(id string) []stub.Saw) {
	for i := range answers {
		answers[i].Upstream = saw(strconv.Itoa(answers[i].ID))
	}
}
