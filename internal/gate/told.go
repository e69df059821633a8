package gate

import (
	"fmt"
	"slices"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// told keeps the findings for a moment: many ask for the evidence, and there are hundreds of tests.
type told struct {
	at   time.Time
	list []analysis.Finding
}

const toldFor = time.Second

// findings are those of all tests and rules but the probes', which are given. Crashes are told at once.
func (w *Watch) findings(now time.Time, probes []analysis.Finding) []analysis.Finding {
	if w.told.at.IsZero() || now.Sub(w.told.at) >= toldFor {
		w.told = told{now, w.compared(now)}
	}
	fail := slices.ContainsFunc(probes, func(f analysis.Finding) bool {
		return f.State == analysis.Alarm || f.State == analysis.Suspect
	})
	return append(slices.Clone(w.told.list), analysis.ExitRule(w.exits(now)), analysis.RestartRule(analysis.Events{
		At: w.pids.restarts.At, Last: w.pids.restarts.Last, Watched: now.Sub(w.begun),
	}), analysis.VolumeRule(w.live.volume.last(now), fail))
}

// compared are the findings that are told once a second.
func (w *Watch) compared(now time.Time) []analysis.Finding {
	var list []analysis.Finding
	if w.ready {
		list = w.live.findings()
	}
	list = append(list, w.errors.classes.findings(now.Sub(w.begun), now)...)
	return append(list, w.resources.findings()...)
}

func (w *Watch) exits(now time.Time) analysis.Events {
	e := analysis.Events{At: w.errors.new.ends, Watched: now.Sub(w.begun)}
	if n := len(w.errors.new.crashes); n > 0 {
		e.Last = w.errors.new.crashes[n-1]
	}
	if h := w.cfg.History; h != nil && !h.Errors.From.IsZero() {
		e.Before, e.BeforeKnown = append(e.Before, h.Errors.Exits...), h.Until.Sub(h.Errors.From)
	}
	e.Before = append(e.Before, w.errors.old.ends...)
	return e
}

// attribution tells in words how requests were told apart.
func (w *Watch) attribution() []string {
	var list []string
	told, untold := 0, 0
	for _, a := range w.cfg.Logs.Access {
		if a.Formats.Tells(accesslog.FieldPID) {
			told++
		} else {
			untold++
		}
	}
	switch {
	case told+untold == 0:
		return nil
	case untold == 0:
		list = append(list, "each request's worker is known ($pid in every log_format)")
	case told == 0:
		list = append(list, "no log_format has $pid: requests of the old workers and the new are not told apart, both together are compared with the days before")
	default:
		list = append(list, fmt.Sprintf("%d of %d access logs have no $pid: their requests are not told apart by worker", untold, told+untold))
	}
	if parts := len(w.live.scopes.List) - 1; parts > 0 {
		list = append(list, fmt.Sprintf("compared as a whole and in %d parts (%d logs, %d servers, %d places and what is left)",
			parts, len(w.live.scopes.Logs), len(w.live.scopes.Hosts), len(w.live.scopes.Places)))
	}
	if words := w.live.mix.words(w.live.scopes); words != "" {
		list = append(list, words)
	}
	if h := w.cfg.History; h != nil && h.busy() {
		list = append(list, fmt.Sprintf("the host was short of CPU before the swap already (in %.0f %% of a minute some task waited for it): how long requests take is compared between the generations only", 100*h.Pressure))
	}
	if w.ready {
		list = append(list, w.live.rises.words()...)
	}
	for _, a := range w.access {
		if n := a.follower.Gaps(); n > 0 {
			list = append(list, fmt.Sprintf("%s: %d times a file was gone before it was read to its end: some of its lines are not counted", a.path, n))
		}
		switch {
		case a.hidden:
			list = append(list, a.path+" is not compared: its log_format has neither $http_user_agent nor the URI, so that graft's own requests cannot be left out")
		case len(a.probed) > 0:
			list = append(list, a.path+": its log_format has no $http_user_agent: requests for what graft asks for, too, are left out of the comparisons")
		}
	}
	return list
}
