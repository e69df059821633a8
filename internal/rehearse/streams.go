package rehearse

import (
	"strings"

	"graft/internal/gate"
	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/parity"
)

// streams are a line for each address of stream and mail: their upstreams' stubs repeat what reached
// them, so that its way shows.
func streams(i nginx.Instance) []parity.Request {
	var all []parity.Request
	for _, t := range gate.Targets(i) {
		server, ok := serverAt(i.Config, t)
		if t.Proof != gate.Accepts || !ok {
			continue // it listens there only until it is started anew, as the clone is
		}
		all = append(all, parity.Request{Method: parity.StreamMethod, Network: t.Network, Address: t.Address, TLS: t.TLS,
			ProxyProtocol: t.ProxyProtocol, Server: server, Location: server, Origin: parity.ConfigOrigin})
	}
	return all
}

// serverAt is the server block that listens there.
func serverAt(c *conf.Config, t gate.Target) (conf.Pos, bool) {
	for _, l := range c.Listens() {
		at := "unix:" + l.Host
		if l.Network != "unix" {
			at = ":" + l.Port
		}
		_, _, ranged := strings.Cut(l.Port, "-")
		if l.Context != "http" && l.Network == t.Network && (ranged || strings.HasSuffix(t.Listen, at)) {
			return l.Server.Pos(), true
		}
	}
	return conf.Pos{}, false
}
