package analysis

import (
	"encoding/json"
	"fmt"
	"time"
)

type savedConcurrent struct {
	Options ConcurrentOptions  `json:"options"`
	Wealth  [len(bets)]float64 `json:"wealth"`
	Entered float64            `json:"entered"`
	Clumps  clumps             `json:"clumps"`
	Old     Count              `json:"old"`
	New     Count              `json:"new"`
	Served  [2]Count           `json:"served"`
	OpenOld Count              `json:"open_old"`
	OpenNew Count              `json:"open_new"`
	Block   int64              `json:"block"`
	State   standing           `json:"state"`
	Begun   time.Time          `json:"begun"`
}

// MarshalJSON saves all that it knows.
func (c *ConcurrentTest) MarshalJSON() ([]byte, error) {
	return json.Marshal(savedConcurrent{c.options, c.wealth, c.entered, c.clumps, c.old, c.now, c.served, c.openOld, c.openNew, c.block, c.state, c.begun})
}

// UnmarshalJSON restores it.
func (c *ConcurrentTest) UnmarshalJSON(data []byte) error {
	var s savedConcurrent
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("restore a concurrent test: %w", err)
	}
	*c = ConcurrentTest{s.Options, s.Wealth, s.Entered, s.Clumps, s.Old, s.New, s.Served, s.OpenOld, s.OpenNew, s.Block, s.State, s.Begun}
	return nil
}
