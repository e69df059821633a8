package analysis

import (
	"encoding/json"
	"fmt"
)

type savedConcurrent struct {
	Options ConcurrentOptions              `json:"options"`
	Wealth  [len(concurrentRatios)]float64 `json:"wealth"`
	Begun   bool                           `json:"begun"`
	Old     Count                          `json:"old"`
	New     Count                          `json:"new"`
	State   standing                       `json:"state"`
	Alike   float64                        `json:"alike"`
}

// MarshalJSON saves all that it knows.
func (c *ConcurrentTest) MarshalJSON() ([]byte, error) {
	return json.Marshal(savedConcurrent{c.options, c.wealth, c.begun, c.old, c.now, c.state, c.alike})
}

// UnmarshalJSON restores it.
func (c *ConcurrentTest) UnmarshalJSON(data []byte) error {
	var s savedConcurrent
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("restore a concurrent test: %w", err)
	}
	*c = ConcurrentTest{s.Options, s.Wealth, s.Begun, s.Old, s.New, s.State, s.Alike}
	return nil
}
