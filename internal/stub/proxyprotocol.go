package stub

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
)

// proxyV2 is what version 2 of the PROXY protocol begins with.
const proxyV2 = "\r\n\r\n\x00\r\nQUIT\n"

// proxyV2 takes a header of version 2 in, in version 1's words. It tells
// whether it was whole.
func (c *conn) proxyV2() bool {
	head := make([]byte, 16)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return false
	}
	rest := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(c.in, rest); err != nil {
		return false
	}
	family, size := "", 0
	switch head[13] >> 4 {
	case 1:
		family, size = "4", 4
	case 2:
		family, size = "6", 16
	}
	if size == 0 || head[12]&0xf == 0 || len(rest) < 2*size+4 {
		c.saw.Proxy = "PROXY UNKNOWN"
		return true
	}
	transport := "TCP"
	if head[13]&0xf == 2 {
		transport = "UDP"
	}
	from, _ := netip.AddrFromSlice(rest[:size]) // the size is one of an address
	to, _ := netip.AddrFromSlice(rest[size : 2*size])
	ports := rest[2*size:]
	c.saw.Proxy = fmt.Sprintf("PROXY %s%s %s %s %d %d", transport, family, from, to,
		binary.BigEndian.Uint16(ports), binary.BigEndian.Uint16(ports[2:]))
	return true
}
