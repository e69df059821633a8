package preflight

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"graft/internal/nginx/conf"
	"graft/internal/procfs"
)

// reuseportBlackhole compares the workers that run with those a new master would start. With reuseport
// each worker has a socket of its own; fewer workers leave sockets that the kernel still feeds.
func reuseportBlackhole(e *examination) Check {
	i := e.Instance
	running := i.Accepting()
	value, where := cmp.Or(i.Config.Value("worker_processes"), "1"), e.where("worker_processes")
	wanted, err := workerCounts(e.FS, value, i.Master.PID)
	if err != nil {
		return warning("write worker_processes as a number", "worker_processes %s (%s): %v; %d workers run", value, where, err, running)
	}
	if slices.Contains(wanted, running) {
		return ok("%d workers run, worker_processes %s (%s)", running, value, where)
	}
	reuseport := reuseportSockets(i.Listen, i.Config)
	keep := fmt.Sprintf("set worker_processes %d; until the migration is finished, or reload first", running)
	if len(reuseport) == 0 {
		return note(keep, "%d workers run, the new master would start %d (worker_processes %s, %s)", running, wanted[0], value, where)
	}
	return blocker(keep, "%d workers run and the new master would start %d (worker_processes %s, %s), with reuseport on %s: connections to sockets that have no worker hang",
		running, wanted[0], value, where, strings.Join(reuseport, ", "))
}

// workerCounts reads the directive. For "auto" nginx asks sysconf(3) for the processors, which counts
// those online or, depending on the C library, those that the process may use.
func workerCounts(fs procfs.FS, value string, pid int) ([]int, error) {
	if value != "auto" {
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("not a number: %w", err)
		}
		return []int{n}, nil
	}
	online, err := fs.CPUs()
	if err != nil {
		return nil, err
	}
	counts := []int{online}
	var usable unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &usable); err == nil {
		counts = append(counts, usable.Count())
	}
	return counts, nil
}

// reuseportSockets lists the addresses with reuseport, as they are held and as the configuration asks.
func reuseportSockets(held []procfs.Listener, c *conf.Config) []string {
	var list []string
	for _, l := range held {
		if l.Reuseport {
			list = append(list, l.Addr)
		}
	}
	for _, l := range c.Listens() {
		if l.Reuseport {
			list = append(list, fmt.Sprintf("%s (%s)", l.Address, l.Directive.Pos()))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// listenChanged compares the listen directives on disk with the sockets that the master holds. A
// difference is configuration edited and not reloaded: the new master would bring it into effect.
func listenChanged(e *examination) Check {
	i := e.Instance
	if i.ConfigError != nil {
		return warning("repair the configuration, then plan again", "not known: the configuration cannot be read: %v", i.ConfigError)
	}
	const reload = "reload nginx first, so that what changes is seen by itself, or take the edit back"
	drift, surplus := compareListens(i.Config.Listens(), i.Listen)
	for _, l := range surplus {
		drift = append(drift, unasked(l)+": as long as the old master is parked its clients would hang")
	}
	if len(drift) == 0 {
		return ok("%d sockets are held, as the listen directives of %s ask", len(i.Listen), i.Paths.Conf)
	}
	return warning(reload, "the configuration was edited after it was loaded: %s", strings.Join(drift, "; "))
}

// compareListens tells in words what the directives ask and is not held, and lists what is held that
// none of them asks for.
func compareListens(directives []conf.Listen, held []procfs.Listener) (missing []string, surplus []procfs.Listener) {
	have := make(map[socket]bool)
	for _, l := range held {
		have[heldSocket(l)] = true
	}
	asked, named := make(map[socket]bool), make(map[string]bool)
	for _, l := range directives {
		for _, s := range askedSockets(l) {
			if s.addr == "" { // a name: which addresses it has, nginx alone knows
				named[s.port] = true
				continue
			}
			asked[s] = true
			if !have[s] && !have[s.wildcard()] && !drifted(missing, l) {
				missing = append(missing, fmt.Sprintf("nobody listens on %s (%s)", cmp.Or(l.Address, l.Host+":"+l.Port), l.Directive.Pos()))
			}
		}
	}
	for _, l := range held {
		if s := heldSocket(l); !asked[s] && !named[s.port] {
			surplus = append(surplus, l)
		}
	}
	return missing, surplus
}

// unasked is how evidence names a socket that no directive asks for.
func unasked(l procfs.Listener) string {
	return fmt.Sprintf("%s (inode %d) is held, but no directive asks for it", l.Addr, l.Inode)
}

// drifted tells whether the directive, a port range say, is reported already.
func drifted(drift []string, l conf.Listen) bool {
	return len(drift) > 0 && strings.HasSuffix(drift[len(drift)-1], "("+l.Directive.Pos().String()+")")
}

// socket is an address to listen on. addr is "" for a name.
type socket struct{ network, addr, port string }

// wildcard is the socket that answers for s, too: nginx binds no second one for a single address
// unless the directive has options of its own.
func (s socket) wildcard() socket {
	if s.network == "unix" {
		return s
	}
	any := "0.0.0.0"
	if strings.Contains(s.addr, ":") {
		any = "::"
	}
	return socket{s.network, any, s.port}
}

func heldSocket(l procfs.Listener) socket {
	if path, isUnix := strings.CutPrefix(l.Addr, "unix:"); isUnix {
		return socket{network: "unix", addr: path}
	}
	ap, err := netip.ParseAddrPort(l.Addr)
	if err != nil {
		return socket{l.Network, l.Addr, ""}
	}
	return socket{l.Network, ap.Addr().String(), strconv.Itoa(int(ap.Port()))}
}

func askedSockets(l conf.Listen) []socket {
	if l.Network == "unix" {
		return []socket{{network: "unix", addr: l.Host}}
	}
	addr := l.Host
	if addr == "*" {
		addr = "0.0.0.0"
	}
	if ip, err := netip.ParseAddr(addr); err == nil {
		addr = ip.String()
	} else {
		addr = ""
	}
	first, last, isRange := strings.Cut(l.Port, "-")
	from, err := strconv.Atoi(first)
	if err != nil {
		return nil // nginx refuses it: config-test tells
	}
	to := from
	if isRange {
		if to, err = strconv.Atoi(last); err != nil {
			return nil
		}
	}
	var list []socket
	for port := from; port <= to && port < 1<<16; port++ {
		list = append(list, socket{l.Network, addr, strconv.Itoa(port)})
	}
	return list
}
