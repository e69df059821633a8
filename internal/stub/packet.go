package stub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// packets is a UDP socket that tells which of its addresses was reached, and
// answers from it: on a wildcard the kernel would choose another.
type packets struct {
	net.PacketConn
	v4 *ipv4.PacketConn
	v6 *ipv6.PacketConn
}

func newPackets(c net.PacketConn) (*packets, error) {
	p := &packets{PacketConn: c}
	if c.LocalAddr().(*net.UDPAddr).IP.To4() != nil {
		p.v4 = ipv4.NewPacketConn(c)
		return p, p.v4.SetControlMessage(ipv4.FlagDst, true)
	}
	p.v6 = ipv6.NewPacketConn(c)
	return p, p.v6.SetControlMessage(ipv6.FlagDst, true)
}

func (p *packets) read(b []byte) (n int, to net.IP, from net.Addr, err error) {
	if p.v4 != nil {
		n, cm, from, err := p.v4.ReadFrom(b)
		if cm != nil {
			to = cm.Dst
		}
		return n, to, from, err
	}
	n, cm, from, err := p.v6.ReadFrom(b)
	if cm != nil {
		to = cm.Dst
	}
	return n, to, from, err
}

func (p *packets) write(b []byte, from net.IP, to net.Addr) error {
	if p.v4 != nil {
		_, err := p.v4.WriteTo(b, &ipv4.ControlMessage{Src: from}, to)
		return err
	}
	_, err := p.v6.WriteTo(b, &ipv6.ControlMessage{Src: from}, to)
	return err
}

func (s *Server) listenPacket(ctx context.Context, p place) error {
	var config net.ListenConfig
	socket, err := config.ListenPacket(ctx, p.network, p.address)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, socket)
	conn, err := newPackets(socket)
	if err != nil {
		return fmt.Errorf("listen %s %s: %w", p.network, p.address, err)
	}
	port := socket.LocalAddr().(*net.UDPAddr).Port
	s.wait.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, to, from, err := conn.read(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // an ICMP error of an earlier answer
			}
			saw := Saw{From: from.String(), To: (&net.UDPAddr{IP: to, Port: port}).String()}
			if answer := s.answerPacket(saw, buffer[:n], p.hints); answer != nil {
				_ = conn.write(answer, to, from) // as any datagram it may be lost
			}
		}
	})
	return nil
}

// answerPacket answers a datagram; what is for syslog is swallowed.
func (s *Server) answerPacket(saw Saw, packet []byte, hints []Protocol) []byte {
	d := newDigest()
	_, _ = d.Write(packet) // a hash takes everything
	saw.Body = d.body()
	if slices.Contains(hints, DNS) {
		saw.Protocol = DNS
		if answer, question := answerDNS(packet); answer != nil {
			saw.Target = question
			s.note(saw)
			return answer
		}
	}
	if slices.Contains(hints, Syslog) {
		saw.Protocol = Syslog
		s.note(saw)
		return nil
	}
	saw.Protocol = UDP
	s.note(saw)
	return saw.echo()
}
