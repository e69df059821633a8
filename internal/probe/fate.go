package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
)

// Fate is what became of one request. The names are stable: JSON and scripts rely on them.
type Fate uint8

// The fates. Some are apart: not losses, because every HTTP client has to survive them anyway.
//
// An idle keep-alive connection may be closed by either side at any time (RFC 9112, 9.3.1 and
// 9.5). A server that closes one at the very moment the client speaks has not begun to handle the
// request, the client knows so because not one byte came back, and it sends the request again on a
// new connection. Every worker that WINCH or QUIT tells to go does this to its idle connections
// (the trap idle-keepalive-close), and to busy ones caught between two requests. Whether the client
// sees EOF or RST is only a question of whether its request reached the server's socket after or
// before the close: closing a socket with unread data in it sends an RST. On a new connection there
// is no such excuse: a server that accepted owes an answer.
const (
	Unknown     Fate = iota // no request was made; never counted
	OK                      // a whole answer, whatever its status
	Refused                 // nobody listens, or the queue of a unix socket is full
	Unreachable             // the network failed in another way: no such unix socket, no route
	Reset                   // RST on a new connection or in the middle of an answer
	ResetIdle               // RST before any byte on a reused connection; apart
	EOFNew                  // EOF before any byte on a new connection
	EOFIdle                 // EOF before any byte on a reused connection; apart
	GoAway                  // HTTP/2: GOAWAY or REFUSED_STREAM says that it was not processed; apart
	Truncated               // EOF in the middle of an answer
	Altered                 // a whole answer whose body differs from the first one's (mode download)
	Timeout                 // no whole answer in time
	Malformed               // not HTTP, or not consistent
	TLS                     // the handshake failed
	Local                   // this process is out of descriptors or ports: nothing is known about the server
)

var fateNames = [...]string{
	Unknown: "unknown", OK: "ok", Refused: "refused", Unreachable: "unreachable", Reset: "reset",
	ResetIdle: "reset_idle", EOFNew: "eof_new", EOFIdle: "eof_idle", GoAway: "goaway",
	Truncated: "truncated", Altered: "altered", Timeout: "timeout", Malformed: "malformed", TLS: "tls",
	Local: "local",
}

func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return fmt.Sprintf("fate(%d)", uint8(f))
}

// MarshalText gives the stable name.
func (f Fate) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText takes the stable name.
func (f *Fate) UnmarshalText(name []byte) error {
	i := slices.Index(fateNames[:], string(name))
	if i < 0 {
		return fmt.Errorf("unknown fate %q", name)
	}
	*f = Fate(i)
	return nil
}

// Apart tells whether the request has to be sent again by any correct client, so that it is
// neither answered nor lost.
func (f Fate) Apart() bool { return f == EOFIdle || f == ResetIdle || f == GoAway }

// Lost tells whether a client was let down. [Local] counts too: a prober that could not ask has no
// evidence, and no evidence is not success.
func (f Fate) Lost() bool { return f != OK && !f.Apart() }

// errMalformed marks answers that break the protocol.
var errMalformed = errors.New("malformed answer")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...))
}

// stage is how far a request had come when it failed.
type stage uint8

const (
	onNew    stage = iota // nothing was ever read from this connection
	onReused              // the connection has answered before, but not a byte to this request
	inAnswer              // in the middle of the answer
)

// fateOf names the fate of an exchange that failed at a stage.
func fateOf(err error, at stage) Fate {
	switch {
	case isTimeout(err):
		return Timeout
	case errors.Is(err, errMalformed):
		return Malformed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return [...]Fate{onNew: EOFNew, onReused: EOFIdle, inAnswer: Truncated}[at]
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return [...]Fate{onNew: Reset, onReused: ResetIdle, inAnswer: Reset}[at]
	case isTLS(err):
		return TLS
	default:
		return Unreachable
	}
}

// fateOfDial names the fate of a request whose connection could not be opened.
func fateOfDial(err error) Fate {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.EAGAIN): // a unix socket's full queue; before isTimeout, since this errno claims to be one
		return Refused
	case isTimeout(err):
		return Timeout
	case errors.Is(err, syscall.ECONNRESET):
		return Reset
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE),
		errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return Local
	default:
		return Unreachable
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) || errors.As(err, &timeout) && timeout.Timeout()
}

func isTLS(err error) bool {
	var record tls.RecordHeaderError
	var op *net.OpError
	return errors.Is(err, errHandshake) || errors.As(err, &record) ||
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") // how crypto/tls labels alerts
}

// errHandshake marks whatever the handshake found wrong.
var errHandshake = errors.New("TLS handshake")
