package procfs

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Connection is an established TCP connection that a process holds.
type Connection struct {
	Inode     uint64
	LocalPort int
	// Queued: bytes wait to be read by the process, or to be acknowledged by the peer.
	Queued bool
	// SinceSent and SinceReceived are the times since data last went each way; since it was opened if none did.
	SinceSent, SinceReceived time.Duration
}

// Idle tells whether the process has answered all that the peer said: it spoke last, and nothing is under way.
func (c Connection) Idle() bool { return !c.Queued && c.SinceSent <= c.SinceReceived }

// Connections lists the established TCP connections of each of the processes, which are of one network
// namespace. It asks the kernel's socket diagnosis (sock_diag(7)), which tells more than /proc/net/tcp.
func (f FS) Connections(pids ...int) (map[int][]Connection, error) {
	owners := make(map[uint64][]int) // descriptors are shared by fork
	for _, pid := range pids {
		sockets, err := f.Sockets(pid)
		if err != nil {
			return nil, err
		}
		for _, inode := range sockets {
			owners[inode] = append(owners[inode], pid)
		}
	}
	held := make(map[int][]Connection)
	if len(owners) == 0 {
		return held, nil
	}
	all, err := f.established(pids[0])
	if err != nil {
		return nil, fmt.Errorf("list connections of %d: %w", pids[0], err)
	}
	for _, c := range all {
		for _, pid := range owners[c.Inode] {
			held[pid] = append(held[pid], c)
		}
	}
	return held, nil
}

// tcpEstablished is TCP_ESTABLISHED (net/tcp_states.h).
const tcpEstablished = 1

func (f FS) established(pid int) ([]Connection, error) {
	handle, err := f.diagnosis(pid)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	var all []Connection
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		list, err := handle.SocketDiagTCPInfo(family)
		// Sockets that came or went meanwhile do not matter for a count of this moment.
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, err
		}
		for _, s := range list {
			if s.InetDiagMsg.State != tcpEstablished || s.TCPInfo == nil {
				continue
			}
			all = append(all, Connection{
				Inode: uint64(s.InetDiagMsg.INode), LocalPort: int(s.InetDiagMsg.ID.SourcePort),
				Queued:        s.InetDiagMsg.RQueue > 0 || s.InetDiagMsg.WQueue > 0,
				SinceSent:     time.Duration(s.TCPInfo.Last_data_sent) * time.Millisecond,
				SinceReceived: time.Duration(s.TCPInfo.Last_data_recv) * time.Millisecond,
			})
		}
	}
	return all, nil
}

// diagnosis asks in the network namespace of the process.
func (f FS) diagnosis(pid int) (*netlink.Handle, error) {
	same, err := f.SameNamespace(pid, "net")
	if err != nil {
		return nil, err
	}
	if same {
		return netlink.NewHandle(unix.NETLINK_INET_DIAG)
	}
	ns, err := netns.GetFromPath(f.Path(pid, "ns", "net"))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	return netlink.NewHandleAt(ns, unix.NETLINK_INET_DIAG)
}
