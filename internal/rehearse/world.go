package rehearse

import (
	"context"
	"net"
	"net/netip"
	"slices"

	"graft/internal/sandbox"
)

// world is where the clients of a clone are.
type world struct {
	own []netip.Addr // the clone's addresses: what speaks from them is inside
}

// dial connects as a client in the world does, from the address that it had in the log, where the
// network lets it. To loopback and to unix sockets only processes of the host itself connect, and from
// the host's own addresses nobody else does: its monitoring, say.
func (w world) dial(ctx context.Context, source netip.Addr, network, address string) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1}
	to, err := netip.ParseAddrPort(address)
	if network == "unix" || err != nil {
		return dialer.DialContext(ctx, network, address)
	}
	if speaks(source, to.Addr().Unmap()) {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	if to.Addr().IsLoopback() || slices.Contains(w.own, source) {
		return dialer.DialContext(ctx, network, address)
	}
	var conn net.Conn
	err = sandbox.Outside(func() error {
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// speaks tells whether a connection to that address may come from source. A log may have any: realip
// takes what a proxy says.
func speaks(source, to netip.Addr) bool {
	if !source.IsValid() || source.Is4() != to.Is4() || source.IsLoopback() != to.IsLoopback() {
		return false
	}
	return source.IsLoopback() || source.IsGlobalUnicast() && !netip.MustParsePrefix("0.0.0.0/8").Contains(source)
}
