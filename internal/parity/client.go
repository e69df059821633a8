package parity

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// DialFunc opens a connection to nginx. source is the client's address of the request, or the zero
// Addr; a dialer that cannot take that address uses its own. network is "tcp" or "unix".
type DialFunc func(ctx context.Context, source netip.Addr, network, address string) (net.Conn, error)

// Client sends requests and keeps the answers whole.
type Client struct {
	Dial     DialFunc
	Timeout  time.Duration // for one request, connecting included; 10 s if 0
	Parallel int           // requests at the same time; 16 if 0
}

// Run sends each request once, on a connection of its own, and returns the answers in the order of
// the requests. Nothing is tried again. The requests of one location go one after the other, in
// order; different locations go at the same time.
func (c Client) Run(ctx context.Context, requests []Request) []Answer {
	return nil
}
