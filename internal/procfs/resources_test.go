package procfs

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAnonymousMemoryGrowsWithWhatAProcessTakes(t *testing.T) {
	fs := New("/proc")
	before, err := fs.Anonymous(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < size; i += 4096 {
		mem[i] = 1
	}
	after, err := fs.Anonymous(os.Getpid())
	if err := errors.Join(err, unix.Munmap(mem)); err != nil {
		t.Fatal(err)
	}
	if grown := after - before; grown < size*3/4 {
		t.Errorf("%d bytes were written to, and it grew by %d", size, grown)
	}
}

func TestAnonymousMemoryThatIsNotTold(t *testing.T) {
	f := tree(t, map[string]string{
		"1/status": "Name:\tnginx\nVmRSS:\t 12 kB\n",
		"2/status": "RssAnon:\t x kB\n",
		"3/status": "Name:\tnginx\nRssAnon:\t    2048 kB\nRssFile:\t 1 kB\n",
	})
	if _, err := f.Anonymous(1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an old kernel: %v", err)
	}
	if n, err := f.Anonymous(2); err == nil {
		t.Errorf("read as %d", n)
	}
	if n, err := f.Anonymous(3); err != nil || n != 2<<20 {
		t.Errorf("%d %v", n, err)
	}
	if _, err := f.Anonymous(4); !Gone(err) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestDescriptorsAreCounted(t *testing.T) {
	fs := New("/proc")
	before, err := fs.Descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		file, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
	}
	after, err := fs.Descriptors(os.Getpid())
	if err != nil || after < before+10 {
		t.Errorf("%d, with ten more %d: %v", before, after, err)
	}
	laidOut := tree(t, map[string]string{"7/fd/0": "", "7/fd/1": "", "7/fd/2": ""})
	if n, err := laidOut.Descriptors(7); n != 3 || err != nil {
		t.Errorf("%d %v", n, err)
	}
}

func TestRefusedReadsTheKernelsTable(t *testing.T) {
	const table = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeouts\nTcpExt: 1 22 333 4\nIpExt: InNoRoutes\nIpExt: 5\n"
	f := tree(t, map[string]string{"7/net/netstat": table})
	if got, err := f.Refused(7); err != nil || got != (Refused{22, 333}) {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range []string{
		"", "IpExt: InNoRoutes\nIpExt: 5\n", "TcpExt: ListenOverflows ListenDrops\n",
		"TcpExt: ListenOverflows\nTcpExt: 1\n", "TcpExt: ListenOverflows ListenDrops\nTcpExt: 1 x\n", "TcpExt: ListenOverflows ListenDrops\nTcpExt: 1\n",
	} {
		if got, err := tree(t, map[string]string{"7/net/netstat": bad}).Refused(7); err == nil {
			t.Errorf("%q: read as %+v", bad, got)
		}
	}
}

// Nobody accepts on the socket: the kernel counts what no longer fits into its queue.
func TestRefusedCountsAnOverflowOfTheAcceptQueue(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	fs := New("/proc")
	before, err := fs.Refused(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	addr := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: local.(*unix.SockaddrInet4).Port}
	for range 8 {
		dialer := net.Dialer{Timeout: 100 * time.Millisecond}
		if conn, err := dialer.DialContext(t.Context(), "tcp", addr.String()); err == nil {
			defer conn.Close()
		} else if !strings.Contains(err.Error(), "timeout") {
			t.Fatal(err)
		}
	}
	after, err := fs.Refused(os.Getpid())
	if err != nil || after.Overflows <= before.Overflows || after.Drops <= before.Drops {
		t.Errorf("before %+v, after %+v: %v", before, after, err)
	}
}
