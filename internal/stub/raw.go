package stub

import (
	"errors"
	"os"
	"time"
)

// pause is how long a stream must be silent to be taken for a whole question.
const pause = 100 * time.Millisecond

// serveRaw answers a stream of which nothing is known: after a line, after a
// pause, or when the client has sent all, it tells what it has read since its
// last answer.
func (c *conn) serveRaw() {
	for {
		saw := c.saw
		saw.Protocol = TCP
		d := newDigest()
		last, err := c.in.ReadByte()
		if err != nil {
			return
		}
		for err == nil && last != '\n' {
			_, _ = d.Write([]byte{last}) // a hash takes everything
			if err = c.SetReadDeadline(time.Now().Add(pause)); err == nil {
				last, err = c.in.ReadByte()
			}
		}
		if err == nil {
			_, _ = d.Write([]byte{last}) // as above
		}
		saw.Body = d.body()
		c.server.note(saw)
		if _, werr := c.Write(saw.echo()); werr != nil {
			return
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if c.SetReadDeadline(time.Time{}) != nil {
			return
		}
	}
}
