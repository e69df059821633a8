package preflight

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

// withQUIC is an nginx that speaks HTTP/3, and little else.
func withQUIC(t *testing.T) nginxtest.Binary {
	t.Helper()
	return nginxtest.Build(t, nginxtest.Source(t, "1.26.3"), with(nginxtest.Flags(), "--with-http_v3_module")...)
}

func TestQuicBpf(t *testing.T) {
	plain := nginxtest.Start(t, nginxtest.Options{})
	asked(t, subject(t, plain, hardened(t)), "quic-bpf", OK, "no quic")

	quic := strings.Replace(nginxtest.Realistic, "server {", `server {
        listen 127.0.0.1:{{.Port "https"}} quic reuseport;`, 1)
	t.Run("quic", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{Config: quic, Binary: withQUIC(t)})
		asked(t, subject(t, inst, withQUIC(t)), "quic-bpf", Note, inst.Conf+":", "still read these sockets")
		if !sameQUICSockets(t, inst) {
			t.Error("the new master has other sockets for QUIC than the old")
		}
	})
	t.Run("quic_bpf", func(t *testing.T) {
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil {
			t.Skipf("no BPF without privileges: %v", err)
		}
		inst := nginxtest.Start(t, nginxtest.Options{Config: "quic_bpf on;\n" + quic, Binary: withQUIC(t)})
		asked(t, subject(t, inst, withQUIC(t)), "quic-bpf", Warning, inst.Conf+":1", "not hand these sockets")
		if sameQUICSockets(t, inst) {
			t.Error("the new master has the old one's sockets for QUIC")
		}
	})
}

// sameQUICSockets upgrades, and compares the masters' sockets.
func sameQUICSockets(t *testing.T, inst *nginxtest.Instance) bool {
	t.Helper()
	young := upgrade(t, inst, 2)
	return slices.Equal(udpSockets(t, inst.MasterPID), udpSockets(t, young))
}

func udpSockets(t *testing.T, pid int) []uint64 {
	t.Helper()
	held, err := procfs.New("/proc").Listeners(pid)
	if err != nil {
		t.Fatal(err)
	}
	var inodes []uint64
	for _, l := range held {
		if l.Network == "udp" {
			inodes = append(inodes, l.Inode)
		}
	}
	slices.Sort(inodes)
	if len(inodes) == 0 {
		t.Fatalf("%d holds no UDP socket", pid)
	}
	return inodes
}
