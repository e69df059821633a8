package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The two ends of the cable between the program's network and the one outside.
// They have the same hardware address and ask for none (NOARP): what is sent
// at one end is for the other, whatever the destination.
const (
	insideEnd  = "graft-in"
	outsideEnd = "graft-out"
)

var cableAddress = net.HardwareAddr{0x02, 0, 0, 0, 0, 1}

// Where the host has no address of a family, the program speaks from these.
var fallback = []netip.Addr{netip.MustParseAddr("192.0.0.8"), netip.MustParseAddr("fd67:7261:6674::1")}

// What speaks outside and has chosen no address has these.
var strangers = []netip.Addr{netip.MustParseAddr("198.19.255.254"), netip.MustParseAddr("2001:db8:ffff::1")}

// Outside runs fn on a thread that is in the network outside of the program's
// (Options.Outside): a socket made there by fn stays there, whoever uses it
// later. Goroutines that fn starts are not outside. fn may bind any address
// but the host's, and connects to the host's addresses and, from there, to
// nothing else.
func Outside(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		defer close(result)
		runtime.LockOSThread()
		back, err := enterOutside()
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("enter the network outside: %w", err)
			return
		}
		defer back.Close()
		err = fn()
		if unix.Setns(int(back.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		} // otherwise the thread ends with this goroutine
		result <- err
	}()
	err, returned := <-result
	if !returned {
		return errors.New("in the network outside: the function ended its goroutine instead of returning")
	}
	return err
}

// enterOutside moves the calling thread and returns its way back. Pid 1 stays
// outside all the time: its namespace is found without a file or descriptor
// that the program's children could meet.
func enterOutside() (*os.File, error) {
	const mine, outside = "/proc/thread-self/ns/net", "/proc/1/ns/net"
	back, err := os.Open(mine)
	if err != nil {
		return nil, err
	}
	out, err := os.Open(outside)
	if err != nil {
		back.Close()
		return nil, err
	}
	defer out.Close()
	if here, there, err := sameFile(back, out); err != nil || here == there {
		back.Close()
		return nil, errors.Join(err, errors.New("there is none: the sandbox was made without Options.Outside"))
	}
	if err := unix.Setns(int(out.Fd()), unix.CLONE_NEWNET); err != nil {
		back.Close()
		return nil, fmt.Errorf("setns: %w", err)
	}
	return back, nil
}

func sameFile(a, b *os.File) (inodeA, inodeB uint64, err error) {
	var stA, stB unix.Stat_t
	err = errors.Join(unix.Fstat(int(a.Fd()), &stA), unix.Fstat(int(b.Fd()), &stB))
	return stA.Ino, stB.Ino, err
}

// HostAddresses lists the addresses of all interfaces but loopback's own and
// those that mean something on one link only. In a sandbox with a network
// outside these are the addresses that are not outside.
func HostAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list this host's addresses: %w", err)
	}
	var list []netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			return nil, fmt.Errorf("list this host's addresses: %w", err)
		}
		addr := prefix.Addr().Unmap()
		if !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !slices.Contains(list, addr) {
			list = append(list, addr)
		}
	}
	return list, nil
}

// setUpOutside leaves this process where it is, which is outside from now on,
// and takes the calling thread (see offLeader), and what is started from it,
// into a new network: the program's.
func setUpOutside(host []netip.Addr) error {
	families, err := families()
	if err != nil {
		return err
	}
	var own []netip.Addr // of what the kernel can
	for _, is4 := range families {
		addrs := ofFamily(host, is4)
		if len(addrs) == 0 {
			addrs = ofFamily(fallback, is4)
		}
		own = append(own, addrs...)
	}

	out, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("network outside: %w", err)
	}
	defer out.Close()
	if err := furnishNetwork(); err != nil {
		return fmt.Errorf("network outside: %w", err)
	}
	outside, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("network outside: %w", err)
	}
	defer outside.Close()

	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network inside: unshare: %w", err)
	}
	if err := furnishNetwork(); err != nil {
		return fmt.Errorf("network inside: %w", err)
	}
	inside, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("network inside: %w", err)
	}
	defer inside.Close()

	if err := connect(inside, out); err != nil {
		return err
	}
	if err := routeOut(inside, own); err != nil {
		return fmt.Errorf("network inside: %w", err)
	}
	if err := routeIn(outside, own); err != nil {
		return fmt.Errorf("network outside: %w", err)
	}
	return nil
}

// families lists what the kernel can: IPv4 (true) and IPv6 (false).
func families() ([]bool, error) {
	_, err := os.Stat("/proc/sys/net/ipv6")
	if errors.Is(err, fs.ErrNotExist) {
		return []bool{true}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the kernel for IPv6: %w", err)
	}
	return []bool{true, false}, nil
}

