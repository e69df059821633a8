// Package stub answers for all upstreams of a configuration, inside a sandbox:
// each request gets an answer that depends on the request only and tells what
// reached the stub, and the stubs remember it.
//
// It runs in the program that [graft/internal/sandbox] runs. Upstreams at
// addresses of the world are answered in the network outside (one listener a
// port answers for all addresses), those on loopback, at the host's own
// addresses and at unix sockets beside nginx.
//
// What is spoken is told from the first bytes; an [Endpoint]'s Protocol decides
// where those allow more than one reading.
package stub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"graft/internal/sandbox"
)

// Endpoint is an upstream to answer for.
type Endpoint struct {
	Network  string // "tcp", "udp" or "unix"
	Address  string // IP:PORT, or the socket's path; outside, the IP does not matter
	Protocol Protocol
	Outside  bool // in the network outside: all addresses at once
}

// Server is a set of stubs that answer.
type Server struct {
	tls        *tls.Config
	pools      map[string]string
	listeners  []io.Closer
	unanswered []Unanswered

	mu     sync.Mutex
	saw    map[string][]Saw
	conns  map[net.Conn]bool
	closed bool
	wait   sync.WaitGroup
}

// Unanswered is a unix socket that no stub could be put at: its directory is
// another user's, or read-only. nginx finds nobody there.
type Unanswered struct {
	Path string
	Err  error
}

// Start listens at all endpoints, which may name the same place more than
// once, and answers until Close or until ctx is done. It must run inside a
// sandbox, one with Options.Outside if an endpoint asks for that.
//
// pools gives the addresses among which nginx chooses a name in common, by which
// they are seen ([Saw.To]): the choice depends on what else is asked meanwhile.
func Start(ctx context.Context, endpoints []Endpoint, pools map[string]string) (*Server, error) {
	config, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("stub upstreams: %w", err)
	}
	s := &Server{tls: config, pools: pools, saw: map[string][]Saw{}, conns: map[net.Conn]bool{}}
	inside, outside := places(endpoints)
	err = s.listen(ctx, inside)
	if err == nil && len(outside) > 0 {
		err = sandbox.Outside(func() error { return s.listen(ctx, outside) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stub upstreams: %w", err), s.Close())
	}
	context.AfterFunc(ctx, func() { _ = s.Close() }) // the caller's own Close tells errors
	return s, nil
}

// pooled is an address as it is seen: the name of its pool if it is in one.
func (s *Server) pooled(address string) string {
	if name := s.pools[address]; name != "" {
		return name
	}
	return address
}

// Close ends all stubs and their connections.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	var err error
	for _, l := range s.listeners {
		err = errors.Join(err, l.Close())
	}
	for c := range s.conns {
		_ = c.Close() // it may be closed by the other side
	}
	s.mu.Unlock()
	s.wait.Wait()
	return err
}

// Seen lists what reached the stubs with this value of [IDHeader], in order;
// "" lists what came without one. A request is seen before it is answered.
func (s *Server) Seen(id string) []Saw {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.saw[id])
}

// Unanswered lists the endpoints that Start had to leave out.
func (s *Server) Unanswered() []Unanswered { return s.unanswered }

func (s *Server) note(saw Saw) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saw[saw.ID] = append(s.saw[saw.ID], saw)
}
