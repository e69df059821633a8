package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"graft/internal/probe"
)

func (a *app) probeCommand() *cobra.Command {
	load := probe.Load{}
	var mode string
	cmd := &cobra.Command{
		Use:   "probe URL…",
		Short: "Send requests and count what becomes of every one",
		Long: "Probe is the client that graft trusts: it sends each request once, on connections of its own, and counts\n" +
			"refused, reset, cut and timed-out ones that other clients retry in silence. It exits 1 if one was lost.\n" +
			"A unix socket is named as nginx does: http://unix:/run/nginx.sock:/path",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			load.Mode = probe.Mode(mode)
			var running []*probe.Running
			for _, url := range args {
				target, err := probe.ParseURL(url)
				if err != nil {
					return &Error{CodeUsage, err, ""}
				}
				load.Target = target
				r, err := probe.Start(cmd.Context(), load)
				if err != nil {
					return &Error{CodeUsage, err, ""}
				}
				running = append(running, r)
			}
			results := make([]probeResult, len(args))
			var all sync.WaitGroup
			for i, r := range running {
				all.Go(func() { results[i] = probeResult{URL: args[i], Tally: r.Wait()} })
			}
			all.Wait()
			if err := a.answer(map[string]any{"targets": results}, func(w io.Writer) {
				for _, r := range results {
					showTally(w, r.URL, r.Tally)
				}
			}); err != nil {
				return err
			}
			lost := int64(0)
			for _, r := range results {
				lost += r.Tally.Lost()
			}
			if lost > 0 {
				return failf(CodeFailed, "", "%d requests were lost", lost)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&mode, "mode", string(probe.KeepAlive), "keepalive, connect (a new connection per request), idle, download (slow) or h2")
	f.IntVarP(&load.Clients, "clients", "c", 1, "clients at the same time, per URL")
	f.Float64Var(&load.Rate, "rate", 0, "requests per second, per URL (0: as fast as answers come)")
	f.Int64VarP(&load.Requests, "requests", "n", 0, "stop after so many, per URL")
	f.DurationVarP(&load.Duration, "duration", "d", 10*time.Second, "stop after this time")
	f.DurationVar(&load.Timeout, "timeout", 10*time.Second, "of one request")
	f.DurationVar(&load.Think, "think", 0, "pause of a client after each answer")
	f.StringVar(&load.UserAgent, "user-agent", "", "User-Agent header (graft-probe; a gate does not count that as traffic)")
	f.IntVar(&load.BytesPerSecond, "bytes-per-second", 0, "how fast each slow reader reads")
	return cmd
}

type probeResult struct {
	URL   string      `json:"url"`
	Tally probe.Tally `json:"tally"`
}

func showTally(w io.Writer, url string, t probe.Tally) {
	fmt.Fprintf(w, "%s\n  %d requests, %d lost, %d apart (clients must send these again), %d answered with 5xx\n",
		url, t.Requests, t.Lost(), t.Apart(), t.Errors5xx())
	for _, fate := range slices.Sorted(maps.Keys(t.Fates)) {
		if n := t.Fates[fate]; n > 0 && fate != probe.OK {
			fmt.Fprintf(w, "  %-12s %d\n", fate, n)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(t.Status)) {
		fmt.Fprintf(w, "  status %d   %d\n", status, t.Status[status])
	}
	for _, s := range t.Servers {
		fmt.Fprintf(w, "  %-20s %8d answers, first %s, last %s\n", s.Name, s.Count, s.First.Format("15:04:05.000"), s.Last.Format("15:04:05.000"))
	}
	fmt.Fprintf(w, "  latency p50 %s, p99 %s, max %s\n", t.Latency.Quantile(0.5), t.Latency.Quantile(0.99), t.Latency.Max())
	for _, f := range t.Failures {
		fmt.Fprintf(w, "  lost at %s: %s: %s\n", f.Time.Format("15:04:05.000"), f.Fate, f.Error)
	}
}
