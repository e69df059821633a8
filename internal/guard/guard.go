// Package guard watches for the traps that show only while an old and a new master live side by side:
// in the overlap, and for the hours or days of the park.
//
// A look at the host gives a Sight; Judge, which is pure, says what that means and what follows; the
// migration acts. A guard never signals a process.
package guard

import (
	"fmt"
	"time"

	"graft/internal/nginx"
	"graft/internal/procfs"
)

// The guards, by their traps.
const (
	Reuseport   = "reuseport-blackhole"
	HupOld      = "hup-old-doubles"
	LogRotation = "log-rotation"
	Package     = "package-manager"
	ConfigDrift = "config-drift"
)

// Consequence is what follows from a finding.
type Consequence string

// The consequences.
const (
	Warn Consequence = "warn" // it is told
	Act  Consequence = "act"  // the masters that hold rotated logs are told to reopen them
	Turn Consequence = "turn" // an outage is at hand: go back
	Halt Consequence = "halt" // a person decides between the options of the remedy
)

// severities are the consequences in the words of preflight.
var severities = map[Consequence]string{Warn: "warning", Act: "warning", Turn: "blocker", Halt: "blocker"}

// Finding is a trap that shows.
type Finding struct {
	ID       string      `json:"id"` // the trap
	Severity string      `json:"severity"`
	Follows  Consequence `json:"follows"`
	Evidence string      `json:"evidence"` // what was seen, and where
	Remedy   string      `json:"remedy"`   // what to do, or what is done
	Since    time.Time   `json:"since"`    // when it was first seen

	subject string // tells two findings of one guard apart
	// Stale is what is written to a file that was rotated away, where Act follows.
	Stale *Stale `json:"-"`
}

func find(id string, follows Consequence, remedy, format string, args ...any) Finding {
	return Finding{ID: id, Severity: severities[follows], Follows: follows, Evidence: fmt.Sprintf(format, args...), Remedy: remedy}
}

// Side is one master with its workers.
type Side struct {
	Master           nginx.Process
	Workers, Leaving []nginx.Process
}

func (s Side) pids() []int {
	pids := []int{s.Master.PID}
	for _, w := range s.Workers {
		pids = append(pids, w.PID)
	}
	for _, w := range s.Leaving {
		pids = append(pids, w.PID)
	}
	return pids
}

// View is what the migration has seen already.
type View struct {
	Old, New Side
	Parked   bool
	Back     bool   // the migration goes back: what would turn it around is no question any more
	Quitting bool   // the old master has closed its sockets and waits for its last connections
	CameBack bool   // the old master was parked, and accepts again although graft did not ask for it
	Replaced bool   // the file at the binary's path is neither the old nor the new binary
	Hanging  string // why a socket of the old master is not accepted on by the new one's workers; empty if all are
}

// Sight is what one look has seen.
type Sight struct {
	View
	Host    Host
	Stale   []Stale
	Drift   Drift
	Foreign *Foreign
	Blind   []Blind
}

// Blind is a guard that could not look.
type Blind struct {
	ID  string
	Why error
}

// Host is what does not change while a migration runs.
type Host struct {
	FS      procfs.FS
	Binary  string // the path that was swapped
	Backup  string // the old binary's copy
	PidFile string
	Conf    string
	Argv    []string
	Cwd     string
	Workers int               // of the old master, before anything was done
	Logs    []string          // access and error logs, absolute
	Planned map[string]string // the configuration's files when the plan was made: path → SHA-256
	Made    time.Time         // when the plan was made
	Unit    string            // of systemd, if it supervises the instance
	Reload  string            // how that unit reloads, and where that is written
}

// stampText shows a time as people compare it with their logs, to the second.
func stampText(t time.Time) string { return t.Local().Format(time.DateTime) }
