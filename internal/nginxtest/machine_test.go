package nginxtest

import (
	"strings"
	"testing"
)

func TestAMachineRunsTheDistributionsUnitUntilItsPowerIsCut(t *testing.T) {
	root := BareRoot(t)
	m, other := Boot(t, root), Boot(t, BareRoot(t))
	for _, machine := range []*Machine{m, other} {
		if state := strings.TrimSpace(machine.Run(t, "systemctl", "is-active", "nginx.service")); state != "active" {
			t.Fatalf("nginx.service is %s", state)
		}
	}
	boot := m.Run(t, "cat", "/proc/sys/kernel/random/boot_id")
	m.Run(t, "systemctl", "stop", "nginx.service")
	m.Run(t, "sh", "-c", "echo kept >/etc/kept; echo lost >/run/lost")
	if state := strings.TrimSpace(other.Run(t, "systemctl", "is-active", "nginx.service")); state != "active" {
		t.Errorf("what is done in one machine shows in another: nginx.service is %s", state)
	}
	m.Cut(t)
	m = Boot(t, root)
	if again := m.Run(t, "cat", "/proc/sys/kernel/random/boot_id"); again == boot {
		t.Error("a second boot has the id of the first")
	}
	if kept := m.Run(t, "sh", "-c", "cat /etc/kept; ls /run/lost 2>/dev/null || :"); kept != "kept\n" {
		t.Errorf("of /etc and /run a reboot left %q", kept)
	}
	m.Run(t, "systemctl", "is-active", "nginx.service")
}
