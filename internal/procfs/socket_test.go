package procfs

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	inetHeading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	unixHeading = "Num       RefCount Protocol Flags    Type St Inode Path\n"
)

// word is four bytes of an address as the kernel prints them on this machine.
func word(a, b, c, d byte) string {
	const digits = "0123456789ABCDEF"
	n := binary.NativeEndian.Uint32([]byte{a, b, c, d})
	text := ""
	for shift := 28; shift >= 0; shift -= 4 {
		text += string(digits[n>>shift&15])
	}
	return text
}

func inetRow(addr, state, inode string) string {
	return "   0: " + addr + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000     0        0 " + inode + " 1 0000000000000000 100 0 0 10 0\n"
}

func TestListenersReadEveryTable(t *testing.T) {
	local, any6 := word(127, 0, 0, 1), strings.Repeat("0", 32)
	doc6 := word(0x20, 0x01, 0x0d, 0xb8) + word(0, 0, 0, 0) + word(0, 0, 0, 0) + word(0, 0, 0, 1)
	f := tree(t, map[string]string{
		"9/fd/3": "-> socket:[101]", "9/fd/4": "-> socket:[102]", "9/fd/5": "-> socket:[103]", "9/fd/6": "-> socket:[104]",
		"9/fd/7": "-> socket:[105]", "9/fd/8": "-> socket:[106]", "9/fd/9": "-> socket:[107]", "9/fd/10": "-> socket:[108]",
		"9/fd/11": "-> /var/log/nginx/access.log", "9/fd/12": "-> anon_inode:[eventpoll]", "9/fd/13": "-> socket:[109]",
		// Behind the first row that does not listen come connections, of which there may be very many.
		"9/net/tcp": inetHeading + inetRow(local+":0050", "0A", "101") + inetRow(local+":0050", "0A", "101") + inetRow(local+":0051", "0A", "999") +
			inetRow(local+":0050", "01", "102") + "what is behind is not even read\n",
		"9/net/tcp6": inetHeading + inetRow(any6+":01BB", "0A", "103") + inetRow(doc6+":1F90", "0A", "104"),
		"9/net/udp":  inetHeading + inetRow(local+":01BB", "01", "102") + inetRow(local+":01BB", "07", "105"), // connected, then not
		"9/net/unix": unixHeading +
			"ffff8881: 00000002 00000000 00010000 0001 01 106 /run/a socket.sock\n" +
			"ffff8882: 00000002 00000000 00010000 0001 01 107 @hidden\n" +
			"ffff8883: 00000003 00000000 00000000 0001 03 108 /run/connected.sock\n" +
			"ffff8884: 00000003 00000000 00000000 0001 03   109\n",
	})
	got, err := f.Listeners(9)
	want := []Listener{
		{FD: 3, Inode: 101, Network: "tcp", Addr: "127.0.0.1:80"},
		{FD: 5, Inode: 103, Network: "tcp", Addr: "[::]:443"},
		{FD: 6, Inode: 104, Network: "tcp", Addr: "[2001:db8::1]:8080"},
		{FD: 7, Inode: 105, Network: "udp", Addr: "127.0.0.1:443"},
		{FD: 8, Inode: 106, Network: "unix", Addr: "unix:/run/a socket.sock"},
		{FD: 9, Inode: 107, Network: "unix", Addr: "unix:@hidden"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestOddRowsAreRefused(t *testing.T) {
	for _, row := range []string{
		"   0: 0100007F:0050 00000000:0000 0A\n",
		inetRow("0100007F:0050", "0A", "x"), inetRow("0100:0050", "0A", "1"), inetRow("0100007F", "0A", "1"), inetRow("0100007Z:0050", "0A", "1"),
	} {
		f := tree(t, map[string]string{"9/fd/3": "-> socket:[1]", "9/net/tcp": inetHeading + row})
		if got, err := f.Listeners(9); err == nil || !strings.Contains(err.Error(), "read tcp of 9") {
			t.Errorf("%q: %+v, %v, want an error that names the table", row, got, err)
		}
	}
}

func FuzzTables(f *testing.F) {
	f.Add(inetRow("0100007F:0050", "0A", "101"))
	f.Add("ffff8881: 00000002 00000000 00010000 0001 01 106 /run/a socket.sock\n")
	f.Fuzz(func(t *testing.T, rows string) {
		for _, read := range []func(func(string, uint64)) error{
			func(found func(string, uint64)) error { return readTCP(strings.NewReader("h\n"+rows), found) },
			func(found func(string, uint64)) error { return readUDP(strings.NewReader("h\n"+rows), found) },
			func(found func(string, uint64)) error { return readUnix(strings.NewReader("h\n"+rows), found) },
		} {
			_ = read(func(addr string, _ uint64) {
				if addr == "" || strings.Contains(addr, "\n") {
					t.Errorf("%q: address %q", rows, addr)
				}
			})
		}
	})
}

// The rest of this file asks the kernel itself.

// listenTCP listens with SO_REUSEPORT or without.
func listenTCP(t *testing.T, network, addr string, reuseport int) *net.TCPListener {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		_ = c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, reuseport) })
		return err
	}}
	l, err := config.Listen(t.Context(), network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// own finds this process's listener on an address.
func own(t *testing.T, addr string) Listener {
	t.Helper()
	all, err := proc.Listeners(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(l Listener) bool { return l.Addr == addr })
	if at < 0 {
		t.Fatalf("no listener on %s among %+v", addr, all)
	}
	return all[at]
}

func TestListenersOfThisProcess(t *testing.T) {
	for _, tt := range []struct{ network, addr string }{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}} {
		for _, reuseport := range []int{0, 1} {
			l := listenTCP(t, tt.network, tt.addr, reuseport)
			got := own(t, l.Addr().String())
			if got.Network != "tcp" || got.Reuseport != (reuseport == 1) {
				t.Errorf("%s: %+v, want reuseport %d", l.Addr(), got, reuseport)
			}
		}
	}
	packets, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	if got := own(t, packets.LocalAddr().String()); got.Network != "udp" {
		t.Errorf("%+v, want udp", got)
	}
}

