package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"graft/internal/analysis"
	"graft/internal/durable"
	"graft/internal/gate"
	"graft/internal/journal"
	"graft/internal/systemd"
)

// beforeFile keeps how the instance did before it was touched.
const beforeFile = "before.json"

// baselineBytes is how much of each access log's end speaks for the time before.
const baselineBytes = 4 << 20

// before is what a gate compares with.
type before struct {
	Requests map[string]analysis.Requests `json:"requests"` // by access log
	Baseline gate.Baseline                `json:"baseline"` // by listening address
	Marks    gate.Marks                   `json:"marks"`    // where the error logs ended before USR2
	Unit     *systemd.Unit                `json:"unit,omitempty"`
}

// takeBefore measures the instance while nothing has changed, and keeps it for a resume.
func (e *Engine) takeBefore(ctx context.Context, marks gate.Marks) error {
	requests, err := e.logs.Before(baselineBytes)
	if err != nil {
		return fmt.Errorf("read the access logs: %w", err)
	}
	unit, err := e.unitBefore(ctx)
	if err != nil {
		return err
	}
	data, err := json.Marshal(before{Requests: requests, Baseline: gate.TakeBaseline(ctx, slices.Concat(e.targets, e.probes)), Marks: marks, Unit: unit})
	if err != nil {
		return err
	}
	return durable.Replace("before", filepath.Join(e.rec.Dir, beforeFile), strings.NewReader(string(data)+"\n"), durable.Private(0o600))
}

func (e *Engine) readBefore() (before, error) {
	var b before
	data, err := os.ReadFile(filepath.Join(e.rec.Dir, beforeFile))
	if err != nil {
		return b, err
	}
	return b, json.Unmarshal(data, &b)
}

// openGate is the gate of one phase while it is open.
type openGate struct {
	phase    Phase
	watch    *gate.Watch
	policy   analysis.Policy
	deadline time.Time
	evidence analysis.Evidence
	last     analysis.Verdict
	passed   bool // for good: what follows is under way
	held     bool // its deadline has passed without enough evidence
	why      []string
	steady   analysis.Steady
}

func (g *openGate) verdict() (analysis.Verdict, []string) {
	g.evidence = g.watch.Evidence()
	d := g.steady.Judge(g.evidence, g.policy)
	g.last, g.why = d.Verdict, d.Why
	return g.last, g.why
}

// expired: the gate had its time and a little more, so that evidence on its way could arrive.
func (g *openGate) expired() bool { return time.Now().After(g.deadline) }

// watch opens the phase's gate, or lets the open one see more.
func (e *Engine) watch(ctx context.Context, seen Seen) error {
	if e.gate != nil {
		e.pause(ctx)
		return nil
	}
	if _, err := e.addresses(seen.New); err != nil {
		return err
	}
	b, err := e.readBefore()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read what was before: %w", err)
	}
	length := e.opts.Overlap
	if e.phase == Parked {
		length = e.opts.Park
	}
	// A reload of the old master ends the phase for a moment: what was watched before counts.
	length -= min(length, e.watched[e.phase])
	policy := analysis.Policy{MinDuration: length, MinRequests: e.opts.MinRequests, MinProbes: minProbes(length, e.opts.ProbeRate)}
	w, err := gate.Start(context.WithoutCancel(ctx), gate.Config{
		FS: e.fs, OldMaster: seen.Old.Process, NewMaster: seen.New.Process, Logs: e.logs, Before: b.Requests,
		Targets: e.targets, Probes: e.probes, ProbeRate: e.opts.ProbeRate * float64(max(1, len(e.targets))), Baseline: b.Baseline, Log: e.log,
	})
	if err != nil {
		return err
	}
	grace := e.opts.Grace
	if grace == 0 {
		grace = max(length/10, 5*time.Second)
	}
	e.gate = &openGate{phase: e.phase, watch: w, policy: policy, deadline: time.Now().Add(length + grace)}
	return e.note("", stepGate, journal.Observed, policy)
}

// minProbes asks for half of the probes that fit into the gate's time, and for one at least.
func minProbes(length time.Duration, rate float64) int64 {
	return max(1, min(100, int64(length.Seconds()*rate/2)))
}

// closeGate ends the open gate; its last word was recorded. Its last probes may hang for seconds on
// a broken target: nothing waits for them but the end of the run.
func (e *Engine) closeGate() {
	if e.gate != nil {
		e.watched[e.gate.phase] += e.gate.evidence.Watched
		e.closing.Go(e.gate.watch.Stop)
		e.gate = nil
	}
}

// noteGate records the verdict with its evidence, once.
func (e *Engine) noteGate(v analysis.Verdict, why []string) error {
	g := Gate{Verdict: v, Why: slices.Clone(why), Evidence: &e.gate.evidence}
	return e.note("", stepGate, journal.Observed, g)
}
