package probe

import (
	"net"
	"time"
)

// slowConn reads no more than rate bytes in a second, like a client on a thin line. Once hurry is
// closed it reads as fast as it can, so that a load can end with whole answers. While it is slow its
// deadline is one for progress: every read has timeout from its own start.
type slowConn struct {
	net.Conn
	rate    int // bytes per second; 0: not slow
	timeout time.Duration
	hurry   <-chan struct{}
	due     time.Time // of the next read
}

// slowReads is how often in a second a slow reader reads.
const slowReads = 20

// slowBuffer is the receive buffer asked of the kernel for a slow reader; with the usual one of
// megabytes the kernel would take the whole body at once and only the reader would be slow.
const slowBuffer = 16 << 10

func (c *slowConn) Read(p []byte) (int, error) {
	if c.rate == 0 {
		return c.Conn.Read(p)
	}
	if wait := time.Until(c.due); wait > 0 {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.hurry:
			timer.Stop()
		}
	}
	select {
	case <-c.hurry:
	default:
		p = p[:min(len(p), max(1, c.rate/slowReads))]
	}
	now := time.Now()
	if err := c.Conn.SetReadDeadline(now.Add(c.timeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.due = now.Add(time.Duration(n) * time.Second / time.Duration(c.rate))
	return n, err
}
