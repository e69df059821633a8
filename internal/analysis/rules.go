package analysis

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// What is rare is counted, not compared: the rules below speak of single events and of trends. They are
// functions of what was counted; whether an alarm turns a migration around is the policy's.

// Events are what happened to single processes, with what is known of the time before.
type Events struct {
	At      []time.Time   // of the new generation, oldest first
	Watched time.Duration // for how long
	Last    string        // the last one, in nginx's words

	Before      []time.Time   // of the old generation and the days before, oldest first
	BeforeKnown time.Duration // how long a time that tells of; 0: nothing is known
}

const (
	eventWindow = 10 * time.Minute
	// What happens so much more often than before is no chance, if the evidence is that strong.
	eventRise   = 5
	eventNeeded = 1000
)

// ExitRule: workers that ended by a signal. The first one is too many where there was none before; else
// two in ten minutes, or more than there ever were in ten minutes.
func ExitRule(e Events) Finding {
	least := 2
	if len(e.Before) == 0 {
		least = 1
	}
	return e.rule(WorkerExits, "ended by a signal", least)
}

// RestartRule: workers that ended without a signal and without being asked to.
func RestartRule(e Events) Finding { return e.rule(Restarts, "ended unasked", 3) }

func (e Events) rule(signal Signal, what string, least int) Finding {
	f := Finding{
		Signal: signal, Test: Rule, State: Quiet,
		Before: Count{Bad: int64(len(e.Before))}, After: Count{Bad: int64(len(e.At))}, Needed: eventNeeded,
	}
	worst, usual := densest(e.At), densest(e.Before)
	f.Evidence = e.evidence()
	switch {
	case worst >= max(least, usual+1), f.Evidence >= eventNeeded:
		f.State = Alarm
	case worst >= least, f.Evidence >= math.Sqrt(eventNeeded):
		f.State = Suspect
	case e.Watched <= 0:
		f.State = TooLittle
	}
	f.Words = fmt.Sprintf("workers of the new binary that %s: %d in %s, %d within 10 min at most; before: %s",
		what, len(e.At), round(e.Watched), worst, e.before())
	if len(e.At) > 0 {
		f.Since = e.At[0]
		f.Words += " (" + e.Last + ")"
	}
	return f
}

func (e Events) before() string {
	if e.BeforeKnown <= 0 && len(e.Before) == 0 {
		return "nothing is known"
	}
	return fmt.Sprintf("%d in %s", len(e.Before), round(e.BeforeKnown))
}

// evidence is how much likelier the events are if they come five times as often as before.
func (e Events) evidence() float64 {
	if e.BeforeKnown <= 0 || len(e.At) < 2 {
		return 0
	}
	expected := float64(len(e.Before)+1) * e.Watched.Seconds() / e.BeforeKnown.Seconds()
	return math.Exp(math.Min(float64(len(e.At))*math.Log(eventRise)-(eventRise-1)*expected, 60))
}

