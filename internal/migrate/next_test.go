package migrate

import (
	"strings"
	"testing"

	"graft/internal/analysis"
	"graft/internal/nginx"
)

// master is one with two workers that accept; the options change it.
func master(pid int, change ...func(*Master)) Master {
	m := Master{Process: nginx.Process{PID: pid, StartTime: 1}, Workers: []nginx.Process{{PID: pid + 1}, {PID: pid + 2}}}
	for _, c := range change {
		c(&m)
	}
	return m
}

// idle: its workers are gone, or on their way out.
func idle(m *Master) { m.Workers, m.Leaving = nil, m.Workers }

// quitting: it was told QUIT and has closed its sockets.
func quitting(m *Master) { m.Quitting = true }

const old, young = 10, 20 // pids

// hosts are the phases of the design as they look on the host.
var hosts = map[Phase]Seen{
	Planned:  {Disk: OldContent, Old: master(old)},
	Staged:   {Disk: OldContent, Staged: true, Begun: true, Old: master(old)},
	Swapped:  {Disk: NewContent, Staged: true, Begun: true, Old: master(old)},
	Overlap:  {Disk: NewContent, Staged: true, Begun: true, Old: master(old), New: master(young), OldBin: true},
	Parked:   {Disk: NewContent, Staged: true, Begun: true, Old: master(old, idle), New: master(young), OldBin: true},
	Finished: {Disk: NewContent, Staged: true, Begun: true, New: master(young)},
	Halted:   {Disk: OldContent, Staged: true, Begun: true, New: master(young)},
}

// on is a phase's host with something changed.
func on(phase Phase, change func(*Seen)) Seen {
	s := hosts[phase]
	change(&s)
	return s
}

func TestPhasesAreObservedOnTheHost(t *testing.T) {
	for want, seen := range hosts {
		if got, reason := seen.Phase(); got != want || (reason != "") != (want == Halted) {
			t.Errorf("%s: seen as %s (%s)", want, got, reason)
		}
	}
}

