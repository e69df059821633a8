package procfs

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Listener is a socket a process holds that takes connections or datagrams from outside.
type Listener struct {
	FD        int
	Inode     uint64
	Network   string // "tcp", "udp" or "unix"
	Addr      string // "127.0.0.1:80", "[::]:443", "unix:/run/nginx.sock"
	Reuseport bool
}

// Sockets maps the descriptors of pid that are sockets to their inodes.
func (f FS) Sockets(pid int) (map[int]uint64, error) {
	dir, err := os.Open(f.Path(pid, "fd"))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list descriptors of %d: %w", pid, err)
	}
	sockets := make(map[int]uint64)
	for _, name := range names {
		target, err := os.Readlink(f.Path(pid, "fd", name))
		if err != nil {
			continue // closed in the meantime
		}
		if inode, ok := socketInode(target); ok {
			if fd, err := strconv.Atoi(name); err == nil {
				sockets[fd] = inode
			}
		}
	}
	return sockets, nil
}

func socketInode(link string) (uint64, bool) {
	number, ok := strings.CutPrefix(link, "socket:[")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
	return inode, err == nil
}

// Listeners lists the listening sockets that pid holds, by descriptor. It reads the tables of the
// process's own network namespace, so it sees into containers.
func (f FS) Listeners(pid int) ([]Listener, error) {
	sockets, err := f.Sockets(pid)
	if err != nil {
		return nil, err
	}
	fds := make(map[uint64]int, len(sockets))
	for fd, inode := range sockets {
		fds[inode] = fd
	}
	var found []Listener
	for _, table := range []struct {
		name, network string
		read          func(io.Reader, func(addr string, inode uint64)) error
	}{
		{"tcp", "tcp", readTCP}, {"tcp6", "tcp", readTCP},
		{"udp", "udp", readUDP}, {"udp6", "udp", readUDP},
		{"unix", "unix", readUnix},
	} {
		file, err := os.Open(f.Path(pid, "net", table.name))
		if os.IsNotExist(err) {
			continue // no IPv6 in this kernel
		}
		if err != nil {
			return nil, err
		}
		err = table.read(file, func(addr string, inode uint64) {
			if fd, ok := fds[inode]; ok {
				// The kernel writes a table in pieces, and may begin one with a row that it wrote before, if
				// sockets have come or gone in between.
				delete(fds, inode)
				found = append(found, Listener{FD: fd, Inode: inode, Network: table.network, Addr: addr})
			}
		})
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s of %d: %w", table.name, pid, err)
		}
	}
	f.markReuseport(pid, found)
	return found, nil
}

// markReuseport asks the sockets themselves, which needs the right to trace pid; without it, several
// sockets on one address prove the option.
func (f FS) markReuseport(pid int, listeners []Listener) {
	addrs := make(map[string]int)
	for _, l := range listeners {
		addrs[l.Network+l.Addr]++
	}
	for i, l := range listeners {
		listeners[i].Reuseport = l.Network != "unix" && addrs[l.Network+l.Addr] > 1
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(pidfd)
	for i, l := range listeners {
		if l.Network == "unix" {
			continue
		}
		fd, err := unix.PidfdGetfd(pidfd, l.FD, 0)
		if err != nil {
			return
		}
		on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
		unix.Close(fd)
		if err == nil {
			listeners[i].Reuseport = on != 0
		}
	}
}

// Socket states and flags as /proc/net prints them (net/ipv4/tcp_states.h, SO_ACCEPTCON in net.h).
const (
	tcpListen  = "0A"
	udpUnbound = "07" // a bound, unconnected datagram socket shows TCP_CLOSE
	acceptConn = 0x10000
)

// readTCP stops at the first socket that does not listen: the kernel prints listening ones first,
// and the tens of thousands of connections behind them cost.
func readTCP(r io.Reader, found func(string, uint64)) error {
	return readInet(r, func(state, addr string, inode uint64) bool {
		if state != tcpListen {
			return false
		}
		found(addr, inode)
		return true
	})
}

func readUDP(r io.Reader, found func(string, uint64)) error {
	return readInet(r, func(state, addr string, inode uint64) bool {
		if state == udpUnbound {
			found(addr, inode)
		}
		return true
	})
}

func readInet(r io.Reader, found func(state, addr string, inode uint64) bool) error {
	lines := bufio.NewScanner(r)
	lines.Scan() // the heading
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			return fmt.Errorf("%d fields in %q", len(fields), lines.Text())
		}
		inode, err := strconv.ParseUint(fields[9], 10, 64)
		if err != nil {
			return fmt.Errorf("inode in %q: %w", lines.Text(), err)
		}
		addr, err := inetAddr(fields[1])
		if err != nil {
			return fmt.Errorf("address in %q: %w", lines.Text(), err)
		}
		if !found(fields[3], addr, inode) {
			return nil
		}
	}
	return lines.Err()
}

// inetAddr reads "0100007F:0050": 32-bit words in the byte order of the machine, port in hex.
func inetAddr(s string) (string, error) {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if err != nil {
		return "", err
	}
	if len(raw) != 4 && len(raw) != 16 {
		return "", fmt.Errorf("%d bytes", len(raw))
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	ip, _ := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return "", err
	}
	return netip.AddrPortFrom(ip, uint16(number)).String(), nil
}

// readUnix skips what is no row: a path may hold line breaks, and any user may choose such a one.
func readUnix(r io.Reader, found func(string, uint64)) error {
	lines := bufio.NewScanner(r)
	lines.Scan()
	for lines.Scan() {
		// Num: RefCount Protocol Flags Type St Inode Path; the path, which may hold spaces, is missing
		// where there is none.
		row := strings.Fields(lines.Text())
		if len(row) < 8 || !strings.HasSuffix(row[0], ":") {
			continue
		}
		flags, flagsErr := strconv.ParseUint(row[3], 16, 64)
		inode, inodeErr := strconv.ParseUint(row[6], 10, 64)
		if flagsErr == nil && inodeErr == nil && flags&acceptConn != 0 {
			_, path, _ := strings.Cut(lines.Text(), " "+row[6]+" ")
			found("unix:"+path, inode)
		}
	}
	return lines.Err()
}

// Accepting returns the inodes of the sockets that pid waits on through epoll: for a worker, the
// listening sockets it accepts on, and its connections.
func (f FS) Accepting(pid int) (map[uint64]bool, error) {
	dir := f.Path(pid, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	inodes := make(map[uint64]bool)
	for _, entry := range entries {
		target, err := os.Readlink(f.Path(pid, "fd", entry.Name()))
		if err != nil || target != "anon_inode:[eventpoll]" {
			continue
		}
		info, err := os.ReadFile(f.Path(pid, "fdinfo", entry.Name()))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(info)) {
			// "tfd: 8 events: 2019 data: … pos:0 ino:1f3c sdev:8", the inode in hex.
			_, after, ok := strings.Cut(line, " ino:")
			if !ok {
				continue
			}
			number, _, _ := strings.Cut(after, " ")
			if inode, err := strconv.ParseUint(number, 16, 64); err == nil {
				inodes[inode] = true
			}
		}
	}
	return inodes, nil
}
