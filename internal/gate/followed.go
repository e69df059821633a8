package gate

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// followed is one log under watch.
type followed struct {
	path     string
	follower *accesslog.Follower
	failing  bool // so that a failure that lasts is told once
}

// poll hands over blocks of whole lines.
func (f *followed) poll(log *slog.Logger, fn func(lines []byte)) {
	err := f.follower.PollBlocks(fn)
	if err != nil && !f.failing {
		log.Warn("a log cannot be read", "path", f.path, "error", err)
	}
	f.failing = err != nil
}

// accessWatch counts the requests of one access log.
type accessWatch struct {
	followed
	accessCounts
	scanner *accesslog.Scanner
	from    source
	blind   bool            // some format does not tell graft's own requests
	hidden  bool            // nor what was asked for: then nothing of it is compared, graft's probes would be
	probed  map[string]bool // of a blind log, the paths that graft asks for are not compared
}

// accessCounts are what an access log told since the gate was entered.
type accessCounts struct {
	Requests  analysis.Requests `json:"requests"` // graft's own left out where their lines show it
	Own       analysis.Requests `json:"own"`      // graft's own, by their User-Agent
	Malformed int64             `json:"malformed"`
}

func newAccessWatch(log AccessLog, f *accesslog.Follower, probed map[string]bool) *accessWatch {
	w := &accessWatch{followed: followed{path: log.Path, follower: f}, scanner: accesslog.NewScanner(log.Formats)}
	for _, format := range log.Formats {
		if !format.Tells(accesslog.FieldUserAgent) {
			w.blind = true
			w.hidden = w.hidden || len(probed) > 0 && !format.Tells(accesslog.FieldURI)
		}
	}
	if w.blind {
		w.probed = probed
	}
	return w
}

// probedPaths are what graft itself asks for.
func probedPaths(cfg Config) map[string]bool {
	paths := make(map[string]bool)
	if cfg.ProbeRate > 0 {
		for _, t := range slices.Concat(cfg.Targets, cfg.Probes) {
			path, _, _ := strings.Cut(t.Path, "?")
			paths[path] = true
		}
	}
	return paths
}

// take counts the lines of a block. Where one tells its worker, those of the old generation are compared
// with, and not counted for the new binary.
func (a *accessWatch) take(lines []byte, l *live, pids *generations, now time.Time) {
	known := a.scanner.Malformed
	a.scanner.Scan(lines, func(r *accesslog.Record) {
		if string(r.UserAgent) == userAgent {
			addRequest(&a.Own, r)
			return
		}
		whose := pids.of[r.PID]
		if whose != oldGeneration {
			addRequest(&a.Requests, r)
		}
		if !a.hidden && !a.probed[string(r.URI)] {
			l.add(a.from, r, whose, now)
		}
	})
	a.Malformed += a.scanner.Malformed - known
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
		probes.Total = max(probes.Total-a.Own.Total, 0)
		probes.Errors5xx = max(probes.Errors5xx-a.Own.Errors5xx, 0)
	}
	for _, a := range w.access {
		after := a.Requests
		if a.blind {
			after, probes = takeOff(after, probes)
		}
		before := w.before(a.path)
		e.Logs = append(e.Logs, analysis.LogShare{Log: a.path, Before: before, After: after})
		e.Before.Total += before.Total
		e.Before.Errors5xx += before.Errors5xx
		e.After.Total += after.Total
		e.After.Errors5xx += after.Errors5xx
		e.Malformed += a.Malformed
	}
}

// before is what a log told before the migration.
func (w *Watch) before(path string) analysis.Requests {
	if w.cfg.History != nil {
		return w.cfg.History.Requests[path]
	}
	return w.cfg.Before[path]
}

// takeOff removes at most less from n, and returns what is left of both.
func takeOff(n, less analysis.Requests) (left, rest analysis.Requests) {
	off := analysis.Requests{Total: min(n.Total, less.Total), Errors5xx: min(n.Errors5xx, less.Errors5xx)}
	left = analysis.Requests{Total: n.Total - off.Total, Errors5xx: n.Errors5xx - off.Errors5xx}
	left.Errors5xx = min(left.Errors5xx, left.Total)
	return left, analysis.Requests{Total: less.Total - off.Total, Errors5xx: less.Errors5xx - off.Errors5xx}
}
