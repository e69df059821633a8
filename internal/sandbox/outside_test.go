package sandbox

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vip is an address that the host does not have and the tests make local.
var vip = netip.MustParseAddr("203.0.113.250")

// meetings are what a network outside is for: server, client's address, where
// the client goes, and who then met whom. {own} is the host's address.
var meetings = []struct{ server, from, to, want string }{
	// Any address outside, from the host's own; also where inside listens on the port.
	{"outside 0.0.0.0:80", "", "10.0.0.5:80", "{own4} met 10.0.0.5:80"},
	{"outside [::]:80", "", "[2600:1f18::5]:80", "{own6} met [2600:1f18::5]:80"},
	// The host's addresses, from any address outside.
	{"0.0.0.0:80", "8.8.8.8", "{own4}:80", "8.8.8.8 met {own4}:80"},
	{"{own4}:80", "10.0.0.5", "{own4}:80", "10.0.0.5 met {own4}:80"},
	{"[::]:80", "2600:1f18::7", "[{own6}]:80", "2600:1f18::7 met [{own6}]:80"},
	{"[{own6}]:80", "", "[{own6}]:80", "2001:db8:ffff::1 met [{own6}]:80"},
	{"0.0.0.0:80", "", "{own4}:80", "198.19.255.254 met {own4}:80"},
	// An address that comes and goes.
	{"0.0.0.0:80", "192.168.7.7", vip.String() + ":80", "192.168.7.7 met " + vip.String() + ":80"},
}

// own returns the addresses inside that {own4} and {own6} stand for.
func own(t *testing.T) *strings.Replacer {
	t.Helper()
	addrs, err := HostAddresses()
	if err != nil {
		t.Fatal(err)
	}
	addrs = append(addrs, fallback...)
	first := func(is4 bool) string {
		return addrs[slices.IndexFunc(addrs, func(a netip.Addr) bool { return a.Is4() == is4 })].String()
	}
	return strings.NewReplacer("{own4}", first(true), "{own6}", first(false))
}

func TestOutsideEveryAddressIsLocal(t *testing.T) {
	names := own(t)
	opts := Options{Outside: true, Local: []netip.Addr{vip}}
	for _, m := range meetings {
		got := sh(t, opts, fmt.Sprintf("%s '%s' '%s' '%s'", child(t, meetArg), names.Replace(m.server), m.from, names.Replace(m.to)))
		if want := names.Replace(m.want); got != want {
			t.Errorf("%s from %q to %s: %q, want %q", m.server, m.from, m.to, got, want)
		}
	}
}

func TestAHostWithoutAddressesHasAnOutsideToo(t *testing.T) {
	// The outer sandbox is that host.
	names := strings.NewReplacer("{own4}", fallback[0].String(), "{own6}", fallback[1].String())
	for _, m := range meetings[:len(meetings)-1] {
		got := sh(t, Options{}, fmt.Sprintf("%s %s '%s' '%s' '%s'", nested(t, Options{Outside: true}), child(t, meetArg),
			names.Replace(m.server), m.from, names.Replace(m.to)))
		if want := names.Replace(m.want); got != want {
			t.Errorf("%s from %q to %s: %q, want %q", m.server, m.from, m.to, got, want)
		}
	}
}

