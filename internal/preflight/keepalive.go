package preflight

import (
	"fmt"
	"slices"
	"strings"

	"graft/internal/procfs"
)

// idleKeepaliveClose counts the connections that WINCH would close under a client's hands: a worker that shuts
// down closes those which wait for another request (ngx_close_idle_connections).
func idleKeepaliveClose(e *examination) Check {
	const moment = "migrate at a quiet moment; clients have to send such a request again, as they must after any idle time"
	var workers []int
	for _, w := range e.Instance.Workers {
		workers = append(workers, w.PID)
	}
	held, err := e.FS.Connections(workers...)
	if err != nil {
		return warning("run graft as root", "the workers' connections cannot be counted: %v", err)
	}
	ports := e.httpPorts()
	var idle, all int
	var each []string
	for _, pid := range workers {
		i, n := countIdle(held[pid], ports)
		idle, all = idle+i, all+n
		if i > 0 {
			each = append(each, fmt.Sprintf("worker %d %d of %d", pid, i, n))
		}
	}
	if idle == 0 {
		return ok("none of the workers' %d client connections is idle (sock_diag)", all)
	}
	return note(moment, "%d of %d client connections are idle now (sock_diag: %s): at WINCH nginx closes them at once, and a client that speaks in that moment sees the end of the connection before any answer; %s",
		idle, all, strings.Join(each, ", "), e.keepaliveGrace())
}

// httpPorts are those that the instance takes http connections on.
func (e *examination) httpPorts() []int {
	// Those of stream and mail are sessions: nothing of them counts as idle for nginx.
	other := make(map[socket]bool)
	for _, l := range e.Instance.Config.Listens() {
		if l.Context != "http" {
			for _, s := range askedSockets(l) {
				other[s] = true
			}
		}
	}
	var ports []int
	for _, l := range e.Instance.Listen {
		s := heldSocket(l)
		var port int
		if _, err := fmt.Sscan(s.port, &port); err == nil && l.Network == "tcp" && !other[s] {
			ports = append(ports, port)
		}
	}
	return ports
}

func countIdle(held []procfs.Connection, ports []int) (idle, all int) {
	for _, c := range held {
		if !slices.Contains(ports, c.LocalPort) {
			continue // to an upstream
		}
		all++
		if c.Idle() {
			idle++
		}
	}
	return idle, all
}

func (e *examination) keepaliveGrace() string {
	const directive = "keepalive_min_timeout"
	if coreOlder(e.Instance.Build, "1.27.4") {
		return fmt.Sprintf("%s, which lets them live a little longer, came with nginx 1.27.4", directive)
	}
	if d := e.Instance.Config.Find(directive); len(d) > 0 {
		return fmt.Sprintf("%s %s (%s) lets them live that much longer", directive, d[0].Arg(0), d[0].Pos())
	}
	return fmt.Sprintf("%s 5s; in http, loaded some time before, lets them live that much longer", directive)
}
