package main

import (
	"context"
	"fmt"
	"time"

	"graft/internal/probe"
)

// load is everything that is asked of nginx at the same time. Each part is bounded in rate, number
// and time.
type load struct {
	parts []part
	stop  context.CancelFunc
	began time.Time
}

type part struct {
	name    string
	running *probe.Running
}

// warmUp is how long the load runs before graft begins: it gives the gates a time before to compare with.
const warmUp = 2 * time.Second

// startLoad begins all parts and returns when they have warmed up.
func startLoad(ctx context.Context) (*load, error) {
	const most, longest = 100_000, 90 * time.Second
	web := func(path string) probe.Target {
		return probe.Target{Network: "tcp", Address: "127.0.0.1:80", Host: "www.example", Path: path}
	}
	tls := web("/page.txt")
	tls.Address, tls.TLS, tls.ServerName = "127.0.0.1:443", true, "www.example"
	unix := web("/page.txt")
	unix.Network, unix.Address = "unix", socketFile

	ctx, stop := context.WithCancel(ctx)
	l := &load{stop: stop, began: time.Now()}
	for _, p := range []struct {
		name string
		load probe.Load
	}{
		{"keep-alive, static", probe.Load{Target: web("/page.txt"), Mode: probe.KeepAlive, Clients: 8, Rate: 2500}},
		{"keep-alive, proxied", probe.Load{Target: web("/app/x"), Mode: probe.KeepAlive, Clients: 8, Rate: 500}},
		{"a connection each", probe.Load{Target: web("/page.txt"), Mode: probe.Connect, Clients: 8, Rate: 600}},
		{"idle keep-alive", probe.Load{Target: web("/page.txt"), Mode: probe.Idle, Clients: 40, Think: 3 * time.Second}},
		{"TLS and HTTP/2", probe.Load{Target: tls, Mode: probe.HTTP2, Clients: 4, Rate: 800}},
		{"unix socket", probe.Load{Target: unix, Mode: probe.KeepAlive, Clients: 4, Rate: 1000}},
		{"slow downloads", probe.Load{Target: web("/big"), Mode: probe.Download, Clients: 6, BytesPerSecond: bigFile / 14}},
	} {
		p.load.UserAgent, p.load.Requests, p.load.Duration = userAgent, most, longest
		running, err := probe.Start(ctx, p.load)
		if err != nil {
			stop()
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		l.parts = append(l.parts, part{p.name, running})
	}
	if err := wait(ctx, warmUp); err != nil {
		stop()
		return nil, err
	}
	return l, nil
}

// end stops the load, waits for what is under way, and shows what became of all of it.
func (l *load) end() probe.Tally {
	l.stop()
	var sum probe.Tally
	fmt.Printf("  %-22s %9s %9s %6s %6s %6s %12s\n", "requests", "sent", "answered", "5xx", "lost", "apart", "slowest")
	line := func(name string, t probe.Tally) {
		fmt.Printf("  %-22s %9d %9d %6d %6d %6d %12s\n", name, t.Requests, t.Fates[probe.OK], t.Errors5xx(), t.Lost(), t.Apart(), t.Latency.Max().Round(100*time.Microsecond))
		for _, f := range t.Failures {
			fmt.Printf("    lost at %s: %s: %s\n", f.Time.Format("15:04:05.000"), f.Fate, f.Error)
		}
	}
	for _, p := range l.parts {
		tally := p.running.Wait()
		line(p.name, tally)
		sum.Merge(tally)
	}
	sum.Failures = nil // shown already
	line("all", sum)
	fmt.Print("\n  apart: a keep-alive connection that nginx closed at the very moment the client spoke; clients send it again\n\n")
	return sum
}
