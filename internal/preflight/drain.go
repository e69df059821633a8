package preflight

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"graft/internal/nginx"
	"graft/internal/procfs"
)

// askedConnections bounds of how many connections of one worker the kernel is asked for their age.
const askedConnections = 2000

// load is what one worker has to finish before it can leave.
type load struct {
	worker      nginx.Worker
	age         time.Duration
	connections int           // of clients
	silent      time.Duration // the longest that nothing went over one of them: it is at least that old
	known       bool
}

// drainUnbounded counts what the old workers will have to wait for. A worker that shuts down leaves when
// its last connection has ended (ngx_worker_process_cycle: ngx_event_no_timers_left), or when
// worker_shutdown_timeout closes the rest.
func drainUnbounded(e *examination) Check {
	loads, err := e.loads()
	if err != nil {
		return warning("run graft as root", "the workers' connections cannot be counted: %v", err)
	}
	now := describe(loads)
	lingering := leaving(loads)
	if d := e.Instance.Config.Find("worker_shutdown_timeout"); len(d) > 0 {
		return ok("worker_shutdown_timeout %s (%s): old workers are gone by then at the latest. %s%s", d[0].Arg(0), d[0].Pos(), now, lingering)
	}
	return note("to bound it, add to the main context and reload: worker_shutdown_timeout 1h;",
		"no worker_shutdown_timeout in %s: old workers stay until their last connection (download, websocket) ends, and the old master with them; until it is gone the next USR2 is ignored. %s%s",
		e.Instance.Paths.Conf, now, lingering)
}

// loads looks at every worker, those that shut down since an earlier reload included.
func (e *examination) loads() ([]load, error) {
	ports := listeningPorts(e.Instance.Listen)
	var loads []load
	for _, w := range e.Instance.Workers {
		if w.Role != nginx.RoleWorker {
			continue
		}
		l := load{worker: w}
		connections, err := e.FS.Connections(w.PID, askedConnections)
		if err == nil {
			l.age, err = e.FS.Age(w.PID)
		}
		if procfs.Gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, c := range connections {
			if !ports[c.Local.Port()] {
				continue // to an upstream
			}
			l.connections++
			l.silent, l.known = max(l.silent, c.Silent), l.known || c.Known
		}
		loads = append(loads, l)
	}
	return loads, nil
}

func listeningPorts(held []procfs.Listener) map[uint16]bool {
	ports := map[uint16]bool{}
	for _, l := range held {
		if at, err := netip.ParseAddrPort(l.Addr); err == nil && l.Network == "tcp" {
			ports[at.Port()] = true
		}
	}
	return ports
}

// describe tells of the workers that serve.
func describe(loads []load) string {
	var counts []string
	var total int
	var longest load
	var oldest time.Duration
	for _, l := range loads {
		if l.worker.ShuttingDown {
			continue
		}
		total += l.connections
		counts = append(counts, strconv.Itoa(l.worker.PID)+": "+strconv.Itoa(l.connections))
		oldest = max(oldest, l.age)
		if l.known && l.silent >= longest.silent {
			longest = l
		}
	}
	text := fmt.Sprintf("TCP connections of clients now: %d (by worker: %s)", total, or(strings.Join(counts, ", "), "none"))
	switch {
	case total == 0:
		return text
	case longest.known:
		text += fmt.Sprintf("; the longest silent one, of worker %d, for %v", longest.worker.PID, longest.silent.Round(time.Second))
	}
	return text + fmt.Sprintf("; none is older than its worker, %v", oldest.Round(time.Second))
}

// leaving tells of workers that an earlier reload sent away and that are still here: what an unbounded
// drain takes on this host. Their connections are older than the workers that took their place.
func leaving(loads []load) string {
	var young time.Duration
	for _, l := range loads {
		if !l.worker.ShuttingDown && (young == 0 || l.age < young) {
			young = l.age
		}
	}
	var text strings.Builder
	for _, l := range loads {
		if l.worker.ShuttingDown {
			fmt.Fprintf(&text, ". Worker %d has been shutting down since a reload, at least %v, and still holds %d", l.worker.PID, young.Round(time.Second), l.connections)
		}
	}
	return text.String()
}
