// Package preflight knows beforehand what would go wrong if a running nginx's binary were replaced:
// every trap of the catalogue is a check with what was seen as evidence and a remedy.
//
// Nothing of the host changes: the checks read, and run the binaries in a sandbox.
package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/procfs"
	"graft/internal/sandbox"
)

// Severity is how much a check's answer matters, the worst first. In JSON it is its name.
type Severity int

// The severities. The zero value is the one that does not proceed.
const (
	Blocker Severity = iota // the migration would fail or do harm
	Warning                 // it may, or this could not be found out
	Note                    // worth knowing
	OK                      // looked at, and in order
)

var severityNames = [...]string{Blocker: "blocker", Warning: "warning", Note: "note", OK: "ok"}

func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityNames) {
		return fmt.Sprintf("severity %d", int(s))
	}
	return severityNames[s]
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a severity's name; any other word is an error.
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severityNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("severity %q: want one of %s", text, strings.Join(severityNames[:], ", "))
	}
	*s = Severity(i)
	return nil
}

// Check is one trap's answer for one migration.
type Check struct {
	ID       string   `json:"id"` // the trap, as in docs/traps.md
	Severity Severity `json:"severity"`
	Evidence string   `json:"evidence"` // what was read, and where: path, pid, file:line
	Remedy   string   `json:"remedy"`   // the exact command or configuration line; empty if there is nothing to do
	Page     string   `json:"page"`     // of the documentation; `graft traps ID` shows it
}

// Worst is the severity that decides: a single blocker blocks. No checks at all block too.
func Worst(checks []Check) Severity {
	if len(checks) == 0 {
		return Blocker
	}
	return slices.MinFunc(checks, bySeverity).Severity
}

func bySeverity(a, b Check) int { return cmp.Compare(a.Severity, b.Severity) }

// Subject is the migration that is checked: the target put under the instance.
type Subject struct {
	FS       procfs.FS
	Instance nginx.Instance
	Target   artifact.Artifact
	StateDir string // where the backup and the journal go
	// Sandboxed makes the sandbox that the binaries are tried in; sandbox.Command if nil.
	Sandboxed func(ctx context.Context, opts sandbox.Options, argv0 string, args ...string) (*exec.Cmd, error)
}

// Run makes every check of the catalogue, each exactly once, and returns them most important first. A
// check that cannot be made says so in its answer; the error is only for a subject that is none, and
// for ctx.
func Run(ctx context.Context, s Subject) ([]Check, error) {
	if s.Instance.Master.PID == 0 || len(s.Instance.Argv) == 0 {
		return nil, errors.New("preflight: no instance: its master was not inspected")
	}
	e, err := examine(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("preflight: %w", err)
	}
	var checks []Check
	for _, entry := range Catalogue() {
		checks = append(checks, entry.ask(e))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("preflight: %w", err)
	}
	slices.SortStableFunc(checks, bySeverity)
	return checks, nil
}
