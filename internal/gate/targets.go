package gate

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/probe"
)

// Proof is what a listening address can show of itself. The zero value shows nothing.
type Proof string

// The proofs.
const (
	NoProof  Proof = ""         // udp and quic: nothing is accepted there
	Accepts  Proof = "accepts"  // stream, mail, or not in the configuration: see [probe.AcceptedBy]
	Answered Proof = "answered" // http: see [probe.AnsweredBy]
	Probed   Proof = "probed"   // no listening address of its own: see [ProbeTargets]
)

// Target stands for one listening address of an instance.
type Target struct {
	probe.Target
	Listen string `json:"listen"` // the address as the kernel writes it: "0.0.0.0:80", "[::]:443", "unix:/run/x.sock"
	Proof  Proof  `json:"proof"`

	Name string    `json:"name,omitempty"` // of one that is probed beside the addresses, for people
	Spec ProbeSpec `json:"spec,omitzero"`  // of one that the user asks for
	// Counters are the parts of its answer that hold a pid or another number of the process, by the
	// configuration: see [parity.Request].
	Counters []string `json:"counters,omitempty"`
}

// Key tells targets apart: the listening address, or the name.
func (t Target) Key() string {
	if t.Name != "" {
		return t.Name
	}
	return t.Listen
}

// Targets lists the listening addresses of an instance, each once: those its configuration tells,
// in its order, then those that only its sockets tell. HTTP is asked for "/" under the name of the
// address's default server.
func Targets(i nginx.Instance) []Target {
	t := targetList{instance: i}
	if i.Config != nil {
		for _, l := range i.Config.Listens() {
			t.add(l)
		}
	}
	for _, s := range i.Listen {
		if t.index(s.Network, s.Addr) < 0 {
			t.addSocket(s.Network, s.Addr)
		}
	}
	t.reachWildcards()
	return t.targets
}

// targetList collects targets.
type targetList struct {
	instance nginx.Instance
	targets  []Target
	chosen   []bool // the target of this index has its default server
}

// index is where the target of that address is; -1 if there is none.
func (t *targetList) index(network, listen string) int {
	return slices.IndexFunc(t.targets, func(have Target) bool { return have.Network == network && have.Listen == listen })
}

// add takes one listen directive, which may name a range of ports.
func (t *targetList) add(l conf.Listen) {
	if l.Network == "unix" {
		t.addAt(l, "unix:"+l.Host, l.Host)
		return
	}
	first, last, ranged := strings.Cut(l.Port, "-")
	if l.Implicit {
		first = t.implicitPort()
	}
	from, err := strconv.Atoi(first)
	if err != nil {
		return // nginx refuses it too
	}
	to := from
	if ranged {
		if to, err = strconv.Atoi(last); err != nil {
			return
		}
	}
	for port := from; port <= to; port++ {
		listen := net.JoinHostPort(listenHost(l), strconv.Itoa(port))
		t.addAt(l, listen, dialAddress(listen))
	}
}

func (t *targetList) addAt(l conf.Listen, listen, address string) {
	i := t.index(l.Network, listen)
	if i < 0 {
		i = len(t.targets)
		t.targets = append(t.targets, Target{
			Target: probe.Target{Network: l.Network, Address: address, Path: "/"},
			Listen: listen, Proof: proofOf(l),
		})
		t.chosen = append(t.chosen, false)
		t.targets[i].serve(l)
	}
	if l.DefaultServer && !t.chosen[i] {
		t.targets[i].serve(l)
		t.chosen[i] = true
	}
	// ssl and proxy_protocol hold for the address, whichever server says so.
	t.targets[i].TLS = t.targets[i].TLS || l.SSL
	t.targets[i].ProxyProtocol = t.targets[i].ProxyProtocol || l.ProxyProtocol
}

func proofOf(l conf.Listen) Proof {
	switch {
	case l.QUIC || l.Network == "udp":
		return NoProof
	case l.Context == "http":
		return Answered
	}
	return Accepts
}

// serve names the server that is asked for.
func (t *Target) serve(l conf.Listen) {
	if l.Context != "http" {
		return
	}
	t.Host = serverName(conf.ServerNames(l.Server))
	t.ServerName = t.Host
}

// serverName is a name that leads to the server. The default server answers to any.
func serverName(names []string) string {
	for _, name := range names {
		switch {
		case name == "", name == "_", strings.HasPrefix(name, "~"), strings.Contains(name, "$"):
		case strings.HasPrefix(name, "."):
			return name[1:]
		default:
			return strings.ReplaceAll(name, "*", "www")
		}
	}
	return "localhost"
}

func (t *targetList) addSocket(network, listen string) {
	target := Target{Target: probe.Target{Network: network}, Listen: listen, Proof: Accepts}
	switch network {
	case "unix":
		target.Address = strings.TrimPrefix(listen, "unix:")
	case "udp":
		target.Address, target.Proof = dialAddress(listen), NoProof
	default:
		target.Address = dialAddress(listen)
	}
	t.targets = append(t.targets, target)
}

// reachWildcards finds a way to sockets bound to all addresses where loopback has one of its own,
// which would take the connection: on Linux all of 127.0.0.0/8 is loopback.
func (t *targetList) reachWildcards() {
	for i := range t.targets {
		w := &t.targets[i]
		host, port, err := net.SplitHostPort(w.Listen)
		if err == nil && host == "0.0.0.0" && t.index(w.Network, net.JoinHostPort("127.0.0.1", port)) >= 0 {
			w.Address = net.JoinHostPort("127.0.0.2", port)
		}
	}
}

// implicitPort is what a server without listen takes: 80, or 8000 if nginx was not started as root.
func (t *targetList) implicitPort() string {
	for _, s := range t.instance.Listen {
		if s.Network == "tcp" && s.Addr == "0.0.0.0:8000" {
			return "8000"
		}
	}
	return "80"
}

// listenHost is the host as the kernel writes it. Names other than localhost stay: what nginx
// resolved them to shows in its sockets.
func listenHost(l conf.Listen) string {
	switch l.Host {
	case "*":
		return "0.0.0.0"
	case "localhost":
		return "127.0.0.1"
	}
	if ip := net.ParseIP(l.Host); ip != nil {
		return ip.String()
	}
	return l.Host
}

// dialAddress is where a listening address is reached from this host.
func dialAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch host {
	case "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