// densest is the most events within ten minutes.
func densest(at []time.Time) int {
	most, from := 0, 0
	for i := range at {
		for at[i].Sub(at[from]) > eventWindow {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// Unseen is a class of the error log that only the new generation writes.
type Unseen struct {
	Class  string // its template, for people
	Level  string
	Severe bool // crit, alert or emerg
	Lines  int64
	// Seconds counts the different seconds in which it was written: what one client sets off comes at once.
	Seconds int64
	First   time.Time
	Sample  string // a line of it

	After  time.Duration // how long the new generation was watched
	Before time.Duration // how long a time is known in which nobody wrote it
}

const (
	unseenSeconds = 3
	unseenNeeded  = 10_000 // there are many classes
)

// UnseenRule: a class never seen before. A severe one is worth telling at its first line; others need to
// come so often that the time before would hardly have been without them.
func UnseenRule(signal Signal, u Unseen) Finding {
	f := Finding{
		Signal: signal, Scope: u.Class, Test: Rule, State: Quiet, Since: u.First,
		After: Count{Bad: u.Lines}, Needed: unseenNeeded,
	}
	after := math.Max(u.After.Seconds(), 1)
	f.Evidence = math.Exp(math.Min(float64(u.Seconds)*math.Log((u.Before.Seconds()+after)/after), 60))
	switch {
	case u.Severe, u.Seconds >= unseenSeconds && f.Evidence >= unseenNeeded:
		f.State = Alarm
	case u.Seconds >= unseenSeconds && f.Evidence >= math.Sqrt(unseenNeeded):
		f.State = Suspect
	}
	f.Words = fmt.Sprintf("the error log has a class of lines (%s) that only the new binary writes: %d in %s, in %d different seconds; none in %s before: %s",
		u.Level, u.Lines, round(u.After), u.Seconds, round(u.Before), u.Sample)
	return f
}

// VolumeMinute is how many requests came in one minute, and at the same time of the days before; -1: not known.
type VolumeMinute struct {
	At        time.Time
	Now       int64
	Yesterday int64
	DayBefore int64
}

const (
	volumeMinutes = 5
	volumeShare   = 0.5
	volumeLeast   = 100 // requests in the five minutes of each day before, to speak of a volume
)

// VolumeRule: traffic that stays away. It may have reasons of its own, so that it alarms only together with
// failing probes.
func VolumeRule(minutes []VolumeMinute, probesFail bool) Finding {
	f := Finding{Signal: Volume, Test: Rule, Words: "volume: there are no five minutes to compare with both days before yet"}
	if len(minutes) < volumeMinutes {
		return f
	}
	last := minutes[len(minutes)-volumeMinutes:]
	var now, yesterday, before int64
	for _, m := range last {
		if m.Yesterday < 0 || m.DayBefore < 0 {
			f.Words = "volume: the days before are not known at this time of the day"
			return f
		}
		now, yesterday, before = now+m.Now, yesterday+m.Yesterday, before+m.DayBefore
	}
	f.Since, f.State = last[0].At, Quiet
	f.Before, f.After = Count{Total: yesterday}, Count{Total: now}
	f.Words = fmt.Sprintf("volume: %d requests in the last 5 min, at this time yesterday %d, the day before %d", now, yesterday, before)
	switch least := min(yesterday, before); {
	case least < volumeLeast:
		f.State = TooLittle
	case float64(now) >= volumeShare*float64(least):
	case probesFail:
		f.State = Alarm
		f.Words += "; and probes fail"
	default:
		f.State = Suspect
		f.Words += "; but probes are answered"
	}
	return f
}

// Overflows are what the kernel did not let through to listening sockets, minute by minute, oldest first.
type Overflows struct {
	Minutes  []int64
	Expected float64 // a minute, as before
}

const (
	overflowMinutes = 5
	overflowFull    = 3  // minutes of the five that must have some
	overflowLeast   = 20 // in the five
	overflowRise    = 10
)

// AcceptQueueRule: the accept queue overflows again and again, far above the rate before. One burst, as of
// a start, is none.
func AcceptQueueRule(o Overflows) Finding {
	f := Finding{Signal: AcceptQueue, Test: Rule, State: Quiet}
	if len(o.Minutes) == 0 {
		f.State = TooLittle
	}
	var all int64
	alarm, suspect := false, false
	for i, n := range o.Minutes {
		all += n
		last := o.Minutes[max(0, i+1-overflowMinutes) : i+1]
		var sum int64
		full := 0
		for _, n := range last {
			sum += n
			if n > 0 {
				full++
			}
		}
		expected := o.Expected * float64(len(last))
		if float64(sum) >= overflowLeast+overflowRise*expected {
			alarm = alarm || full >= overflowFull
			suspect = true
		}
	}
	switch {
	case alarm:
		f.State = Alarm
	case suspect:
		f.State = Suspect
	}
	f.After.Bad = all
	f.Words = fmt.Sprintf("accept queue: the kernel refused or dropped %d connections in %d min, %.2f a minute before", all, len(o.Minutes), o.Expected)
	return f
}

// Usage is what the workers of one generation hold at a time, one worker on average.
type Usage struct {
	At       time.Time
	Each     float64 // bytes, or descriptors
	Requests int64   // served since it is watched, by all; 0 where that is not known
}

// Growth is how a generation's workers grow.
type Growth struct {
	New []Usage // oldest first
	// Old are samples of the old workers: those before the swap, and those meanwhile.
	Old []Usage
}

const (
	growthWindows = 5
	growthSamples = 3 // in each
	growthSpan    = 30 * time.Second
)

// growthLimits say what is growth and what is warming up.
type growthLimits struct {
	signal Signal
	what   string
	// A worker that has grown past factor times what the old ones hold, by floor at least, is no longer
	// warming up, if it goes on growing as it did.
	factor, floor float64
	show          func(float64) string
}

// MemoryRule: new workers grow beyond what old ones hold, and do not slow down. A fresh worker grows, too,
// while its Lua code is compiled and its caches fill, but ever more slowly, and towards the old ones' size.
func MemoryRule(g Growth) Finding {
	return g.rule(growthLimits{Memory, "memory", 1.5, 16 << 20, func(x float64) string { return fmt.Sprintf("%.1f MB", x/(1<<20)) }})
}

// ConnectionsRule: new workers hold ever more descriptors, far beyond what old ones had.
func ConnectionsRule(g Growth) Finding {
	return g.rule(growthLimits{Connections, "connections", 3, 200, func(x float64) string { return fmt.Sprintf("%.0f descriptors", x) }})
}

func (g Growth) rule(l growthLimits) Finding {
	f := Finding{Signal: l.signal, Test: Rule}
	if len(g.New) < growthWindows*growthSamples || len(g.Old) == 0 {
		f.Words = fmt.Sprintf("%s: new workers were looked at %d times, old ones %d times", l.what, len(g.New), len(g.Old))
		return f
	}
	first, last := g.New[0], g.New[len(g.New)-1]
	span := last.At.Sub(first.At)
	f.Since = last.At
	usual := most(g.Old)
	f.Words = fmt.Sprintf("%s: a new worker holds %s, an old one held %s at most", l.what, l.show(last.Each), l.show(usual))
	if span < growthSpan {
		return f
	}
	f.State = Quiet
	medians := windowMedians(g.New)
	if !steady(medians) {
		return f
	}
	grown := medians[len(medians)-1] - medians[0]
	meanwhile := g.oldMeanwhile(first.At, last.At)
	f.Words += fmt.Sprintf("; it has grown by %s in %s and does not slow down%s", l.show(grown), round(span), g.perRequest(l, first, last))
	switch now := medians[len(medians)-1]; {
	case grown < l.floor || meanwhile >= grown/2:
		f.Words += fmt.Sprintf(", old ones by %s meanwhile", l.show(meanwhile))
	case now >= l.factor*usual && now-usual >= l.floor:
		f.State = Alarm
	case now >= usual+l.floor:
		f.State = Suspect
	}
	return f
}

// perRequest tells what each request leaves behind.
func (g Growth) perRequest(l growthLimits, first, last Usage) string {
	if served := last.Requests - first.Requests; served > 0 && l.signal == Memory {
		return fmt.Sprintf(" (%.1f kB with each of %d requests, all workers together taken as one)", (last.Each-first.Each)/float64(served)/1024, served)
	}
	return ""
}

// steady: it grows from each window to the next, and at the end no slower than at half the pace before.
func steady(medians []float64) bool {
	var before float64
	steps := len(medians) - 1
	for i := range steps {
		step := medians[i+1] - medians[i]
		if step <= 0 {
			return false
		}
		if i < steps-1 {
			before += step / float64(steps-1)
		}
	}
	return medians[steps]-medians[steps-1] >= before/2
}

// windowMedians cuts the time into equal windows. One without a sample takes the value before it: no growth.
func windowMedians(samples []Usage) []float64 {
	var in [growthWindows][]float64
	from, span := samples[0].At, samples[len(samples)-1].At.Sub(samples[0].At)
	for _, s := range samples {
		i := int(float64(s.At.Sub(from)) / float64(span+1) * growthWindows)
		in[i] = append(in[i], s.Each)
	}
	medians := make([]float64, growthWindows)
	for i, values := range in {
		if len(values) == 0 {
			if i > 0 {
				medians[i] = medians[i-1]
			}
			continue
		}
		slices.Sort(values)
		medians[i] = values[len(values)/2]
	}
	return medians
}

func most(samples []Usage) float64 {
	largest := 0.0
	for _, s := range samples {
		largest = math.Max(largest, s.Each)
	}
	return largest
}

// oldMeanwhile is by how much the old workers grew in that time, 0 if they were gone.
func (g Growth) oldMeanwhile(from, to time.Time) float64 {
	var first, last *Usage
	for i := range g.Old {
		if s := &g.Old[i]; !s.At.Before(from) && !s.At.After(to) {
			if first == nil {
				first = s
			}
			last = s
		}
	}
	if first == nil || last.At.Sub(first.At) < to.Sub(from)/2 {
		return 0
	}
	// Of a part of the time, as if it had gone on so.
	return math.Max(0, last.Each-first.Each) * float64(to.Sub(from)) / float64(last.At.Sub(first.At))
}

func round(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	case d >= time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}
