package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"graft/internal/analysis"
	"graft/internal/durable"
)

// gatesFile keeps what of the gates outlives a run; what a gate has counted is in a file of its own.
const gatesFile = "gates.json"

// gatesEvery is how often the clock of an open gate is kept: so much is lost of it when graft is killed.
const gatesEvery = 10 * time.Second

// gateStates are the gates of one migration, over all its runs.
type gateStates struct {
	Phases map[Phase]*gateState `json:"phases"`
	Paused *Pause               `json:"paused,omitempty"`

	path  string
	saved time.Time
}

// gateState is what is known of one phase's gate.
type gateState struct {
	Watched  time.Duration   `json:"watched_ns"`            // pauses and blackouts left out
	Length   time.Duration   `json:"length_ns,omitempty"`   // as the policy has it
	Extended time.Duration   `json:"extended_ns,omitempty"` // by hand
	Steady   analysis.Steady `json:"steady"`
}

// Pause is a gate whose clock somebody has stopped.
type Pause struct {
	Since      time.Time `json:"since"`
	By         string    `json:"by,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	NoRollback bool      `json:"no_rollback,omitempty"`
}

func (p Pause) String() string {
	text := fmt.Sprintf("paused since %s by %s: %s", p.Since.Local().Format(time.DateTime), p.By, p.Reason)
	if p.NoRollback {
		text += " (no comparison rolls back meanwhile; crashes and lost probes do)"
	}
	return text
}

func readGates(path string) (gateStates, error) {
	g := gateStates{path: path, Phases: make(map[Phase]*gateState)}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err != nil {
		return g, fmt.Errorf("read the gates' clocks: %w", err)
	}
	if err := json.Unmarshal(data, &g); err != nil {
		return g, fmt.Errorf("read the gates' clocks: %s: %w", path, err)
	}
	return g, nil
}

func (g *gateStates) of(phase Phase) *gateState {
	if g.Phases[phase] == nil {
		g.Phases[phase] = new(gateState)
	}
	return g.Phases[phase]
}

func (g *gateStates) save() error {
	data, err := json.Marshal(g)
	if err != nil {
		return err
	}
	g.saved = time.Now()
	if err := durable.Replace("gates", g.path, strings.NewReader(string(data)+"\n"), durable.Private(0o600)); err != nil {
		return fmt.Errorf("keep the gates' clocks: %w", err)
	}
	return nil
}

// saveDue saves if it is time to.
func (g *gateStates) saveDue() error {
	if time.Since(g.saved) < gatesEvery {
		return nil
	}
	return g.save()
}

// stateOf is where the gate of a phase keeps what it has counted.
func (r Record) stateOf(phase Phase) string {
	return filepath.Join(r.Dir, "gate-"+string(phase)+".json")
}
