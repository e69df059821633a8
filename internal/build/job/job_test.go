package job

import (
	"context"
	"errors"
	"testing"
)

func TestInterruptedBuildSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j := Silent()
	if err := j.Run(ctx, Command{Args: []string{"sleep", "60"}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
