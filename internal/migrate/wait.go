package migrate

import (
	"context"
	"fmt"
	"time"
)

// until asks again and again until the host shows it, an error comes, or the time is over. nginx
// reacts within a millisecond or within seconds (init_by_lua): the pause is a twentieth of what
// has passed, so that the answer is late by a twentieth at most, and idle looking costs little.
func until(ctx context.Context, limit time.Duration, what string, seen func() (bool, error)) error {
	const shortest, longest = 200 * time.Microsecond, 50 * time.Millisecond
	begin := time.Now()
	for {
		ok, err := seen()
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
		passed := time.Since(begin)
		if passed > limit {
			return fmt.Errorf("%s: not seen within %s", what, limit)
		}
		timer := time.NewTimer(min(max(passed/20, shortest), longest))
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-timer.C:
		}
	}
}