// One cell is what follows whatever the gate says, or what follows when it says inconclusive | pass | fail.
// The rows are the phases table of the design, each with what may stand in its way.
func TestNextByPhaseGoalAndVerdict(t *testing.T) {
	const gatedPark, gatedFinish = "watch | park | turn", "watch | finish | turn"
	swapped, verified := Intent{Swapped: true}, Intent{Swapped: true, Verified: true}
	winched, revived := Intent{Swapped: true, Verified: true, Winched: true}, Intent{Swapped: true, Verified: true, Winched: true, Revived: true}
	for _, row := range []struct {
		name   string
		seen   Seen
		intent Intent
		//      to overlap, parked,     finished,    rolled-back
		want [4]string
	}{
		{"planned", hosts[Planned], Intent{}, [4]string{"stage", "stage", "stage", "stop"}},
		{"staging was cut off", on(Planned, func(s *Seen) { s.Begun = true }), Intent{}, [4]string{"stage", "stage", "stage", "unstage"}},
		{"the target waits on disk for a restart", on(Planned, func(s *Seen) { s.Disk = NewContent }), Intent{}, [4]string{"stage", "stage", "stage", "stop"}},

		{"staged", hosts[Staged], Intent{}, [4]string{"swap", "swap", "swap", "unstage"}},
		{"staged, and a new master has been here", hosts[Staged], verified, [4]string{"turn", "turn", "turn", "unstage"}},

		{"swapped", hosts[Swapped], swapped, [4]string{"start", "start", "start", "put-back"}},
		{"the target was on disk already: it is not graft's to replace", hosts[Swapped], Intent{}, [4]string{"start", "start", "start", "unstage"}},
		{"staged, and the old binary was started again", on(Staged, func(s *Seen) { s.Restarted = true }), Intent{}, [4]string{"turn", "turn", "turn", "unstage"}},
		{"swapped, between fork and exec", on(Swapped, func(s *Seen) { s.Forking = true }), swapped, [4]string{"settle", "settle", "settle", "settle"}},
		{"swapped, the pid file is renamed", on(Swapped, func(s *Seen) { s.OldBin = true }), swapped, [4]string{"settle", "settle", "settle", "settle"}},
		{"swapped, and a new master has been here", hosts[Swapped], verified, [4]string{"turn", "turn", "turn", "put-back"}},
		{"swapped, the new master was killed and its workers serve on", on(Swapped, func(s *Seen) { s.Orphans = master(0) }), verified, [4]string{"turn", "turn", "turn", "release"}},
		{"swapped, these workers are on their way out", on(Swapped, func(s *Seen) { s.Orphans = master(0, idle) }), swapped, [4]string{"turn", "turn", "turn", "drain"}},
		{"the new master ended while the old one was parked", on(Swapped, func(s *Seen) { s.Old = master(old, idle) }), winched, [4]string{"rescue", "rescue", "rescue", "rescue"}},
		{"swapped, a new master in its exec, the old one without workers", on(Swapped, func(s *Seen) { s.Old, s.Forking = master(old, idle), true }), swapped, [4]string{"settle", "settle", "settle", "settle"}},

		{"overlap", hosts[Overlap], verified, [4]string{"stop", gatedPark, gatedPark, "withdraw"}},
		{"overlap, killed before it was verified", hosts[Overlap], swapped, [4]string{"verify", "verify", "verify", "withdraw"}},
		{"overlap, WINCH may be on its way", hosts[Overlap], winched, [4]string{"park", "park", "park", "settle"}},
		{"overlap, somebody put the old binary back on disk", on(Overlap, func(s *Seen) { s.Disk = OldContent }), verified, [4]string{"turn", "turn", "turn", "withdraw"}},
		{"overlap, the new master's workers are withdrawn", on(Overlap, func(s *Seen) { s.New = master(young, idle) }), verified, [4]string{"stop", gatedPark, gatedPark, "dismiss"}},
		{"overlap, the new master quits", on(Overlap, func(s *Seen) { s.New = master(young, idle, quitting) }), verified, [4]string{"stop", gatedPark, gatedPark, "drain"}},
		{"overlap again: the old workers are back", hosts[Overlap], revived, [4]string{"park", "park", "park", "dismiss"}},

		{"parked", hosts[Parked], winched, [4]string{"stop", "stop", gatedFinish, "revive"}},
		{"parked, killed before it was verified", hosts[Parked], Intent{Swapped: true, Winched: true}, [4]string{"verify", "verify", "verify", "revive"}},
		{"parked, HUP may be on its way", hosts[Parked], revived, [4]string{"stop", "stop", gatedFinish, "settle"}},
		{"parked, the new master lost its workers", on(Parked, func(s *Seen) { s.New = master(young, idle) }), winched, [4]string{"turn", "turn", "turn", "revive"}},
		{"parked, somebody put the old binary back on disk", on(Parked, func(s *Seen) { s.Disk = OldContent }), winched, [4]string{"turn", "turn", "turn", "revive"}},
		{"parked, the old master quits: no way back for it", on(Parked, func(s *Seen) { s.Old = master(old, idle, quitting) }), winched, [4]string{"drain", "drain", "drain", "drain"}},

		{"overlap, a third binary on disk", on(Overlap, func(s *Seen) { s.Disk = "" }), verified, [4]string{"halt", "halt", "halt", "withdraw"}},
		{"parked, a third binary on disk", on(Parked, func(s *Seen) { s.Disk = "" }), winched, [4]string{"halt", "halt", "halt", "revive"}},

		{"overlap, a third binary on disk", on(Overlap, func(s *Seen) { s.Disk = "" }), verified, [4]string{"halt", "halt", "halt", "withdraw"}},
		{"parked, a third binary on disk", on(Parked, func(s *Seen) { s.Disk = "" }), winched, [4]string{"halt", "halt", "halt", "revive"}},

		{"finished", hosts[Finished], winched, [4]string{"stop", "stop", "stop", "return"}},
		{"the old master was killed and its workers serve on", on(Finished, func(s *Seen) { s.Orphans = master(0) }), verified, [4]string{"release", "release", "release", "return"}},
		{"these workers are on their way out", on(Finished, func(s *Seen) { s.Orphans = master(0, idle) }), verified, [4]string{"drain", "drain", "drain", "return"}},
		{"finished, and the new master's workers were withdrawn", on(Finished, func(s *Seen) { s.New = master(young, idle) }), winched, [4]string{"rescue", "rescue", "rescue", "rescue"}},
		{"what was staged is gone, the new binary is on disk", on(Swapped, func(s *Seen) { s.Staged = false }), swapped, [4]string{"stage", "stage", "stage", "put-back"}},
		{"finished, the old master was killed and its workers serve on", on(Finished, func(s *Seen) { s.Orphans = master(0) }), winched, [4]string{"release", "release", "release", "return"}},

		{"the new binary runs, the old one is on disk", hosts[Halted], winched, [4]string{"halt", "halt", "halt", "halt"}},
		{"nobody runs", Seen{Disk: NewContent, Staged: true}, winched, [4]string{"halt", "halt", "halt", "halt"}},
		{"a third binary on disk", on(Swapped, func(s *Seen) { s.Disk = "" }), Intent{}, [4]string{"halt", "halt", "halt", "halt"}},
		{"a master that runs neither", on(Swapped, func(s *Seen) { s.Stranger = 30 }), Intent{}, [4]string{"halt", "halt", "halt", "halt"}},
		{"nothing was seen", Seen{}, Intent{}, [4]string{"halt", "halt", "halt", "halt"}},
	} {
		for g, goal := range []Phase{Overlap, Parked, Finished, RolledBack} {
			cell := strings.Split(row.want[g], " | ")
			for v, verdict := range []analysis.Verdict{analysis.Inconclusive, analysis.Pass, analysis.Fail} {
				want := Action(cell[min(v, len(cell)-1)])
				intent := row.intent
				intent.Goal = goal
				got, why := Next(row.seen, intent, verdict)
				if got != want {
					t.Errorf("%s, to %s, gate %s: %s (%s), want %s", row.name, goal, verdict, got, why, want)
				}
				if (got == Halt || got == Turn || got == Settle) && why == "" {
					t.Errorf("%s, to %s, gate %s: %s without a reason", row.name, goal, verdict, got)
				}
			}
		}
	}
}
