package analysis

import (
	"encoding/json"
	"fmt"
)

type savedMonitor struct {
	Options  MonitorOptions `json:"options"`
	Level    level          `json:"level"`
	Engine   sequential     `json:"engine"`
	Guard    guard          `json:"guard"`
	Pending  [open]Count    `json:"pending"`
	Newest   int64          `json:"newest"`
	Started  int64          `json:"started"`
	Seen     Count          `json:"seen"`
	Late     Count          `json:"late"`
	Blocks   float64        `json:"blocks"`
	Requests float64        `json:"requests"`
	Expected float64        `json:"expected"`
	Entered  float64        `json:"entered"`
	Past     past           `json:"past"`
	Wobble   wobble         `json:"wobble"`
	States   [2]standing    `json:"states"`
}

// MarshalJSON saves all that it knows, the baseline's blocks left out.
func (m *Monitor) MarshalJSON() ([]byte, error) {
	return json.Marshal(savedMonitor{m.options, m.level, m.engine, m.guard, m.pending, m.newest, m.started, m.seen, m.late, m.blocks, m.requests, m.expected, m.entered, m.past, m.wobble, m.states})
}

// UnmarshalJSON restores it.
func (m *Monitor) UnmarshalJSON(data []byte) error {
	var s savedMonitor
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("restore a monitor: %w", err)
	}
	*m = Monitor{s.Options, s.Level, s.Engine, s.Guard, s.Pending, s.Newest, s.Started, s.Seen, s.Late, s.Blocks, s.Requests, s.Expected, s.Entered, s.Past, s.Wobble, s.States}
	return nil
}
