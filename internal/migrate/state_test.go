package migrate

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/journal"
)

func events(lines ...journal.Event) []journal.Event { return lines }

func line(step any, kind journal.Kind) journal.Event {
	switch s := step.(type) {
	case Action:
		return journal.Event{Step: string(s), Event: kind}
	case string:
		return journal.Event{Step: s, Event: kind}
	}
	panic("a step is an Action or one of the journal's own")
}

// An announced signal may have been sent; only a recorded success proves that the new master served.
func TestTheJournalRemembersWhatTheHostCannotShow(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []journal.Event
		want   Intent
	}{
		{"nothing yet", nil, Intent{}},
		{"USR2 was announced", events(line(Start, journal.Intent)), Intent{}},
		{"the new master did not come up", events(line(Start, journal.Intent), line(Start, journal.Failed)), Intent{}},
		{"it served", events(line(Start, journal.Intent), line(Start, journal.Done)), Intent{Verified: true}},
		{"it served, as a resume saw", events(line(Start, journal.Intent), line(Verify, journal.Intent), line(Verify, journal.Done)), Intent{Verified: true}},
		{"WINCH was announced", events(line(Start, journal.Done), line(Park, journal.Intent)), Intent{Verified: true, Winched: true}},
		{"and failed, but may have been sent", events(line(Park, journal.Intent), line(Park, journal.Failed)), Intent{Winched: true}},
		{"it turned", events(line(stepTurn, journal.Observed)), Intent{Goal: RolledBack}},
		{"HUP was announced", events(line(Park, journal.Intent), line(stepTurn, journal.Observed), line(Revive, journal.Intent)), Intent{Goal: RolledBack, Winched: true, Revived: true}},
		{"WINCH after a HUP", events(line(Revive, journal.Intent), line(Park, journal.Intent)), Intent{Winched: true}},
		{"other steps tell nothing", events(line(Stage, journal.Done), line(Withdraw, journal.Done), line(stepGate, journal.Observed), line(stepHold, journal.Observed)), Intent{}},
		{"the swap was announced", events(line(Swap, journal.Intent)), Intent{Swapped: true}},
		{"QUIT was announced", events(line(Finish, journal.Intent)), Intent{Finishing: true}},
	} {
		if diff := cmp.Diff(tt.want, memory(tt.events)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestAMigrationEndsWithItsLastRecordedEnd(t *testing.T) {
	end := func(phase Phase) journal.Event {
		return journal.Event{Step: stepEnd, Event: journal.Observed, Phase: string(phase)}
	}
	for _, tt := range []struct {
		name    string
		events  []journal.Event
		returns string
		want    Phase
		over    bool
	}{
		{"nothing done", nil, "", "", false},
		{"under way", events(line(Stage, journal.Intent)), "", "", false},
		{"finished", events(line(Finish, journal.Intent), line(Finish, journal.Done), end(Finished)), "", Finished, true},
		{"rolled back", events(line(PutBack, journal.Intent), end(RolledBack)), "", RolledBack, true},
		{"halted: a person decides first", events(end(Halted)), "", Halted, false},
		{"halted, and carried on since", events(end(Halted), line(Verify, journal.Intent)), "", "", false},
		{"finished the way back of another one", events(end(Finished)), "20261122-101112.000001", RolledBack, true},
	} {
		r := Record{Events: tt.events, Plan: Plan{Returns: tt.returns}}
		if got := r.Ended(); got != tt.want || r.Over() != tt.over {
			t.Errorf("%s: %q, over: %v, want %q, %v", tt.name, got, r.Over(), tt.want, tt.over)
		}
	}
}

func TestTheNewestMigrationIsTheCurrentOne(t *testing.T) {
	state, err := OpenState(filepath.Join(t.TempDir(), "new", "state"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.Current(); err == nil {
		t.Error("there is none, and one is current")
	}
	plan := newSite(t).plan(t)
	var last Record
	for range 3 {
		if last, err = state.Begin(plan); err != nil {
			t.Fatal(err)
		}
	}
	// What a crash in the middle of Begin leaves is no migration.
	if err := os.Mkdir(filepath.Join(state.Dir(), migrationsDir, ".20990101-000000.000000"), 0o700); err != nil {
		t.Fatal(err)
	}
	list, err := state.List()
	if err != nil || len(list) != 3 {
		t.Fatalf("%d migrations, %v, want 3", len(list), err)
	}
	if current, err := state.Current(); err != nil || current.ID != last.ID || current.Plan.ID != plan.ID {
		t.Errorf("current is %s with plan %s, %v, want %s with %s", current.ID, current.Plan.ID, err, last.ID, plan.ID)
	}
}
