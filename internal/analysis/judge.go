package analysis

import (
	"fmt"
	"slices"
	"time"
)

const (
	critPerNew = 10 // crit lines of the new generation that are too many if the old one has fewer than half
	// A share of probes that were answered with 5xx, though their targets were not before.
	badProbes = 2 * minExcess
	// One in so many probes that graft could not send leaves the others their meaning.
	unsentShare = 100
)

// Judge says whether the evidence is enough and good: any fault fails the gate, whatever else is
// missing; then anything missing leaves it inconclusive; then what the policy only warns of leaves it
// degraded. Each reason stands for itself.
//
// Tests and rules decide as far as there are any. Of what none of them can speak, plainer bounds do: of the
// shares of 5xx where neither an hour before nor requests told apart by worker are known, and of severe
// lines where no rule has looked at them. Plain bounds never come before a test that has not decided yet: errors come
// in clumps, which only the tests allow for.
func Judge(e Evidence, p Policy) Decision {
	found := weigh(e.Findings, p)
	var shares findings
	if !e.testable(Errors5xx) {
		switch p.Action(Errors5xx) {
		case Rollback:
			shares = e.shares()
			if len(shares.worse) > 0 {
				shares.worse[0] += where(e.Findings, Errors5xx, "")
			}
		case Warn:
			found.warned = append(found.warned, e.shares().worse...)
		case Ignore:
		}
	}
	d := Decision{Warned: len(found.warned) > 0, Findings: sorted(e.Findings)}
	bad, hard := e.faults()
	switch bad, missing := slices.Concat(bad, shares.worse, found.fail), slices.Concat(e.gaps(p), shares.doubtful, found.missing, found.doubtful); {
	case len(bad) > 0:
		d.Verdict, d.Hard, d.Why = Fail, hard || found.hard, slices.Concat(bad, found.clues, found.warned)
	case len(missing) > 0:
		d.Verdict, d.Why = Inconclusive, slices.Concat(missing, found.warned)
	case len(found.warned) > 0:
		d.Verdict, d.Why = Degraded, found.warned
	default:
		d.Verdict, d.Why = Pass, e.good()
	}
	d.Why = append(d.Why, found.listed...)
	return d
}

// testable tells whether a test of the signal as a whole can come to a verdict, now or when it has seen more.
func (e Evidence) testable(s Signal) bool {
	const (
		known    = time.Hour        // of the time before: with less, A and B find next to nothing
		learning = 30 * time.Second // from days before may take that long, and nothing is told meanwhile
	)
	return e.Known >= known && e.Watched < learning || slices.ContainsFunc(e.Findings, func(f Finding) bool {
		return f.Signal == s && f.Scope == "" && f.Test != Rule && (f.State != TooLittle || f.Test == Concurrent || e.Known >= known)
	})
}

// ruled tells whether the rules for what is rare have looked: at crashes and at severe lines.
func (e Evidence) ruled() bool {
	return slices.ContainsFunc(e.Findings, func(f Finding) bool { return f.Signal == WorkerExits && f.Test == Rule })
}

// probed tells whether each probe's answers were looked at on their own.
func (e Evidence) probed() bool {
	return slices.ContainsFunc(e.Findings, func(f Finding) bool { return f.Signal == Probes && f.Test == Rule })
}

// good says what a passing gate rests on.
func (e Evidence) good() []string {
	events, lost := "no worker crashed, no alert", "none"
	if crashes, alerts := len(e.NewCrashes), e.New.Emerg+e.New.Alert; crashes > 0 || alerts > 0 {
		events = fmt.Sprintf("%d processes crashed, %d emerg or alert lines", crashes, alerts)
	}
	if e.ProbesLost > 0 {
		lost = fmt.Sprint(e.ProbesLost)
	}
	why := []string{
		fmt.Sprintf("watched for %s: %s", e.Watched.Round(time.Second), events),
		fmt.Sprintf("%d probes answered, %s lost", e.Probes, lost),
	}
	if e.Logged {
		why = append(why, "5xx: "+change(e.Before.sample(), e.After))
	} else {
		why = append(why, "no access log could be followed: the probes alone speak for the answers")
	}
	if e.Familiar > 0 {
		why = append(why, fmt.Sprintf("%d severe lines of the new binary are such as the old one wrote, and do not count", e.Familiar))
	}
	for _, f := range e.Findings {
		if f.Signal == Errors5xx && f.Scope == "" && f.Power != "" && f.Test == Sequential {
			why = append(why, "5xx: "+f.Power+" would not be seen")
		}
	}
	return slices.Concat(why, e.Attribution, e.Unobserved)
}

