package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// sockDiag asks the kernel about single sockets (sock_diag(7)). Each question names one socket
// exactly, so its cost does not grow with the connections of the host; a dump, the usual way, walks
// all of them.
type sockDiag struct {
	fd  int
	buf [8 << 10]byte
}

func openSockDiag() (*sockDiag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	return &sockDiag{fd: fd}, nil
}

func (d *sockDiag) close() { unix.Close(d.fd) }

// serverSide is the other end of a connection that this process opened to a server in the same
// network namespace.
type serverSide struct {
	inode uint64 // of the server's socket; 0 until a process has accepted, and again once it has closed
	held  bool   // the kernel offers it for acceptance only when data comes (listen … deferred)
}

func (d *sockDiag) serverSide(conn net.Conn) (serverSide, error) {
	switch c := conn.(type) {
	case *net.TCPConn:
		return d.ofTCP(c)
	case *net.UnixConn:
		return d.ofUnix(c)
	default:
		return serverSide{}, fmt.Errorf("sock_diag: a %T has no other end on this host", conn)
	}
}

// tcpSynRecv is the state of a connection whose handshake the kernel has not accepted as complete
// (net/tcp_states.h).
const tcpSynRecv = 3

// ofTCP sends struct inet_diag_req_v2 and reads struct inet_diag_msg (linux/inet_diag.h).
func (d *sockDiag) ofTCP(conn *net.TCPConn) (serverSide, error) {
	server := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	us := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	req := make([]byte, 56)
	req[0], req[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if server.Addr().Unmap().Is4() {
		req[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(req[4:], ^uint32(0)) // sockets of all states
	binary.BigEndian.PutUint16(req[8:], server.Port())
	binary.BigEndian.PutUint16(req[10:], us.Port())
	putAddr(req[12:28], server.Addr())
	putAddr(req[28:44], us.Addr())
	putNoCookie(req[48:56])
	answer, err := d.ask(req)
	if errors.Is(err, unix.ENOENT) {
		return serverSide{}, nil // closed already
	}
	if err != nil {
		return serverSide{}, fmt.Errorf("sock_diag: look up %s from %s: %w", server, us, err)
	}
	if len(answer) < 72 {
		return serverSide{}, fmt.Errorf("sock_diag: an inet_diag_msg of %d bytes", len(answer))
	}
	return serverSide{uint64(binary.NativeEndian.Uint32(answer[68:])), answer[1] == tcpSynRecv}, nil
}

func putAddr(to []byte, addr netip.Addr) {
	copy(to, addr.Unmap().AsSlice())
}

// putNoCookie says that the socket is not named by its cookie (INET_DIAG_NOCOOKIE).
func putNoCookie(to []byte) {
	for i := range to {
		to[i] = 0xff
	}
}

// linux/unix_diag.h
const (
	unixDiagPeer     = 2 // UNIX_DIAG_PEER, the attribute: inode of the other end
	unixDiagShowPeer = 4 // UDIAG_SHOW_PEER asks for it
)

// ofUnix sends struct unix_diag_req and reads the attributes behind struct unix_diag_msg
// (linux/unix_diag.h).
func (d *sockDiag) ofUnix(conn *net.UnixConn) (serverSide, error) {
	own, err := inodeOf(conn)
	if err != nil {
		return serverSide{}, err
	}
	req := make([]byte, 24)
	req[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(req[4:], ^uint32(0))
	binary.NativeEndian.PutUint32(req[8:], uint32(own))
	binary.NativeEndian.PutUint32(req[12:], unixDiagShowPeer)
	putNoCookie(req[16:24])
	answer, err := d.ask(req)
	if err != nil {
		return serverSide{}, fmt.Errorf("sock_diag: look up unix socket %d: %w", own, err)
	}
	for rest := answer[min(16, len(answer)):]; len(rest) >= unix.SizeofNlAttr; {
		size, kind := binary.NativeEndian.Uint16(rest), binary.NativeEndian.Uint16(rest[2:])
		if int(size) < unix.SizeofNlAttr || int(size) > len(rest) {
			break
		}
		if kind == unixDiagPeer && size >= 8 {
			return serverSide{inode: uint64(binary.NativeEndian.Uint32(rest[4:]))}, nil
		}
		rest = rest[min(len(rest), int(size+3)&^3):]
	}
	return serverSide{}, nil // no peer: closed
}

func inodeOf(conn syscall.Conn) (uint64, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var st unix.Stat_t
	var statErr error
	if err := raw.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &st) }); err != nil {
		return 0, err
	}
	return st.Ino, statErr
}

// ask sends one question and returns the payload of the one answer.
func (d *sockDiag) ask(question []byte) ([]byte, error) {
	msg := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(question))
	binary.NativeEndian.PutUint32(msg[0:], uint32(cap(msg)))
	binary.NativeEndian.PutUint16(msg[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(msg[6:], unix.NLM_F_REQUEST)
	msg = append(msg, question...)
	if err := unix.Sendto(d.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	n, _, err := unix.Recvfrom(d.fd, d.buf[:], 0)
	if err != nil {
		return nil, err
	}
	if n < unix.SizeofNlMsghdr {
		return nil, fmt.Errorf("a netlink message of %d bytes", n)
	}
	payload := d.buf[unix.SizeofNlMsghdr:n]
	if binary.NativeEndian.Uint16(d.buf[4:]) == unix.NLMSG_ERROR && len(payload) >= 4 {
		errno := -int32(binary.NativeEndian.Uint32(payload))
		return nil, syscall.Errno(errno)
	}
	return payload, nil
}
