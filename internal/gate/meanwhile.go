package gate

import (
	"fmt"

	"graft/internal/analysis"
)

const (
	meanwhileLeast = 10  // bad ones of the old workers, to speak of their share
	meanwhileShare = 0.5 // of the new ones' share: then both fare alike
)

// meanwhile takes back what a comparison with the days before says, where old workers fare no better at the
// same time: a slow upstream or a busy host is no fault of the new binary. What a new binary does to both,
// by burdening the host, is seen while it serves alone.
func meanwhile(f analysis.Finding, together *analysis.ConcurrentTest) analysis.Finding {
	if together == nil || f.State != analysis.Alarm && f.State != analysis.Suspect {
		return f
	}
	both := together.Finding()
	old, now := together.Compared()
	if both.State == analysis.Alarm || old.Bad < meanwhileLeast || old.Share() < meanwhileShare*now.Share() {
		return f
	}
	f.State, old, now = analysis.Quiet, both.Before, both.After
	f.Words += fmt.Sprintf("; old workers fare no better at the same time: %.2f %% of %d requests, new ones %.2f %% of %d",
		100*old.Share(), old.Total, 100*now.Share(), now.Total)
	return f
}
