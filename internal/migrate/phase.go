// Package migrate puts a new binary under a running instance and takes it back.
//
// A look at the host gives Seen; Next decides, purely, on the one next action; the engine announces
// it in the journal, carries it out, waits until the host shows it, and looks again. So a process
// that was killed at any point goes on from what is really there.
package migrate

import (
	"fmt"

	"graft/internal/nginx"
)

// Phase is where a migration stands on the host. It is observed, not remembered.
type Phase string

// The phases. The zero value is none of them and lets nothing proceed.
const (
	Planned    Phase = "planned"     // nothing changed
	Staged     Phase = "staged"      // the artifact's runtime is placed, the running binary backed up
	Swapped    Phase = "swapped"     // the new binary is at the path, the old master alone
	Overlap    Phase = "overlap"     // two masters, both accept
	Parked     Phase = "parked"      // the old master holds the sockets and has no workers that accept
	Finished   Phase = "finished"    // the old master is gone
	RolledBack Phase = "rolled-back" // the old binary serves and is on disk
	Halted     Phase = "halted"      // facts contradict each other: a person decides
)

// Terminal tells whether nothing follows by itself.
func (p Phase) Terminal() bool { return p == Finished || p == RolledBack || p == Halted }

// Content is which of the two binaries a file holds, by its hash.
type Content string

// The zero Content is neither: somebody else's file, or none.
const (
	NewContent Content = "new"
	OldContent Content = "old"
	// PackageContent is a newer file of the package: it was installed during the migration and has been
	// given back its place since.
	PackageContent Content = "package"
)

// Master is one of the two masters as seen. The zero Master is gone.
type Master struct {
	nginx.Process
	Workers []nginx.Process `json:"workers,omitempty"` // those that accept
	Leaving []nginx.Process `json:"leaving,omitempty"` // those that are shutting down
	// Quitting: it has closed its listening sockets. It ends when its last connection does and can
	// never serve again.
	Quitting bool `json:"quitting,omitempty"`
}

// Alive tells whether there is such a master.
func (m Master) Alive() bool { return m.PID != 0 }

// Seen is what one look at the host found.
type Seen struct {
	Disk   Content `json:"disk"` // at the path that the old master's argv[0] names
	Staged bool    `json:"staged"`
	// Begun: staging has begun and is not, or not yet, complete.
	Begun bool `json:"begun,omitempty"`
	// Guarded: something of the package guard is up that a finished migration does not need.
	Guarded bool   `json:"guarded,omitempty"`
	Old     Master `json:"old"`
	New     Master `json:"new"`
	// Restarted: the master that runs the old binary is not the one that the plan was made on.
	Restarted bool `json:"restarted,omitempty"`
	// Forking: the old master has a child that is neither worker nor new master yet: it is between
	// fork and exec.
	Forking bool `json:"forking,omitempty"`
	// Orphans are workers of the one master that is gone: killed, it took nobody along. They go on
	// serving until they are told to go.
	Orphans Master `json:"orphans,omitzero"`
	// Stranger is a child of the old master that is a master too but runs neither binary.
	Stranger int `json:"stranger,omitempty"`
	// OldBin: the pid file is renamed, so USR2 is being carried out or was.
	OldBin bool `json:"oldbin,omitempty"`
}

// Phase names what was seen; the reason says what contradicts in Halted.
func (s Seen) Phase() (phase Phase, reason string) {
	switch {
	case !s.Old.Alive() && !s.New.Alive():
		return Halted, "neither the old nor the new master runs"
	case s.Stranger != 0:
		return Halted, fmt.Sprintf("master %d was started by the old master but runs neither the old nor the new binary", s.Stranger)
	case s.Old.Alive() && s.New.Alive() && len(s.Old.Workers) > 0:
		return Overlap, ""
	case s.Old.Alive() && s.New.Alive():
		return Parked, ""
	case s.Disk == "":
		return Halted, "the file at the binary's path is neither the old nor the new binary: somebody else changed it; graft leaves it alone"
	case s.New.Alive() && (s.Disk == NewContent || s.Disk == PackageContent):
		return Finished, ""
	case s.New.Alive():
		return Halted, "the new binary runs alone, but the old one is on disk: the next restart would bring it back"
	case !s.Staged:
		return Planned, "" // even if the target is on disk already: a package upgrade that waits for its restart
	case s.Disk == NewContent:
		return Swapped, ""
	}
	return Staged, ""
}

// left is the one master that runs; alone is false while both do.
func (s Seen) left() (left Master, alone bool) {
	if s.New.Alive() {
		return s.New, !s.Old.Alive()
	}
	return s.Old, true
}

// String shows it in a line, for journals and errors.
func (s Seen) String() string {
	phase, reason := s.Phase()
	text := fmt.Sprintf("%s: %s binary on disk, old master %s, new master %s", phase, s.Disk, s.Old, s.New)
	if reason != "" {
		text += " (" + reason + ")"
	}
	return text
}

// String shows pid and workers.
func (m Master) String() string {
	if !m.Alive() {
		return "gone"
	}
	text := fmt.Sprintf("%d with %d workers", m.PID, len(m.Workers))
	if len(m.Leaving) > 0 {
		text += fmt.Sprintf(" and %d leaving", len(m.Leaving))
	}
	if m.Quitting {
		text += ", quitting"
	}
	return text
}
