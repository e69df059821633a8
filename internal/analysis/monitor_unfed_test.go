package analysis

import (
	"testing"
	"time"
)

// A gate asks for the findings before the first request has come.
func TestAMonitorThatHasCountedNothingHasTooLittle(t *testing.T) {
	b := Baseline{From: time.Unix(1e9, 0), Blocks: []Count{{1, 100}, {0, 100}, {2, 100}}}
	for _, f := range NewMonitor(b, MonitorOptions{Signal: Errors5xx, Alpha: 0.01}).Findings() {
		if f.State != TooLittle {
			t.Errorf("%+v", f)
		}
	}
}
