package build

import (
	"errors"

	"graft/internal/build/explain"
	"graft/internal/build/job"
	"graft/internal/build/source"
)

// FailedError is a program of the build that failed in a way that is known.
type FailedError struct {
	explain.Explanation
	Err error // what was run, the lines that matter, the log
}

func (e *FailedError) Error() string { return e.Err.Error() + "\n  what it means: " + e.What }

func (e *FailedError) Unwrap() error { return e.Err }

// explained adds to a failed program's error what it means and what helps, if that is known.
func explained(err error, release source.OSRelease) error {
	tool, ok := errors.AsType[*job.ToolError](err)
	if !ok {
		return err
	}
	if what, known := explain.Failure(tool, release); known {
		return &FailedError{what, err}
	}
	return err
}