// faults lists what speaks against the new binary, as far as no test and no rule speaks of it. Crashes and
// lost probes are hard.
func (e Evidence) faults() (bad []string, hard bool) {
	if !e.ruled() {
		bad, hard = e.severe(), len(e.NewCrashes) > 0
	}
	if e.probed() {
		return bad, hard
	}
	if e.ProbesLost > 0 {
		hard = true
		bad = append(bad, fmt.Sprintf("%d of %d probes were lost%s", e.ProbesLost, e.Probes+e.ProbesLost, firstOf(e.ProbeNotes)))
	}
	probes := Requests{e.Probes, e.Probes5xx}
	if probes.Errors5xx >= minErrors && probes.Share() >= badProbes || sudden(0, e.RecentProbes, minDoubt) {
		bad = append(bad, fmt.Sprintf("%d of %d probes were answered with 5xx though they were not before, %d of the last %d",
			e.Probes5xx, e.Probes, e.RecentProbes.Errors5xx, e.RecentProbes.Total))
	}
	return bad, hard
}

// severe are crashes and severe lines.
func (e Evidence) severe() (bad []string) {
	if n := len(e.NewCrashes); n > 0 {
		bad = append(bad, fmt.Sprintf("%d of the new master's processes crashed: %s", n, e.NewCrashes[0]))
	}
	if n := e.New.Emerg + e.New.Alert; n > 0 {
		bad = append(bad, fmt.Sprintf("%d emerg or alert lines of the new binary in the error log%s", n, firstOf(e.Sample)))
	}
	if e.New.Crit >= critPerNew && e.New.Crit > 2*e.Old.Crit {
		bad = append(bad, fmt.Sprintf("%d crit lines of the new binary in the error log, %d of the old%s", e.New.Crit, e.Old.Crit, firstOf(e.Sample)))
	}
	return bad
}

// findings are the comparisons of the access logs in words.
type findings struct{ worse, doubtful []string }

func (e Evidence) shares() findings {
	var f findings
	for _, l := range e.Logs {
		f.add("5xx in "+l.Log, l.Before.sample(), l.After)
	}
	before, after := e.Before.sample(), e.After
	if len(e.Logs) > 0 {
		before, after = together(e.Logs)
	}
	if len(e.Logs) != 1 { // of one, all has been said
		f.add("5xx", before, after)
	}
	if sudden(before.share, e.Recent, minErrors) {
		f.worse = append(f.worse, "5xx in the last minutes: "+change(before, e.Recent))
	}
	return f
}

func (f *findings) add(what string, before sample, after Requests) {
	switch found, z := compare(before, after); found {
	case worse:
		f.worse = append(f.worse, fmt.Sprintf("%s rose: %s (z = %.1f)", what, change(before, after), z))
	case doubtful:
		f.doubtful = append(f.doubtful, fmt.Sprintf("%s may have risen: %s", what, change(before, after)))
	case fine:
	}
}

func change(before sample, after Requests) string {
	if before.n == 0 {
		return fmt.Sprintf("%.3f %% of %d requests, of nothing known before", 100*after.Share(), after.Total)
	}
	return fmt.Sprintf("%.3f %% of %d requests, before %.3f %% of %.0f", 100*after.Share(), after.Total, 100*before.share, before.n)
}

// gaps lists what is still missing for a verdict, the access logs' shares apart.
func (e Evidence) gaps(p Policy) []string {
	var missing []string
	if p.asksForNothing() {
		missing = append(missing, "the policy asks for no evidence at all, so there is none that would be enough")
	}
	if e.Watched < p.MinDuration || e.Watched <= 0 {
		missing = append(missing, fmt.Sprintf("watched for %s of %s", e.Watched.Round(time.Second), p.MinDuration))
	}
	if !e.ErrorLogged {
		missing = append(missing, "no error log could be followed: a crash would not have been seen"+firstOf(e.Unobserved))
	}
	if e.Probes < p.MinProbes {
		missing = append(missing, fmt.Sprintf("%d of %d probes answered", e.Probes, p.MinProbes))
	}
	if e.Logged && e.After.Total < p.MinRequests {
		missing = append(missing, fmt.Sprintf("%d of %d requests of clients in the access log (graft's own %d probes are not counted)", e.After.Total, p.MinRequests, e.Probes))
	}
	if e.Probes == 0 && e.After.Total == 0 {
		missing = append(missing, "neither a probe nor a request in an access log was answered")
	}
	if !e.Logged && p.MinRequests > 0 && p.MinProbes == 0 {
		missing = append(missing, "no access log could be followed and no probe was asked for"+firstOf(e.Unobserved))
	}
	if e.ProbesUnsent*unsentShare > e.Probes {
		missing = append(missing, fmt.Sprintf("%d probes could not be sent from here%s", e.ProbesUnsent, firstOf(e.ProbeNotes)))
	}
	if probes := (Requests{e.Probes, e.Probes5xx}); !e.probed() && probes.Errors5xx >= minDoubt && probes.Share() >= badProbes {
		missing = append(missing, fmt.Sprintf("%d of %d probes were answered with 5xx", e.Probes5xx, e.Probes))
	}
	return missing
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ": " + list[0]
}