// Any user may bind a path with a line break in it, which breaks a row of the table in two.
func TestUnixListenersAreFoundWhateverOthersCallTheirs(t *testing.T) {
	dir, err := os.MkdirTemp("", "s") //nolint:usetesting // t.TempDir holds the test's name: no room for a socket's
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{filepath.Join(dir, "x\n1 2 3 no flags, no inode 9"), filepath.Join(dir, "a b"), "@graft-test-" + filepath.Base(dir), filepath.Join(dir, "plain")} {
		l, err := new(net.ListenConfig).Listen(context.Background(), "unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if strings.Contains(name, "\n") {
			continue
		}
		if got := own(t, "unix:"+name); got.Network != "unix" || got.Reuseport {
			t.Errorf("%+v, want a unix socket", got)
		}
	}
}

func TestAcceptingIsWhatEpollWaitsFor(t *testing.T) {
	waited, idle := listenTCP(t, "tcp4", "127.0.0.1:0", 0), listenTCP(t, "tcp4", "127.0.0.1:0", 0)
	// Go's own poller waits on both: an epoll of ours in a process of its own would tell them apart, but
	// so does a socket that no epoll has ever seen.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	parked := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*unix.SockaddrInet4).Port}
	accepts := func() map[uint64]bool {
		t.Helper()
		inodes, err := proc.Accepting(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return inodes
	}
	inode := own(t, parked.String()).Inode
	if got := accepts(); !got[own(t, waited.Addr().String()).Inode] || !got[own(t, idle.Addr().String()).Inode] || got[inode] {
		t.Errorf("epoll waits for %v, want the two listeners and not %d, which only listens", got, inode)
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(poll)
	if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		t.Fatal(err)
	}
	if got := accepts(); !got[inode] {
		t.Errorf("epoll waits for %v, want %d among them", got, inode)
	}
	if err := unix.EpollCtl(poll, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
		t.Fatal(err)
	}
	if got := accepts(); got[inode] {
		t.Errorf("epoll still waits for %d", inode)
	}
}
