package probe

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Mode is how clients use their connections.
type Mode string

// The modes.
const (
	KeepAlive Mode = "keepalive" // many requests on each connection
	Connect   Mode = "connect"   // a new connection for each request
	Idle      Mode = "idle"      // keep-alive connections that pause between requests, for Think
	Download  Mode = "download"  // slow readers, whose bodies must be whole and all alike
	HTTP2     Mode = "h2"        // TLS and HTTP/2, one stream at a time on each connection
)

// Load is what to send, and for how long: until Requests have been sent, Duration is over or the
// context is done, whichever comes first. At least one of Requests and Duration must be set.
type Load struct {
	Target         Target
	Mode           Mode
	Clients        int           // at the same time, each with one connection; 0 means 1
	Rate           float64       // requests per second by all clients together; 0: as fast as answers come
	Requests       int64         // at most
	Duration       time.Duration // at most; requests under way are then finished, slow ones at full speed
	Timeout        time.Duration // of a request, connecting included; a slow reader's: of each read. 0 means 10 s
	Think          time.Duration // pause of a client after each answer
	BytesPerSecond int           // of each slow reader
	UserAgent      string        // "" means graft-probe
}

// maxClients bounds what a mistyped number does to the host.
const maxClients = 10_000

// checked returns the load with its defaults, or why it is refused.
func (l Load) checked() (Load, error) {
	if err := l.Target.check(); err != nil {
		return l, fmt.Errorf("load: %w", err)
	}
	if err := l.check(); err != nil {
		return l, fmt.Errorf("load on %s: %w", l.Target, err)
	}
	if l.Mode == HTTP2 {
		l.Target.Protocol = OverHTTP2
	}
	if l.Clients == 0 {
		l.Clients = 1
	}
	if l.Timeout == 0 {
		l.Timeout = defaultTimeout
	}
	if l.UserAgent == "" {
		l.UserAgent = defaultUserAgent
	}
	return l, nil
}

const defaultUserAgent = "graft-probe"

func (l Load) check() error {
	switch l.Mode {
	case KeepAlive, Connect, Idle, Download, HTTP2:
	default:
		return fmt.Errorf("unknown mode %q; there are %s, %s, %s, %s and %s", l.Mode, KeepAlive, Connect, Idle, Download, HTTP2)
	}
	switch {
	case l.Requests < 0 || l.Duration < 0 || l.Rate < 0 || l.Timeout < 0 || l.Think < 0 || l.BytesPerSecond < 0:
		return errors.New("a number is negative")
	case l.Requests == 0 && l.Duration == 0:
		return errors.New("unbounded: give a number of requests, a duration or both")
	case l.Clients < 0 || l.Clients > maxClients:
		return fmt.Errorf("%d clients; at most %d", l.Clients, maxClients)
	case l.Mode == Idle && l.Think == 0:
		return errors.New("mode idle needs a pause between requests")
	case l.Mode == Download && l.BytesPerSecond == 0:
		return errors.New("mode download needs the bytes to read in a second")
	case l.Mode != Download && l.BytesPerSecond != 0:
		return fmt.Errorf("mode %s reads at full speed; bytes per second are for mode %s", l.Mode, Download)
	case l.Mode == HTTP2 && l.Target.Protocol != OverHTTP1:
		return fmt.Errorf("mode h2 is for https://; a %s URL says itself what is spoken", l.Target.Protocol)
	case l.Mode == Download && l.Target.Protocol != OverHTTP1:
		return fmt.Errorf("mode download reads HTTP/1.1, not %s", l.Target.Protocol)
	case l.Mode == HTTP2 && !l.Target.TLS:
		return errors.New("mode h2 needs https: without TLS nothing says that the server speaks HTTP/2 (h2c:// takes it for granted)")
	case strings.ContainsAny(l.UserAgent, "\r\n"):
		return errors.New("the user agent holds a line break")
	}
	return nil
}
