package stub

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Address is the address that a name has in a rehearsal: the same each time,
// from the network set aside for benchmarks (198.18.0.0/15), which is nobody's.
func Address(name string) netip.Addr {
	h := digestOf(name)
	n := 198<<24 | 18<<16 | (binary.BigEndian.Uint32(h[:]) & (1<<17 - 1))
	switch n & 0xff { // 0 and 255 look like a network's own
	case 0:
		n++
	case 255:
		n--
	}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], n)
	return netip.AddrFrom4(a)
}

// Address6 is a name's IPv6 address, from the network set aside for
// documentation (2001:db8::/32).
func Address6(name string) netip.Addr {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	h := digestOf(name)
	copy(a[8:], h[:8])
	return netip.AddrFrom16(a)
}

func digestOf(name string) [32]byte {
	return sha256.Sum256([]byte(strings.ToLower(strings.TrimSuffix(name, "."))))
}

// answerDNS gives every name its addresses and nothing else; nil if packet is
// no question. question is its type and name.
func answerDNS(packet []byte) (answer []byte, question string) {
	var p dnsmessage.Parser
	head, err := p.Start(packet)
	if err != nil || head.Response {
		return nil, ""
	}
	q, err := p.Question()
	if err != nil {
		return nil, ""
	}
	const forAnHour = 3600 // seconds: nobody asks twice in a rehearsal
	name := strings.TrimSuffix(q.Name.String(), ".")
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: head.ID, Response: true, RecursionDesired: head.RecursionDesired,
			RecursionAvailable: true, OpCode: head.OpCode},
		Questions: []dnsmessage.Question{q},
	}
	record := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: forAnHour}}
	switch q.Type {
	case dnsmessage.TypeA:
		record.Body = &dnsmessage.AResource{A: Address(name).As4()}
	case dnsmessage.TypeAAAA:
		record.Body = &dnsmessage.AAAAResource{AAAA: Address6(name).As16()}
	}
	if record.Body != nil {
		m.Answers = []dnsmessage.Resource{record}
	}
	answer, err = m.Pack()
	if err != nil {
		return nil, ""
	}
	return answer, strings.TrimPrefix(q.Type.String(), "Type") + " " + name
}