// furnishNetwork prepares the calling thread's network for both: loopback, and
// no suspicion of addresses. New IPv4 networks take the host's settings over.
func furnishNetwork() error {
	if err := setUpLoopback(); err != nil {
		return err
	}
	settings := []struct{ path, value string }{
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv4/conf/lo/rp_filter", "0"},
		{"ipv6/conf/all/disable_ipv6", "0"},
		{"ipv6/conf/default/disable_ipv6", "0"},
		{"ipv6/conf/default/addr_gen_mode", "1"}, // no addresses but those given
		{"ipv6/conf/default/accept_ra", "0"},
		{"ipv6/conf/default/accept_dad", "0"}, // nobody else is there: do not wait for objections
		{"ipv6/conf/lo/accept_dad", "0"},
	}
	for _, s := range settings {
		err := os.WriteFile("/proc/sys/net/"+s.path, []byte(s.value+"\n"), 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// connect lays the cable from the calling thread's network to the other.
func connect(inside *netlink.Handle, out *os.File) error {
	cable := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: insideEnd, HardwareAddr: cableAddress},
		PeerName:  outsideEnd, PeerHardwareAddr: cableAddress, PeerNamespace: netlink.NsFd(out.Fd()),
	}
	err := inside.LinkAdd(cable)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("network outside: this kernel has no veth (load the module veth as root, or do without a network outside): %w", err)
	}
	if err != nil {
		return fmt.Errorf("network outside: add a veth pair: %w", err)
	}
	return nil
}

// plugIn brings an end of the cable up.
func plugIn(h *netlink.Handle, name string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := errors.Join(h.LinkSetARPOff(link), h.LinkSetUp(link)); err != nil {
		return nil, fmt.Errorf("bring %s up: %w", name, err)
	}
	return link, nil
}

// routeOut makes own local and sends everything else through the cable.
func routeOut(h *netlink.Handle, own []netip.Addr) error {
	cable, err := plugIn(h, insideEnd)
	if err != nil {
		return err
	}
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	routed := map[bool]bool{} // by family
	for _, a := range own {
		if err := addLocal(h, lo, a); err != nil {
			return err
		}
		if routed[a.Is4()] {
			continue
		}
		routed[a.Is4()] = true
		// The host's first address is what the program speaks from.
		err := h.RouteAdd(&netlink.Route{LinkIndex: cable.Attrs().Index, Dst: everything(a), Src: a.AsSlice(), Scope: netlink.SCOPE_LINK})
		if err != nil {
			return fmt.Errorf("route all else outside: %w", err)
		}
	}
	return nil
}

// routeIn makes every address local, except own, which are behind the cable.
// Both kinds are in the table "local": the kernel asks no other whether a
// socket's own address is good, and in it the longest prefix wins.
func routeIn(h *netlink.Handle, own []netip.Addr) error {
	cable, err := plugIn(h, outsideEnd)
	if err != nil {
		return err
	}
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	stranger := map[bool]netip.Addr{} // by family
	for _, a := range own {
		from, routed := stranger[a.Is4()]
		if !routed {
			from = ofFamily(strangers, a.Is4())[0]
			stranger[a.Is4()] = from
			if err := addLocal(h, lo, from); err != nil {
				return err
			}
		}
		err := h.RouteAdd(&netlink.Route{LinkIndex: cable.Attrs().Index, Dst: single(a), Table: unix.RT_TABLE_LOCAL,
			Type: unix.RTN_UNICAST, Scope: netlink.SCOPE_LINK, Src: from.AsSlice()})
		if err != nil {
			return fmt.Errorf("route %s inside: %w", a, err)
		}
		if routed {
			continue
		}
		err = h.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: everything(a), Table: unix.RT_TABLE_LOCAL,
			Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST})
		if err != nil {
			return fmt.Errorf("make every address local: %w", err)
		}
	}
	return nil
}

func addLocal(h *netlink.Handle, lo netlink.Link, a netip.Addr) error {
	addr := &netlink.Addr{IPNet: single(a), Scope: unix.RT_SCOPE_UNIVERSE}
	if a.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrAdd(lo, addr); err != nil {
		return fmt.Errorf("make %s local: %w", a, err)
	}
	return nil
}

func ofFamily(addrs []netip.Addr, is4 bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return a.Is4() != is4 })
}

func single(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

// everything is the default route's destination in a's family.
func everything(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: bytes.Repeat([]byte{0}, a.BitLen()/8), Mask: net.CIDRMask(0, a.BitLen())}
}
