package stub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// place is an address to listen at and what may be spoken there.
type place struct {
	network, address string
	hints            []Protocol
}

// places sorts endpoints by where they are, each address once. Outside, an
// address of each family stands for all.
func places(endpoints []Endpoint) (inside, outside []place) {
	for _, e := range endpoints {
		if !e.Outside {
			inside = addPlace(inside, e.Network, e.Address, e.Protocol)
			continue
		}
		_, port, err := net.SplitHostPort(e.Address)
		if err != nil {
			port = e.Address // listen names it in its error
		}
		outside = addPlace(outside, e.Network+"4", net.JoinHostPort("0.0.0.0", port), e.Protocol)
		outside = addPlace(outside, e.Network+"6", net.JoinHostPort("::", port), e.Protocol)
	}
	return inside, outside
}

func addPlace(all []place, network, address string, hint Protocol) []place {
	for i, p := range all {
		if p.network == network && p.address == address {
			if !slices.Contains(p.hints, hint) {
				all[i].hints = append(all[i].hints, hint)
			}
			return all
		}
	}
	return append(all, place{network, address, []Protocol{hint}})
}

// listen answers at all places, in the network of the calling thread.
func (s *Server) listen(ctx context.Context, places []place) error {
	for _, p := range places {
		var err error
		switch p.network {
		case "udp", "udp4", "udp6":
			err = s.listenPacket(ctx, p)
		case "unixgram":
			err = s.swallow(ctx, p)
		default:
			err = s.listenStream(ctx, p)
		}
		if errors.Is(err, syscall.EAFNOSUPPORT) && (p.network == "tcp6" || p.network == "udp6") {
			continue // a kernel without IPv6
		}
		if filepath.IsAbs(p.address) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
			s.unanswered = append(s.unanswered, Unanswered{p.address, err})
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) listenStream(ctx context.Context, p place) error {
	if p.network == "unix" {
		if err := clearSocket(p.address); err != nil {
			return err
		}
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, p.network, p.address)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, l)
	if p.network == "unix" {
		// Workers are another user than we are.
		if err := os.Chmod(p.address, 0o777); err != nil {
			return fmt.Errorf("open the socket to all: %w", err)
		}
	}
	s.wait.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // of one connection: the client is gone
			}
			s.wait.Go(func() { s.serve(c, p.hints) })
		}
	})
	return nil
}

// swallow is a unix socket of syslog's.
func (s *Server) swallow(ctx context.Context, p place) error {
	path := p.address
	if to, err := os.Readlink(path); err == nil { // /dev/log leads to /run
		path = to
	}
	if err := clearSocket(path); err != nil {
		return err
	}
	var config net.ListenConfig
	c, err := config.ListenPacket(ctx, p.network, path)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, c)
	if err := os.Chmod(path, 0o777); err != nil {
		return fmt.Errorf("open the socket to all: %w", err)
	}
	s.wait.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, _, err := c.ReadFrom(buffer)
			if err != nil {
				return // closed: nothing else ends a datagram socket
			}
			s.answerPacket(Saw{To: p.address}, buffer[:n], p.hints)
		}
	})
	return nil
}

// clearSocket makes room for a unix socket where an upstream of the host's had
// its own.
func clearSocket(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("directory of an upstream's socket: %w", err)
	}
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && st.Mode().Type() == fs.ModeSocket {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("make room for an upstream's socket: %w", err)
	}
	return nil // anything else: listen says that the address is in use
}

// serve answers one connection.
func (s *Server) serve(c net.Conn, hints []Protocol) {
	if !s.track(c) {
		_ = c.Close() // the stubs are being closed
		return
	}
	defer s.untrack(c)
	seen := Saw{To: s.pooled(c.LocalAddr().String())}
	if c.RemoteAddr().Network() != "unix" {
		seen.From = c.RemoteAddr().String()
	}
	newConn(s, c, seen, hints).serve()
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conns[c] = true
	}
	return !s.closed
}

func (s *Server) untrack(c net.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close() // all that was to be said was written
}
