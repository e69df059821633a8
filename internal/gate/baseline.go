package gate

import (
	"context"
	"sync"
	"time"

	"graft/internal/analysis"
	"graft/internal/probe"
)

// Baseline is how an instance's targets answered before it was touched, by [Target.Key]. What they did
// wrong then is not held against the new binary: a default server may well `return 444`, refuse the
// TLS handshake, or answer 503.
type Baseline map[string]Before

// Before is how one target answered: the best answer, and all that differed, so that what varies by
// itself is known.
type Before struct {
	probe.Answer
	Tries []probe.Answer `json:"tries,omitempty"` // answered ones, each that differs from the others
	Asked analysis.Count `json:"asked,omitzero"`  // tries, and how many were lost
}

const (
	baselineTries   = 3 // of a target that fails
	baselineAnswers = 4 // of one that answers
	baselineTimeout = 5 * time.Second
	baselineWidth   = 16 // targets asked at the same time
)

// TakeBaseline asks each target that can be asked, several times.
func TakeBaseline(ctx context.Context, targets []Target) Baseline {
	var (
		mu     sync.Mutex
		all    sync.WaitGroup
		places = make(chan struct{}, baselineWidth)
		answer = make(Baseline)
	)
	for _, t := range targets {
		if t.Proof != Answered && t.Proof != Probed {
			continue
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			b := askBefore(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			answer[t.Key()] = b
		})
	}
	all.Wait()
	return answer
}

func askBefore(ctx context.Context, t Target) Before {
	var b Before
	learnt := newFormer(t, b)
	patient := baselineTries
	if t.Proof == Probed && t.Spec.URL == "" {
		patient = 1 // there may be hundreds, and what fails is not probed
	}
	for failed := 0; failed < patient && b.Asked.Total-b.Asked.Bad < baselineAnswers && ctx.Err() == nil; {
		a := ask(ctx, t, baselineTimeout)
		b.Asked.Total++
		if a.Fate.Lost() {
			b.Asked.Bad++
		}
		if b.Fate != probe.OK || b.Status >= 500 && a.Fate == probe.OK && a.Status < 500 {
			b.Answer = a
			b.Headers, b.Body = nil, nil // those of the tries are compared
		}
		if a.Fate != probe.OK || a.Status >= 500 {
			failed++
		}
		if a.Fate == probe.OK {
			if n := len(learnt.answers); n < maxFormer {
				if learnt.learn(a); len(learnt.answers) > n {
					b.Tries = append(b.Tries, a)
				}
			}
		}
	}
	return b
}

// ask sends one request on a connection of its own.
func ask(ctx context.Context, t Target, timeout time.Duration) probe.Answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, a := probe.Open(ctx, t.Target, userAgent)
	if c == nil {
		return a
	}
	defer c.Close()
	return c.Ask(ctx)
}

// takeLate takes the baseline when the new binary serves already. A target where nobody answers in
// time is not excused by it, and no later answer is compared with what may be the new binary's own.
func takeLate(ctx context.Context, targets []Target) Baseline {
	b := TakeBaseline(ctx, targets)
	for key, a := range b {
		switch a.Fate {
		case probe.OK, probe.EOFNew, probe.Reset, probe.TLS, probe.Malformed, probe.Local:
			a.Tries = nil
			b[key] = a
		default:
			delete(b, key)
		}
	}
	return b
}
