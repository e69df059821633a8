package rehearse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"graft/internal/gate"
	"graft/internal/nginx"
	"graft/internal/probe"
)

// userAgent marks the rehearsal's own requests in the clone's log.
const userAgent = "graft-rehearsal"

// maxAddresses bounds how many listening addresses are asked during the acts; each is proved by the
// migration's own verification as well.
const maxAddresses = 16

// clients ask the clone for the whole of the play.
type clients struct {
	stop  context.CancelFunc
	loads []*probe.Running
	told  Clients
}

// ask starts clients on every address that answers a first request: with a connection for each
// request, the kind that meets every socket.
func ask(ctx context.Context, i nginx.Instance) (*clients, error) {
	ctx, stop := context.WithCancel(ctx)
	c := &clients{stop: stop, told: Clients{Addresses: []string{}, Silent: []string{}}}
	for _, t := range gate.Targets(i) {
		if t.Proof == gate.NoProof {
			continue
		}
		first := probe.Load{Target: t.Target, Mode: probe.Connect, Clients: 1, Requests: 1, Timeout: 5 * time.Second, UserAgent: userAgent}
		answers := t.Proof == gate.Answered && len(c.loads) < maxAddresses
		if answers {
			tally, err := probe.Run(ctx, first)
			if err != nil {
				stop()
				return nil, fmt.Errorf("ask %s: %w", t.Listen, err)
			}
			answers = tally.Fates[probe.OK] == 1
		}
		if !answers {
			c.told.Silent = append(c.told.Silent, t.Listen)
			continue
		}
		load := first
		load.Requests, load.Rate, load.Duration = 1_000_000, 25, 10*time.Minute
		running, err := probe.Start(ctx, load)
		if err != nil {
			stop()
			return nil, fmt.Errorf("ask %s: %w", t.Listen, err)
		}
		c.told.Addresses = append(c.told.Addresses, t.Listen)
		c.loads = append(c.loads, running)
	}
	return c, nil
}

// end stops them and tells what became of every request.
func (c *clients) end() Clients {
	c.stop()
	var all probe.Tally
	for _, l := range c.loads {
		all.Merge(l.Wait())
	}
	c.told.Sent, c.told.Answered, c.told.Lost, c.told.Apart = all.Requests, all.Fates[probe.OK], all.Lost(), all.Apart()
	for _, f := range all.Failures {
		c.told.Failures = append(c.told.Failures, fmt.Sprintf("%s %s: %s", f.Time.Format("15:04:05.000"), f.Fate, f.Error))
	}
	return c.told
}

// with adds what the clients of another clone met.
func (c Clients) with(other Clients) Clients {
	c.Sent, c.Answered = c.Sent+other.Sent, c.Answered+other.Answered
	c.Lost, c.Apart = c.Lost+other.Lost, c.Apart+other.Apart
	c.Failures = append(c.Failures, other.Failures...)
	c.Addresses = union(c.Addresses, other.Addresses)
	c.Silent = slices.DeleteFunc(union(c.Silent, other.Silent), func(a string) bool { return slices.Contains(c.Addresses, a) })
	return c
}

// union is each of both lists once, and never nil.
func union(a, b []string) []string {
	all := append([]string{}, a...)
	for _, x := range b {
		if !slices.Contains(all, x) {
			all = append(all, x)
		}
	}
	return all
}
