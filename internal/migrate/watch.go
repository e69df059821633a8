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
	targets := slices.Concat(e.targets, e.probes)
	baseline := gate.TakeBaseline(ctx, targets)
	if left := baseline.Unprobed(targets); len(left) > 0 {
		if err := e.note("", stepProbes, journal.Observed, Unprobed{left}); err != nil {
			return err
		}
	}
	data, err := json.Marshal(before{Requests: requests, Baseline: baseline, Marks: marks, Unit: unit})
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
	days, err := e.days()
	if err != nil {
		return err
	}
	p, length, state := e.opts.Policy, e.opts.length(e.phase), e.gates.of(e.phase)
	state.Length = length
	// Each of the two gates has half of the false alarms that are allowed.
	w, err := gate.Start(context.WithoutCancel(ctx), gate.Config{
		FS: e.fs, OldMaster: seen.Old.Process, NewMaster: seen.New.Process, Logs: e.logs, Before: b.Requests,
		Targets: e.targets, Probes: e.probes, ProbeRate: p.Probes.Rate * float64(max(1, len(e.targets))), Baseline: b.Baseline, Log: e.log,
		History: days, Alpha: p.Alpha / 2, Margin: p.Margin, Margins: p.Margins(), Blackout: e.blackouts, Length: length, State: e.rec.stateOf(e.phase),
	})
	if err != nil {
		return err
	}
	// What was watched before, by a graft that was killed or until a reload of the old master ended the
	// phase for a moment, counts.
	left := length + state.Extended - min(state.Watched, length+state.Extended)
	e.gate = &openGate{phase: e.phase, watch: w, policy: p.Gate(length), looked: time.Now(), allowed: left + e.opts.grace(length) - state.Extended}
	asked := e.gate.policy
	asked.MinDuration += state.Extended
	return e.note("", stepGate, journal.Observed, asked)
}

// closeGate ends the open gate; its last word was recorded. Its last probes may hang for seconds on
// a broken target: nothing waits for them but the end of the run.
func (e *Engine) closeGate() {
	if e.gate != nil {
		e.closing.Go(e.gate.watch.Stop)
		e.gate = nil
		if err := e.gates.save(); err != nil {
			e.log.Warn("a gate's clock", "error", err) // at worst it watches for longer
		}
	}
}
