package analysis

import (
	"encoding/json"
	"testing"
	"time"
)

var start = time.Unix(1_790_000_000, 0).UTC()

func flat(blocks int, c Count) Baseline {
	b := Baseline{From: start.Add(-time.Duration(blocks) * Block)}
	for range blocks {
		b.Blocks = append(b.Blocks, c)
	}
	return b
}

func TestAMonitorThatIsRestoredGoesOn(t *testing.T) {
	m := NewMonitor(flat(17280, Count{1, 1000}), MonitorOptions{Signal: Errors5xx})
	for i := range 100 {
		m.Add(start.Add(time.Duration(i)*Block), Count{2, 1000})
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var again Monitor
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	for i := 100; i < 200; i++ {
		m.Add(start.Add(time.Duration(i)*Block), Count{9, 1000})
		again.Add(start.Add(time.Duration(i)*Block), Count{9, 1000})
	}
	for i, f := range m.Findings() {
		t.Log(f)
		if g := again.Findings()[i]; f != g {
			t.Errorf("%v, restored %v", f, g)
		}
	}
}

func TestAMonitorThatHasCountedNothingHasTooLittle(t *testing.T) {
	b := Baseline{From: time.Unix(1_700_000_000, 0), Blocks: []Count{{Bad: 1, Total: 1000}, {Bad: 0, Total: 900}}}
	for _, f := range NewMonitor(b, MonitorOptions{Signal: Errors5xx}).Findings() {
		if f.State != TooLittle {
			t.Errorf("%s is %q before anything was counted: %s", f.Test, f.State, f.Words)
		}
	}
}
