package gate

import (
	"log/slog"
	"slices"
	"time"

	"graft/internal/analysis"
	"graft/internal/nginx"
	"graft/internal/procfs"
)

const (
	// usageEvery is how often workers' memory and descriptors are looked at, at first: a leak that is fast
	// is seen within a minute.
	usageEvery = 2 * time.Second
	// maxUsage samples are kept of each generation; then every other one is dropped and they are taken half
	// as often.
	maxUsage = 256
	// usageWorkers are looked at each time at most: a host may have hundreds.
	usageWorkers = 16
	// keptOverflows is how many minutes of the kernel's counters are kept.
	keptOverflows = 60
)

// Usage is what the workers of an instance hold, one on average.
type Usage struct {
	Memory      analysis.Usage `json:"memory"`
	Descriptors analysis.Usage `json:"descriptors"`
}

// takeUsage looks at the accepting workers among those. ok is false if there are none.
func takeUsage(fs procfs.FS, workers []nginx.Process, now time.Time) (u Usage, ok bool) {
	u.Memory.At, u.Descriptors.At = now, now
	n := 0.0
	for _, w := range workers[:min(len(workers), usageWorkers)] {
		memory, err := fs.Anonymous(w.PID)
		if err != nil {
			continue // it has just ended, or the kernel does not tell
		}
		descriptors, err := fs.Descriptors(w.PID)
		if err != nil {
			continue
		}
		u.Memory.Each += float64(memory)
		u.Descriptors.Each += float64(descriptors)
		n++
	}
	if n == 0 {
		return Usage{}, false
	}
	u.Memory.Each /= n
	u.Descriptors.Each /= n
	return u, true
}

// TakeUsage is what the workers of a master hold at present; ok is false if that cannot be told.
func TakeUsage(fs procfs.FS, master nginx.Process) (u Usage, ok bool) {
	tree, err := nginx.ReadTree(fs, master.PID)
	if err != nil || tree.Master != master {
		return Usage{}, false
	}
	return takeUsage(fs, tree.Accepting(), time.Now())
}

// resources watches what the workers of both generations hold, and the kernel's counters of their network
// namespace.
type resources struct {
	fs  procfs.FS
	log *slog.Logger

	Old   []Usage       `json:"old,omitempty"`
	New   []Usage       `json:"new,omitempty"`
	Every time.Duration `json:"every"`
	Next  time.Time     `json:"next"`

	Overflows overflows `json:"overflows"`
}

// overflows counts what the kernel refused, by minutes.
type overflows struct {
	Last     int64           `json:"last"` // the counter
	Known    bool            `json:"known"`
	Expected float64         `json:"expected"` // a minute
	Minutes  map[int64]int64 `json:"minutes,omitempty"`
	failed   bool
}

func newResources(fs procfs.FS, log *slog.Logger, before *History) *resources {
	r := &resources{fs: fs, log: log, Every: usageEvery}
	if before != nil {
		r.Old = slices.Clone(before.Usage)
	}
	return r
}

// look takes a sample, if it is time.
func (r *resources) look(now time.Time, pids *generations, served int64) {
	if now.Before(r.Next) {
		return
	}
	r.Next = now.Add(r.Every)
	if u, ok := takeUsage(r.fs, pids.accepting[oldGeneration], now); ok {
		r.Old = append(r.Old, u)
	}
	if u, ok := takeUsage(r.fs, pids.accepting[newGeneration], now); ok {
		u.Memory.Requests, u.Descriptors.Requests = served, served
		r.New = append(r.New, u)
	}
	if len(r.Old) > maxUsage || len(r.New) > maxUsage {
		r.Old, r.New = thin(r.Old), thin(r.New)
		r.Every *= 2
	}
	r.count(now, pids)
}

// thin drops every other sample, and keeps the largest: it is what others are measured by.
func thin(list []Usage) []Usage {
	kept := list[:0]
	for i := 0; i < len(list); i += 2 {
		u := list[i]
		if i+1 < len(list) && list[i+1].Memory.Each > u.Memory.Each {
			u = list[i+1]
		}
		kept = append(kept, u)
	}
	return kept
}

func (r *resources) count(now time.Time, pids *generations) {
	o := &r.Overflows
	refused, err := r.fs.Refused(pids.new.PID)
	if err != nil {
		if !o.failed && !procfs.Gone(err) {
			r.log.Warn("the kernel's counters of refused connections cannot be read", "error", err)
		}
		o.failed = true
		return
	}
	o.failed = false
	n := refused.Drops // these hold the overflows, too
	if !o.Known {
		o.Known, o.Last, o.Minutes = true, n, make(map[int64]int64)
		o.Expected = perMinute(r.fs, pids, n)
	}
	minute := now.Unix() / 60
	o.Minutes[minute] += max(0, n-o.Last)
	o.Last = n
	for m := range o.Minutes {
		if m <= minute-keptOverflows {
			delete(o.Minutes, m)
		}
	}
}

// perMinute is the rate before: the counters began with the network namespace, which is as old as the host
// or, in a container, as the oldest process in it that graft knows.
func perMinute(fs procfs.FS, pids *generations, n int64) float64 {
	oldest := 1
	if same, err := fs.SameNamespace(pids.new.PID, "net"); err != nil || !same {
		oldest = pids.old.PID
	}
	age, err := fs.Age(oldest)
	if err != nil || age < time.Minute {
		return 0
	}
	return float64(n) / age.Minutes()
}

// findings are what the rules make of it.
func (r *resources) findings() []analysis.Finding {
	var list []analysis.Finding
	of := func(samples []Usage, what func(Usage) analysis.Usage) []analysis.Usage {
		var list []analysis.Usage
		for _, u := range samples {
			list = append(list, what(u))
		}
		return list
	}
	memory := func(u Usage) analysis.Usage { return u.Memory }
	descriptors := func(u Usage) analysis.Usage { return u.Descriptors }
	list = append(list,
		analysis.MemoryRule(analysis.Growth{New: of(r.New, memory), Old: of(r.Old, memory)}),
		analysis.ConnectionsRule(analysis.Growth{New: of(r.New, descriptors), Old: of(r.Old, descriptors)}))
	o := analysis.Overflows{Expected: r.Overflows.Expected}
	first, last := int64(0), int64(0)
	for m := range r.Overflows.Minutes {
		if first == 0 || m < first {
			first = m
		}
		last = max(last, m)
	}
	for m := first; r.Overflows.Known && m <= last; m++ {
		o.Minutes = append(o.Minutes, r.Overflows.Minutes[m])
	}
	return append(list, analysis.AcceptQueueRule(o))
}
