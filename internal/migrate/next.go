package migrate

import "graft/internal/analysis"

// Intent is what was wanted and what is known to have been tried: the journal's part in a decision.
type Intent struct {
	Goal Phase // Overlap, Parked, Finished or RolledBack
	// Verified: the new master was once seen up and answering. If it is gone later while the old
	// one lives, it ended by itself.
	Verified bool
	// Swapped: putting the new binary at the path was announced. Without it, what lies there is not
	// graft's: a package upgrade that waits for its restart, or another instance's.
	Swapped bool
	// Finishing: QUIT was announced for the old master.
	Finishing bool
	// Winched: WINCH was announced for the old master, so its workers may be leaving even while some
	// still accept.
	Winched bool
	// Revived: HUP was announced for the old master, to bring its workers back. A second one would
	// double them.
	Revived bool
	// Relaxed: what of the package guard ends with the migration was to be taken back once. A failure
	// there is no reason to give up a finished migration.
	Relaxed bool
}

// Action is the one thing to do next.
type Action string

// The actions. The zero value is Halt's equal: nothing is done.
const (
	Stage    Action = "stage"    // place the runtime, back up the running binary
	Swap     Action = "swap"     // put the new binary at the path
	Start    Action = "start"    // USR2 to the old master, and see that the new one serves
	Verify   Action = "verify"   // see that the new master serves, where a killed graft left that open
	Watch    Action = "watch"    // let the gate see more
	Park     Action = "park"     // WINCH to the old master
	Finish   Action = "finish"   // QUIT to the old master
	Revive   Action = "revive"   // HUP to the old master: its workers come back
	Withdraw Action = "withdraw" // WINCH to the new master
	Dismiss  Action = "dismiss"  // QUIT to the new master
	Release  Action = "release"  // QUIT to workers that have lost their master
	Rescue   Action = "rescue"   // HUP to the one master that is left, which has no workers
	PutBack  Action = "put-back" // put the old binary back at the path
	Unstage  Action = "unstage"  // remove what stage placed, but for the backup
	Unguard  Action = "unguard"  // take back what of the package guard is no longer needed
	Settle   Action = "settle"   // something sent earlier may still be being carried out: look again, for a while
	Drain    Action = "drain"    // a master that was told to go ends with its last connection: wait, however long
	Return   Action = "return"   // finished already: going back is a migration of its own
	Stop     Action = "stop"     // the goal is reached
	Turn     Action = "turn"     // give up and roll back
	Halt     Action = "halt"     // facts contradict each other
)

// Next decides. It is pure: what is on the host, what was wanted, what the gate says.
func Next(seen Seen, intent Intent, verdict analysis.Verdict) (Action, string) {
	phase, reason := seen.Phase()
	if phase == Halted {
		return Halt, reason
	}
	// A parked old master brings its workers back by itself when the new one ends; not if that ended
	// just before WINCH. A second reload does no harm.
	if left, alone := seen.left(); alone && len(left.Workers) == 0 && !left.Quitting && !seen.Forking && !seen.OldBin {
		return Rescue, ""
	}
	if intent.Goal == RolledBack {
		return back(seen, phase, intent)
	}
	return forward(seen, phase, intent, verdict)
}

func forward(seen Seen, phase Phase, intent Intent, verdict analysis.Verdict) (Action, string) {
	switch phase {
	case Planned, Staged, Swapped:
		switch {
		case intent.Verified:
			return Turn, "the new master is gone although nobody asked it to go"
		case seen.Restarted:
			return Turn, "the old binary was started again since the plan was made"
		}
	case Overlap, Parked:
		switch seen.Disk {
		case OldContent:
			return Turn, "the old binary is back on disk: somebody else put it there"
		case "":
			return Halt, "the file at the binary's path is neither the old nor the new binary: somebody else changed it; both masters are left as they are"
		}
	}
	switch phase {
	case Planned:
		return Stage, ""
	case Staged:
		return Swap, ""
	case Swapped:
		switch {
		case seen.Forking || seen.OldBin:
			return Settle, "USR2 is being carried out"
		case len(seen.Orphans.Workers)+len(seen.Orphans.Leaving) > 0:
			return Turn, "workers of the new binary run without their master"
		}
		return Start, ""
	case Overlap:
		switch {
		case !intent.Verified:
			return Verify, ""
		case intent.Winched:
			return Park, "" // once more: it is harmless, and the first may not have been sent
		case intent.Goal == Overlap:
			return Stop, ""
		}
		return gated(verdict, Park)
	case Parked:
		switch {
		case seen.Old.Quitting:
			return Drain, ""
		case len(seen.New.Workers) == 0:
			return Turn, "the new master has no workers: all have crashed, or were told to go"
		case !intent.Verified:
			return Verify, ""
		case intent.Goal == Overlap || intent.Goal == Parked:
			return Stop, ""
		}
		return gated(verdict, Finish)
	case Finished:
		switch {
		case len(seen.Orphans.Workers) > 0:
			return Release, ""
		case len(seen.Orphans.Leaving) > 0:
			return Drain, ""
		case seen.Guarded && !intent.Relaxed:
			return Unguard, ""
		}
		return Stop, ""
	}
	return Halt, "unknown phase " + string(phase)
}

// gated lets pass only what the gate has passed.
func gated(verdict analysis.Verdict, pass Action) (Action, string) {
	switch verdict {
	case analysis.Pass:
		return pass, ""
	case analysis.Fail:
		return Turn, "the gate failed"
	}
	return Watch, ""
}

// back goes the way of the trap rollback-order: the old master's workers answer before the new one is
// told to go, and the binary is put back when nothing runs the new one any more.
func back(seen Seen, phase Phase, intent Intent) (Action, string) {
	switch phase {
	case Planned:
		switch {
		case intent.Swapped && seen.Disk == NewContent:
			return PutBack, "" // what was staged is gone; the backup may still be there
		case seen.Begun:
			return Unstage, ""
		}
		return Stop, ""
	case Staged:
		return Unstage, ""
	case Swapped:
		switch {
		case seen.Forking || seen.OldBin:
			return Settle, "USR2 is being carried out, or the old master is taking its pid file back"
		case seen.Old.Quitting:
			return Drain, "" // nobody is left then, and only a start of the service helps
		case intent.Winched && len(seen.Old.Leaving) > 0 && len(seen.Orphans.Workers) > 0:
			return Settle, "the old master's workers may be leaving still; others come by themselves"
		case len(seen.Orphans.Workers) > 0:
			return Release, ""
		case len(seen.Orphans.Leaving) > 0:
			return Drain, ""
		case !intent.Swapped:
			return Unstage, ""
		}
		return PutBack, ""
	case Overlap:
		switch {
		case seen.New.Quitting:
			return Drain, ""
		case intent.Winched && !intent.Revived:
			return Settle, "the old master's workers are leaving; they are brought back when they are gone"
		case !intent.Revived && len(seen.New.Workers) > 0:
			return Withdraw, ""
		}
		return Dismiss, ""
	case Parked:
		switch {
		case seen.Old.Quitting:
			return Drain, "" // it has closed its sockets for good: the way back is a migration of its own
		case intent.Revived:
			return Settle, "the old master's workers are coming back"
		}
		return Revive, ""
	case Finished:
		return Return, ""
	}
	return Halt, "unknown phase " + string(phase)
}
