package preflight

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"graft/internal/nginx"
	"graft/internal/procfs"
)

// load is what one worker has to finish before it can leave.
type load struct {
	worker      nginx.Worker
	age         time.Duration
	connections int           // of clients
	silent      time.Duration // the longest that nothing went over one of them: it is at least that old
}

// drainUnbounded counts what the old workers will have to wait for. A worker that shuts down leaves when
// its last connection has ended (ngx_worker_process_cycle: ngx_event_no_timers_left), or when
// worker_shutdown_timeout closes the rest.
func drainUnbounded(e *examination) Check {
	loads, err := e.loads()
	switch {
	case procfs.Gone(err):
		return warning("run graft plan again", "not counted: a worker ended meanwhile (%v)", err)
	case err != nil:
		return warning("run graft as root", "the workers' connections cannot be counted: %v", err)
	}
	now := serving(loads)
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
	var pids []int
	for _, w := range e.Instance.Workers {
		pids = append(pids, w.PID)
	}
	held, err := e.FS.Connections(pids...)
	if err != nil {
		return nil, err
	}
	ports := listeningPorts(e.Instance.Listen)
	var loads []load
	for _, w := range e.Instance.Workers {
		if w.Role != nginx.RoleWorker {
			continue
		}
		l := load{worker: w}
		if l.age, err = e.FS.Age(w.PID); err != nil {
			return nil, err
		}
		for _, c := range held[w.PID] {
			if ports[c.LocalPort] { // others are to upstreams
				l.connections++
				l.silent = max(l.silent, min(c.SinceSent, c.SinceReceived))
			}
		}
		loads = append(loads, l)
	}
	return loads, nil
}

func listeningPorts(held []procfs.Listener) map[int]bool {
	ports := map[int]bool{}
	for _, l := range held {
		if at, err := netip.ParseAddrPort(l.Addr); err == nil && l.Network == "tcp" {
			ports[int(at.Port())] = true
		}
	}
	return ports
}

// serving tells of the workers that serve.
func serving(loads []load) string {
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
		if l.connections > 0 && l.silent >= longest.silent {
			longest = l
		}
	}
	text := fmt.Sprintf("TCP connections of clients now: %d (by worker: %s)", total, cmp.Or(strings.Join(counts, ", "), "none"))
	if total == 0 {
		return text
	}
	return text + fmt.Sprintf("; the longest silent one, of worker %d, for %v; none is older than its worker, %v",
		longest.worker.PID, longest.silent.Round(time.Second), oldest.Round(time.Second))
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
