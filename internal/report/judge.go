package report

import (
	"fmt"
	"time"

	"graft/internal/analysis"
	"graft/internal/traffic"
)

// judged is one signal with what it takes for slow.
type judged struct {
	signal    analysis.Signal
	threshold int32 // ms
}

// judge replays after against before as a gate would have seen it, block by block.
func (r *Report) judge(old, now *Input, o Options) {
	before, after := old.Counts, now.Counts
	for i, side := range []*traffic.Overview{before, after} {
		if _, _, ok := side.Span(); !ok {
			verdict := analysis.Inconclusive
			r.Verdict, r.Why = &verdict, append(r.Why, r.Periods[i].Name+" has no requests with a time")
		}
	}
	if r.Verdict != nil {
		return
	}
	signals := shared(before, after)
	names := make([]analysis.Signal, len(signals))
	for i, s := range signals {
		names[i] = s.signal
	}
	alpha := analysis.SplitAlpha(orElse(o.Alpha, 0.01), names)
	r.Concurrent = sameTime(before, after)
	for _, s := range signals {
		was, is := before.Counts(s.signal, s.threshold), after.Counts(s.signal, s.threshold)
		if r.Concurrent {
			r.Findings = append(r.Findings, sideBySide(was, is, analysis.ConcurrentOptions{
				Signal: s.signal, Alpha: alpha[s.signal], Margin: o.Margin,
			}))
			continue
		}
		r.Findings = append(r.Findings, replay(was, is, analysis.MonitorOptions{
			Signal: s.signal, Alpha: alpha[s.signal], Margin: o.Margin,
		})...)
	}
	r.Findings = append(r.Findings, old.Errors.against(now.Errors, r.Periods[0].span(), r.Periods[1].span())...)
	verdict, why := conclude(r.Findings)
	r.Verdict, r.Why = &verdict, why
	if short := r.ShortBefore(); short != "" && verdict == analysis.Inconclusive {
		r.Why = append(r.Why, short)
	}
}

// longBefore is how much time before it takes to know what is usual.
const longBefore = 48 * time.Hour

// ShortBefore tells how short the time before is, where that is what a test lacks; "" if it is not.
func (r *Report) ShortBefore() string {
	if len(r.Periods) < 2 || r.Concurrent || r.Periods[0].From.IsZero() {
		return ""
	}
	span := r.Periods[0].span()
	if span >= longBefore-time.Minute {
		return ""
	}
	return fmt.Sprintf("the time before is %s: with two days of it, a rise is found far sooner, and a smaller one", lasting(span))
}

func orElse(x, usual float64) float64 {
	if x > 0 {
		return x
	}
	return usual
}

// shared are the signals that both periods tell of.
func shared(before, after *traffic.Overview) []judged {
	b, a := before.Range(zero, zero), after.Range(zero, zero)
	list := []judged{{signal: analysis.Errors5xx}, {signal: analysis.Errors4xx}, {signal: analysis.ClientClosed}}
	if b.UpstreamRequests > 0 && a.UpstreamRequests > 0 {
		list = append(list, judged{signal: analysis.UpstreamErrors})
	}
	if b.Time.Count() > 0 && a.Time.Count() > 0 {
		list = append(list,
			judged{analysis.SlowP95, int32(b.Time.Quantile(0.95))},
			judged{analysis.SlowP99, int32(b.Time.Quantile(0.99))})
	}
	if b.Upstream.Count() > 0 && a.Upstream.Count() > 0 {
		list = append(list, judged{analysis.UpstreamSlow, int32(b.Upstream.Quantile(0.95))})
	}
	return list
}

// sameTime tells whether the periods have half of the shorter one's time in common: then they are two sets of
// servers, and not two times.
func sameTime(before, after *traffic.Overview) bool {
	bFrom, bTo, ok := before.Span()
	aFrom, aTo, ok2 := after.Span()
	if !ok || !ok2 {
		return false
	}
	common := earlier(bTo, aTo).Sub(later(bFrom, aFrom))
	return common > 0 && common >= min(bTo.Sub(bFrom), aTo.Sub(aFrom))/2
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// replay is what a monitor said of the blocks, at the end; or at its first alarm, at which a gate would have acted.
func replay(before, after analysis.Baseline, o analysis.MonitorOptions) []analysis.Finding {
	o.Watch = time.Duration(len(after.Blocks)) * analysis.Block
	m := analysis.NewMonitor(before, o)
	for i, c := range after.Blocks {
		if c.Total == 0 {
			continue
		}
		m.Add(after.From.Add(time.Duration(i)*analysis.Block), c)
		if m.Alarmed() {
			return m.Findings()
		}
	}
	return m.Findings()
}

// sideBySide is what a concurrent test said, likewise.
func sideBySide(old, now analysis.Baseline, o analysis.ConcurrentOptions) analysis.Finding {
	o.Baseline = &old
	c := analysis.NewConcurrent(o)
	first := now.From.Unix() / traffic.Width
	skip := first - old.From.Unix()/traffic.Width
	for i, n := range now.Blocks {
		j := int64(i) + skip
		if j < 0 || j >= int64(len(old.Blocks)) {
			continue
		}
		c.Add(now.From.Add(time.Duration(i)*analysis.Block), old.Blocks[j], n)
		if c.Alarmed() {
			break
		}
	}
	return c.Finding()
}

// conclude is the verdict: one alarm fails; one of the error log alone, where nothing that clients see is worse, is
// degraded. To pass, the tests of 5xx must have seen enough, and nothing may be in doubt.
func conclude(findings []analysis.Finding) (analysis.Verdict, []string) {
	var alarms, warnings, doubts, lacks []string
	named := make(map[analysis.Signal]bool)
	for _, f := range findings {
		switch {
		case f.State == analysis.Alarm && warns(f):
			warnings = append(warnings, f.Words)
		case f.State == analysis.Alarm && named[f.Signal]: // by the other test
		case f.State == analysis.Alarm:
			named[f.Signal] = true
			alarms = append(alarms, fmt.Sprintf("%s, from %s on", f.Words, f.Since.Local().Format(time.DateTime)))
		case f.State == analysis.Suspect:
			doubts = append(doubts, f.Words)
		case f.State == analysis.TooLittle && f.Signal == analysis.Errors5xx && f.Test != analysis.Guard:
			lacks = append(lacks, "too little to say that 5xx are no more: "+f.Words)
			if f.Power != "" {
				lacks[len(lacks)-1] += "; unseen would go " + f.Power
			}
		}
	}
	switch {
	case len(alarms) > 0:
		return analysis.Fail, append(alarms, warnings...)
	case len(warnings) > 0:
		return analysis.Degraded, warnings
	case len(doubts) > 0:
		return analysis.Inconclusive, doubts
	case len(lacks) > 0 || len(findings) == 0:
		return analysis.Inconclusive, lacks
	}
	return analysis.Pass, []string{"no signal is worse than before"}
}

// warns tells whether a finding is of the classes of the error log that are new.
func warns(f analysis.Finding) bool {
	return f.Test == analysis.Rule && f.Signal != analysis.WorkerExits
}
