package migrate

import (
	"encoding/json"
	"testing"
	"time"

	"graft/internal/guard"
	"graft/internal/journal"
	"graft/internal/procfs"
)

func TestOneSlowLookDoesNotMakeTheGuardsLookLate(t *testing.T) {
	for _, tt := range []struct{ took, before, want time.Duration }{
		{time.Millisecond, time.Millisecond, guardPeriod},
		{time.Second, 0, guardPeriod}, // the first
		{time.Second, time.Millisecond, guardPeriod},
		{50 * time.Millisecond, 60 * time.Millisecond, 5 * time.Second},
		{time.Second, time.Second, guardLatest},
	} {
		if got := pause(tt.took, tt.before); got != tt.want {
			t.Errorf("after looks of %s and %s: %s, want %s", tt.before, tt.took, got, tt.want)
		}
	}
}

func TestWorkersOfAParkedMasterAreSomebodyElsesDoing(t *testing.T) {
	event := func(step Action, kind journal.Kind) journal.Event {
		return journal.Event{Step: string(step), Event: kind}
	}
	parked := []journal.Event{event(Park, journal.Intent), event(Park, journal.Done)}
	for _, tt := range []struct {
		name   string
		events []journal.Event
		want   bool
	}{
		{"never parked", nil, false},
		{"WINCH may not have been sent", parked[:1], false},
		{"parked", parked, true},
		{"parked, and guards told of something", append(parked, journal.Event{Step: stepGuard, Event: journal.Observed}), true},
		{"brought back by graft", append(parked, event(Revive, journal.Intent)), false},
		{"parked again, on the way", append(parked, event(Park, journal.Intent)), false},
	} {
		if got := wasParked(tt.events); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestUSR1IsRememberedOnceItWasSentForSure(t *testing.T) {
	stale := guard.Stale{Master: 10, Path: "/l/access.log", From: procfs.FileID{Inode: 1}, To: procfs.FileID{Inode: 2}}
	data, err := json.Marshal([]guard.Stale{stale})
	if err != nil {
		t.Fatal(err)
	}
	events := []journal.Event{{Step: stepReopen, Event: journal.Intent, Data: data}, {Step: stepReopen, Event: journal.Done}}
	for n, want := range map[int]bool{0: false, 1: false, 2: true} {
		if got := newGuards(procfs.New("/proc"), Record{}, events[:n]).told[stale.Key()]; got != want {
			t.Errorf("after %d events: %v, want %v", n, got, want)
		}
	}
}
