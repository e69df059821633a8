package rehearse

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"graft/internal/durable"
	"graft/internal/migrate"
)

// resultsDir holds one file for each plan that was rehearsed, below the state directory.
const resultsDir = "rehearsals"

func resultFile(stateDir, plan string) string {
	return filepath.Join(stateDir, resultsDir, plan+".json")
}

// Save keeps a result for apply.
func Save(stateDir string, r Result) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("save rehearsal: %w", err)
	}
	file := resultFile(stateDir, r.Plan)
	if err := durable.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("save rehearsal: %w", err)
	}
	if err := durable.Replace("rehearsal", file, strings.NewReader(string(data)+"\n"), durable.Private(0o600)); err != nil {
		return fmt.Errorf("save rehearsal: %w", err)
	}
	return nil
}

// MissingError says that a plan has no green rehearsal.
type MissingError struct {
	Plan string
	Why  string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("plan %s has no green rehearsal: %s", e.Plan, e.Why)
}

// Require returns the plan's green rehearsal. Without one the error is a *MissingError. The file is
// believed, for only its owner writes there, but not where it contradicts itself.
func Require(stateDir string, plan migrate.Plan) (Result, error) {
	var r Result
	data, err := os.ReadFile(resultFile(stateDir, plan.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return r, &MissingError{plan.ID, "it was not rehearsed"}
	}
	if err != nil {
		return r, fmt.Errorf("read rehearsal: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, &MissingError{plan.ID, fmt.Sprintf("%s is damaged: %v", resultFile(stateDir, plan.ID), err)}
	}
	switch {
	case r.Plan != plan.ID || r.Fingerprint != plan.Fingerprint:
		return r, &MissingError{plan.ID, "the rehearsal is of another plan or another state of the host"}
	case !r.Green:
		return r, &MissingError{plan.ID, "its rehearsal failed: " + strings.Join(r.Problems, "; ")}
	}
	problems := r.Problems
	r.Problems = nil
	r.judgeActs()
	if problems = append(problems, r.Problems...); len(problems) > 0 {
		return r, &MissingError{plan.ID, fmt.Sprintf("%s is damaged: green, but %s", resultFile(stateDir, plan.ID), strings.Join(problems, "; "))}
	}
	return r, nil
}
