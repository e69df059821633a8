package gate

import (
	"context"
	"sync"
	"time"

	"graft/internal/probe"
)

// Baseline is how an instance's targets answered before it was touched, by listening address. What
// they did wrong then is not held against the new binary: a default server may well `return 444`,
// refuse the TLS handshake, or answer 503.
type Baseline map[string]probe.Answer

const (
	baselineTries   = 3
	baselineTimeout = 5 * time.Second
	baselineWidth   = 16 // targets asked at the same time
)

// TakeBaseline asks each HTTP target, and again where the answer is a failure, up to three times:
// the best answer counts.
func TakeBaseline(ctx context.Context, targets []Target) Baseline {
	var (
		mu     sync.Mutex
		all    sync.WaitGroup
		places = make(chan struct{}, baselineWidth)
		answer = make(Baseline)
	)
	for _, t := range targets {
		if t.Proof != Answered {
			continue
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			a := bestOf(ctx, t.Target)
			mu.Lock()
			defer mu.Unlock()
			answer[t.Listen] = a
		})
	}
	all.Wait()
	return answer
}

func bestOf(ctx context.Context, t probe.Target) probe.Answer {
	var best probe.Answer
	for range baselineTries {
		ctx, cancel := context.WithTimeout(ctx, baselineTimeout)
		a := probe.Once(ctx, t)
		cancel()
		if a.Fate == probe.OK && a.Status < 500 {
			return a
		}
		if best.Fate != probe.OK {
			best = a
		}
	}
	return best
}

// takeLate takes the baseline when the new binary serves already. A target where nobody answers in
// time is not excused by it.
func takeLate(ctx context.Context, targets []Target) Baseline {
	b := TakeBaseline(ctx, targets)
	for listen, a := range b {
		switch a.Fate {
		case probe.OK, probe.EOFNew, probe.Reset, probe.TLS, probe.Malformed, probe.Local:
		default:
			delete(b, listen)
		}
	}
	return b
}
