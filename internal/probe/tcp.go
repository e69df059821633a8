package probe

import (
	"io"
	"net"
	"strings"
	"time"
)

// plainTCP sends the target's bytes and reads how the answer begins. Where neither is given, that the
// connection was opened (and the TLS handshake done) is the answer.
type plainTCP struct {
	conn   net.Conn
	target Target
}

func (p *plainTCP) close() { p.conn.Close() }

func (p *plainTCP) exchange(deadline time.Time, sink io.Writer) reply {
	if p.target.Send == "" && p.target.Expect == "" {
		return reply{fate: OK}
	}
	if err := p.conn.SetDeadline(deadline); err != nil {
		return failed(err, onNew, "set the deadline")
	}
	if _, err := io.WriteString(p.conn, p.target.Send); err != nil && !isBroken(err) {
		return failed(err, onNew, "send")
	}
	got := make([]byte, max(len(p.target.Expect), 1))
	n, err := io.ReadFull(p.conn, got)
	got = got[:n]
	if !strings.HasPrefix(p.target.Expect, string(got)) && p.target.Expect != "" {
		return failed(malformed("the answer begins with %.60q, not with %.60q", got, p.target.Expect), inAnswer, "read the answer")
	}
	if err != nil {
		at := onNew
		if n > 0 {
			at = inAnswer
		}
		return failed(err, at, "read the answer")
	}
	if sink != nil && p.target.Expect != "" { // else how much came with the first byte is chance
		if _, err := sink.Write(got); err != nil {
			return failed(err, inAnswer, "keep the answer")
		}
	}
	return reply{fate: OK, bytes: int64(n)}
}
