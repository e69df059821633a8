package gate

import (
	"context"
	"fmt"
	"time"

	"graft/internal/analysis"
	"graft/internal/probe"
)

// userAgent is the name under which all of graft's own requests go, so that a log that has it can
// leave them out.
const userAgent = "graft-probe"

// longestWatch bounds the probes of a gate that nobody ends.
const longestWatch = 30 * 24 * time.Hour

// prober keeps two steady loads on each target: one that opens a connection for each request, and
// one that keeps its connection, which is what WINCH and QUIT interrupt.
type prober struct {
	loads []load
	notes []string // targets that are not probed, and why
}

// load is one load under way.
type load struct {
	target  Target
	running *probe.Running
	was5xx  bool // so it answered before
}

// startProbes starts the loads on the HTTP targets, rate requests a second in all. The loads end
// with ctx; each request under way is still finished.
func startProbes(ctx context.Context, targets []Target, before Baseline, rate float64) (*prober, error) {
	p := &prober{}
	var chosen []Target
	for _, t := range targets {
		if t.Proof != Answered {
			continue
		}
		a, asked := before[t.Listen]
		if asked && a.Fate != probe.OK {
			p.notes = append(p.notes, fmt.Sprintf("%s is not probed: it did not answer before either (%s)", t.Listen, a.Fate))
			continue
		}
		chosen = append(chosen, t)
	}
	if rate <= 0 {
		return p, nil
	}
	for _, t := range chosen {
		for _, mode := range []probe.Mode{probe.Connect, probe.KeepAlive} {
			running, err := probe.Start(ctx, probe.Load{
				Target: t.Target, Mode: mode, Clients: 1, Rate: rate / float64(2*len(chosen)),
				Duration: longestWatch, UserAgent: userAgent,
			})
			if err != nil {
				return p, fmt.Errorf("probe %s: %w", t.Listen, err)
			}
			p.loads = append(p.loads, load{t, running, before[t.Listen].Status >= 500})
		}
	}
	return p, nil
}

// wait returns when the last request has ended.
func (p *prober) wait() {
	for _, l := range p.loads {
		<-l.running.Done()
	}
}

// report writes what became of the probes into e, and returns how many answers the access logs may
// hold for it.
func (p *prober) report(e *analysis.Evidence) analysis.Requests {
	var own analysis.Requests
	e.ProbeNotes = append(e.ProbeNotes, p.notes...)
	for _, l := range p.loads {
		t := l.running.Tally()
		e.Probes += t.Fates[probe.OK]
		e.ProbesUnsent += t.Fates[probe.Local]
		e.ProbesLost += t.Lost() - t.Fates[probe.Local]
		own.Total += t.Fates[probe.OK]
		own.Errors5xx += t.Errors5xx()
		if !l.was5xx {
			e.Probes5xx += t.Errors5xx()
		}
		for _, f := range t.Failures {
			if len(e.ProbeNotes) < maxNotes {
				e.ProbeNotes = append(e.ProbeNotes, fmt.Sprintf("%s %s: %s: %s", f.Time.Format("15:04:05"), l.target.Listen, f.Fate, f.Error))
			}
		}
	}
	return own
}
