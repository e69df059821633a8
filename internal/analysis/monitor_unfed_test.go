package analysis

import "testing"

// A gate asks for the findings before the first request has come.
func TestAMonitorThatHasCountedNothingHasTooLittle(t *testing.T) {
	b := Baseline{Blocks: []Count{{1, 100}, {0, 100}, {2, 100}}}
	for _, f := range NewMonitor(b, MonitorOptions{Signal: Errors5xx, Alpha: 0.01}).Findings() {
		if f.State != TooLittle {
			t.Errorf("%+v", f)
		}
	}
}
