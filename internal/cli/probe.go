package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"graft/internal/gate"
	"graft/internal/probe"
)

func (a *app) probeCommand() *cobra.Command {
	load := probe.Load{}
	var mode string
	var spec probeSpec
	var headers []string
	cmd := &cobra.Command{
		Use:   "probe URL…",
		Short: "Send requests and count what becomes of every one",
		Long: "Probe is the client that graft trusts: it sends each request once, on connections of its own, and counts\n" +
			"refused, reset, cut and timed-out ones that other clients retry in silence. It exits 1 if one was lost.\n\n" +
			"The URL says what is spoken:\n" +
			"  http://, https://   HTTP/1.1\n" +
			"  h2://, h2c://       HTTP/2, with TLS and without\n" +
			"  h3://               HTTP/3\n" +
			"  ws://, wss://       WebSocket: a handshake, then pings, or --send and its echo\n" +
			"  grpc://, grpcs://   the standard health check; /name asks it for that service,\n" +
			"                      /package.Service/Method calls that with an empty message\n" +
			"  tcp://, tls://      a connection; --send and --expect say what goes over it\n\n" +
			"A unix socket is named as nginx does: http://unix:/run/nginx.sock:/path",
		Example: "  graft probe -n 100 https://site.example/\n" +
			"  graft probe --address 127.0.0.1:443 h3://site.example/\n" +
			"  graft probe --send hello wss://site.example/chat\n" +
			"  graft probe --expect '220 ' tcp://127.0.0.1:25",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			load.Mode = probe.Mode(mode)
			var running []*probe.Running
			for _, url := range args {
				spec.URL = url
				target, err := spec.withHeaders(headers)
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
	f.Float64Var(&load.Rate, "rate", 50, "requests per second by all clients, per URL; 0: as fast as answers come, which is a load test")
	f.Int64VarP(&load.Requests, "requests", "n", 0, "stop after so many, per URL, if --duration is not over before")
	f.DurationVarP(&load.Duration, "duration", "d", 10*time.Second, "stop after this time")
	f.DurationVar(&load.Timeout, "timeout", 10*time.Second, "of one request")
	f.DurationVar(&load.Think, "think", 0, "pause of a client after each answer")
	f.StringVar(&load.UserAgent, "user-agent", "", "User-Agent header (graft-probe; a gate does not count that as traffic)")
	f.IntVar(&load.BytesPerSecond, "bytes-per-second", 0, "how fast each slow reader reads")
	f.StringVar(&spec.Address, "address", "", "connect to this host:port instead of the URL's")
	f.StringVarP(&spec.Method, "method", "X", "", "GET, HEAD or OPTIONS")
	f.StringArrayVarP(&headers, "header", "H", nil, "a header, as 'Name: value'; Host is the name asked for, in TLS too")
	f.StringVar(&spec.Send, "send", "", "text to send by ws, wss, tcp and tls; \\r and \\n are the line's ends")
	f.StringVar(&spec.Expect.Body, "expect", "", "how the answer to it begins")
	return cmd
}

// probeSpec is what is asked of each URL.
type probeSpec struct{ gate.ProbeSpec }

// withHeaders is the target with the headers of the command line, "Name: value".
func (s probeSpec) withHeaders(lines []string) (probe.Target, error) {
	s.Headers = map[string]string{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return probe.Target{}, fmt.Errorf("header %q: want 'Name: value'", line)
		}
		s.Headers[name] = strings.TrimSpace(value)
	}
	s.Send = strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(s.Send)
	t, err := s.Target()
	if err == nil && s.Expect.Body != "" && t.Expect == "" {
		err = fmt.Errorf("probe %q: --expect is for ws, wss, tcp and tls", s.URL)
	}
	return t, err
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
		if status == 0 { // tcp and tls have none
			continue
		}
		fmt.Fprintf(w, "  status %d   %d\n", status, t.Status[status])
	}
	for _, s := range t.Servers {
		fmt.Fprintf(w, "  %-20s %8d answers, first %s, last %s\n", s.Name, s.Count, s.First.Format("15:04:05.000"), s.Last.Format("15:04:05.000"))
	}
	if t.Fates[probe.OK] > 0 {
		fmt.Fprintf(w, "  latency p50 %s, p99 %s, max %s\n", t.Latency.Quantile(0.5), t.Latency.Quantile(0.99), t.Latency.Max())
	}
	for _, f := range t.Failures {
		fmt.Fprintf(w, "  lost at %s: %s: %s\n", f.Time.Format("15:04:05.000"), f.Fate, f.Error)
	}
}
