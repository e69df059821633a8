package preflight

import (
	"context"
	"fmt"
)

// examination is what several checks need, found out once.
type examination struct {
	Subject
}

func examine(_ context.Context, s Subject) (*examination, error) {
	return &examination{Subject: s}, nil
}

// MountNamespace tells whether graft and the master see the same files.
func (e *examination) MountNamespace() bool { return e.Instance.MountNamespace }

func remedyMountNamespace(e *examination) string {
	return fmt.Sprintf("run graft inside the master's container: nsenter --target %d --mount --pid --net graft plan …", e.Instance.Master.PID)
}
