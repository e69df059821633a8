package gate

import (
	"log/slog"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// followed is one log under watch.
type followed struct {
	path     string
	follower *accesslog.Follower
	failing  bool // so that a failure that lasts is told once
}

func (f *followed) poll(log *slog.Logger, fn func(line []byte)) {
	err := f.follower.Poll(fn)
	if err != nil && !f.failing {
		log.Warn("a log cannot be read", "path", f.path, "error", err)
	}
	f.failing = err != nil
}

// accessWatch counts the requests of one access log.
type accessWatch struct {
	followed
	formats   accesslog.Formats
	requests  analysis.Requests // graft's own left out where their lines show it
	own       analysis.Requests // graft's own, by their User-Agent
	blind     bool              // some format does not tell graft's own requests
	malformed int64
}

func newAccessWatch(log AccessLog, f *accesslog.Follower) *accessWatch {
	w := &accessWatch{followed: followed{path: log.Path, follower: f}, formats: log.Formats}
	for _, format := range log.Formats {
		w.blind = w.blind || !format.Tells(accesslog.FieldUserAgent)
	}
	return w
}

// take counts a line. Where it tells its worker, those of the old generation do not count.
func (a *accessWatch) take(line []byte, pids *generations) {
	var r accesslog.Record
	switch {
	case !a.formats.Parse(line, &r):
		a.malformed++
	case string(r.UserAgent) == userAgent:
		addRequest(&a.own, &r)
	case pids.of[r.PID] != oldGeneration:
		addRequest(&a.requests, &r)
	}
}

func addRequest(n *analysis.Requests, r *accesslog.Record) {
	n.Total++
	if r.Is5xx() {
		n.Errors5xx++
	}
}

// reportAccess writes the shares into e. probes are the gate's own requests that were answered:
// those that no log names as such must be hidden among the lines of logs without a User-Agent, and
// are taken off there. If their server logs nothing at all, that takes off too many, so that the
// gate asks for more traffic than it needs.
func (w *Watch) reportAccess(e *analysis.Evidence, probes analysis.Requests) {
	for _, a := range w.access {
		probes.Total = max(probes.Total-a.own.Total, 0)
		probes.Errors5xx = max(probes.Errors5xx-a.own.Errors5xx, 0)
	}
	for _, a := range w.access {
		after := a.requests
		if a.blind {
			after, probes = takeOff(after, probes)
		}
		before := w.cfg.Before[a.path]
		e.Logs = append(e.Logs, analysis.LogShare{Log: a.path, Before: before, After: after})
		e.Before.Total += before.Total
		e.Before.Errors5xx += before.Errors5xx
		e.After.Total += after.Total
		e.After.Errors5xx += after.Errors5xx
		e.Malformed += a.malformed
	}
}

// takeOff removes at most less from n, and returns what is left of both.
func takeOff(n, less analysis.Requests) (left, rest analysis.Requests) {
	off := analysis.Requests{Total: min(n.Total, less.Total), Errors5xx: min(n.Errors5xx, less.Errors5xx)}
	left = analysis.Requests{Total: n.Total - off.Total, Errors5xx: n.Errors5xx - off.Errors5xx}
	left.Errors5xx = min(left.Errors5xx, left.Total)
	return left, analysis.Requests{Total: less.Total - off.Total, Errors5xx: less.Errors5xx - off.Errors5xx}
}