func TestSuspiciousHostsHaveAnOutsideToo(t *testing.T) {
	// Settings that a new network takes over from the host's, or would.
	m := meetings[2]
	got := sh(t, Options{Outside: true}, fmt.Sprintf(`
		mount -t proc none /mnt
		for f in all default; do
			echo 1 > /mnt/sys/net/ipv4/conf/$f/rp_filter; echo 1 > /mnt/sys/net/ipv6/conf/$f/disable_ipv6
		done
		%s %s '%s' '%s' '%s'`, nested(t, Options{Outside: true}), child(t, meetArg), m.server, m.from, own(t).Replace(m.to)))
	if want := own(t).Replace(m.want); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLoopbackIsInside(t *testing.T) {
	// What listens outside, on all addresses, is not what loopback means.
	out, err := trySh(t, Options{Outside: true}, child(t, meetArg)+" 'outside 0.0.0.0:80' '' 127.0.0.1:80")
	if err == nil || !strings.Contains(out, "connection refused") {
		t.Errorf("error %v, output %q", err, out)
	}
	if got := sh(t, Options{Outside: true}, child(t, listenArg)+" tcp 127.0.0.1:80 [::1]:80"); got != "127.0.0.1:80\n[::1]:80" {
		t.Errorf("listening: %q", got)
	}
}

func TestThePacketsOfAnOutsideStayThere(t *testing.T) {
	host, err := net.Listen("tcp", own(t).Replace("{own4}:0"))
	if err != nil {
		t.Skip("this host has no address of its own")
	}
	defer host.Close()
	out, err := trySh(t, Options{Outside: true}, child(t, dialArg)+" tcp "+host.Addr().String())
	if err == nil || !strings.Contains(out, "connection refused") {
		t.Errorf("error %v, output %q", err, out)
	}
}

func TestOutsideIsRefusedWhereThereIsNone(t *testing.T) {
	if _, err := Command(t.Context(), Options{Outside: true, HostNetwork: true}, "true"); err == nil || !strings.Contains(err.Error(), "exclude") {
		t.Errorf("with the host's network: %v", err)
	}
	out, err := trySh(t, Options{}, child(t, meetArg)+" 'outside :80' '' 10.0.0.5:80")
	if err == nil || !strings.Contains(out, "without Options.Outside") {
		t.Errorf("error %v, output %q", err, out)
	}
}

func TestChildrenMeetNothingOfTheOutside(t *testing.T) {
	const script = `ls -l /proc/self/fd | grep -c net: || true; ls -A /run; cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' ' | sort`
	if got, want := sh(t, Options{Outside: true}, script), "0\n"+insideEnd+"\nlo"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnOrdinaryUserHasAnOutsideToo(t *testing.T) {
	exe := userSandbox(t)
	names := own(t)
	for _, m := range meetings {
		got := asUser(t, exe, Options{Outside: true, Local: []netip.Addr{vip}}, exe, meetArg, names.Replace(m.server), m.from, names.Replace(m.to))
		if want := names.Replace(m.want); got != want {
			t.Errorf("%s from %q to %s: %q, want %q", m.server, m.from, m.to, got, want)
		}
	}
}

func TestAnOrdinaryUserKeepsItsUser(t *testing.T) {
	exe := userSandbox(t)
	const script = `id -u; id -g; grep CapEff /proc/self/status | tr -d '\t'; tail -n1 /etc/hosts; touch /tmp/graft-test; stat -c %u /tmp/graft-test
		! touch /etc/graft-test 2>/dev/null; kill -0 $$`
	got := asUser(t, exe, Options{SameUser: true, Hosts: []string{"198.18.0.1 name"}}, "sh", "-ec", script)
	want := "65534\n65534\nCapEff:0000000000000000\n198.18.0.1 name\n65534"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Any port: the user's nginx has that power by means that do not reach in here.
	if got := asUser(t, exe, Options{SameUser: true}, exe, listenArg, "tcp", ":80"); got != "[::]:80" {
		t.Errorf("listening: %q", got)
	}
	// For root nothing changes.
	if got := sh(t, Options{SameUser: true}, "id -u; cat /proc/self/uid_map | tr -s ' '"); got != "0\n 0 0 4294967295" {
		t.Errorf("as root: %q", got)
	}
}

// userSandbox returns a copy of this program for a user who is not root.
func userSandbox(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	if out, err := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "--user", "true").CombinedOutput(); err != nil {
		t.Skipf("this kernel, container or chroot allows no user namespaces: %s", out)
	}
	return asNobody(t)
}

// asUser runs a program in a sandbox of that user's.
func asUser(t *testing.T, exe string, opts Options, argv ...string) string {
	t.Helper()
	options := strings.TrimSuffix(strings.TrimPrefix(nested(t, opts), child(t, nestedArg)+" '"), "'")
	cmd := exec.Command("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", exe, nestedArg, options}, argv...)...)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}
