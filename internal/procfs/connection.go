package procfs

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Connection is an established TCP connection that a process holds.
type Connection struct {
	FD    int
	Inode uint64
	Local netip.AddrPort
	// Silent is how long nothing was sent or received on it: it is at least that old. The kernel keeps
	// no time of its beginning. Known is false if the process may not be traced.
	Silent time.Duration
	Known  bool
}

const tcpEstablished = "01"

// Connections lists the established TCP connections of pid, in the tables' order. Of the first asked of
// them the kernel is asked how long they have been silent.
func (f FS) Connections(pid, asked int) ([]Connection, error) {
	sockets, err := f.Sockets(pid)
	if err != nil {
		return nil, err
	}
	fds := make(map[uint64]int, len(sockets))
	for fd, inode := range sockets {
		fds[inode] = fd
	}
	var found []Connection
	for _, name := range []string{"tcp", "tcp6"} {
		file, err := os.Open(f.Path(pid, "net", name))
		if os.IsNotExist(err) {
			continue // no IPv6 in this kernel
		}
		if err != nil {
			return nil, err
		}
		err = readConnections(file, func(local string, inode uint64) {
			fd, ok := fds[inode]
			if addr, err := netip.ParseAddrPort(local); ok && err == nil {
				found = append(found, Connection{FD: fd, Inode: inode, Local: addr})
			}
		})
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s of %d: %w", name, pid, err)
		}
	}
	f.askSilence(pid, found[:min(asked, len(found))])
	return found, nil
}

func readConnections(r io.Reader, found func(string, uint64)) error {
	return readInet(r, func(state, addr string, inode uint64) bool {
		if state == tcpEstablished {
			found(addr, inode)
		}
		return true
	})
}

// askSilence asks the sockets themselves, which needs the right to trace pid.
func (f FS) askSilence(pid int, connections []Connection) {
	if len(connections) == 0 {
		return
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(pidfd)
	for i, c := range connections {
		fd, err := unix.PidfdGetfd(pidfd, c.FD, 0)
		if err != nil {
			return
		}
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		unix.Close(fd)
		if err != nil {
			continue
		}
		// An ACK without data is an answer of the peer's kernel, not of anybody who uses the connection.
		silent := min(info.Last_data_sent, info.Last_data_recv)
		connections[i].Silent, connections[i].Known = time.Duration(silent)*time.Millisecond, true
	}
}
