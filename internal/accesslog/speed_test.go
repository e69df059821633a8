package accesslog_test

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/accesslog"
	"graft/internal/traffic"
)

// task is what is asked of every program: status classes by time, the quantiles of the request time, the
// URLs that fail most.
type task struct {
	series  traffic.Series
	failing traffic.Failing
}

func (t *task) Add(r *accesslog.Record) {
	t.series.Add(r)
	t.failing.Add(r)
}

// runTask does the task with so many goroutines.
func runTask(tb testing.TB, s style, parallel int, files ...string) (*task, accesslog.Stats) {
	tb.Helper()
	format, err := accesslog.Compile(s.format, s.escape)
	if err != nil {
		tb.Fatal(err)
	}
	var sinks []*task
	stats, err := accesslog.ReadFiles(tb.Context(), accesslog.ReadOptions{Files: files, Formats: accesslog.Formats{format}, Parallel: parallel},
		func() accesslog.Sink {
			sinks = append(sinks, new(task))
			return sinks[len(sinks)-1]
		})
	if err != nil {
		tb.Fatal(err)
	}
	for _, other := range sinks[1:] {
		sinks[0].series.Merge(&other.series)
		sinks[0].failing.Merge(&other.failing.Top)
	}
	sum := sinks[0].series.Range(time.Time{}, time.Time{})
	if sum.Requests != stats.Lines || stats.Lines == 0 || sum.Time.Quantile(0.99) <= sum.Time.Quantile(0.5) || len(sinks[0].failing.First(20)) != 20 {
		tb.Fatalf("%+v, %d requests", stats, sum.Requests)
	}
	return sinks[0], stats
}

// cost is what a run took.
type cost struct{ cpu, wall time.Duration }

func (c cost) least(o cost) cost { return cost{min(c.cpu, o.cpu), min(c.wall, o.wall)} }

var noCost = cost{math.MaxInt64, math.MaxInt64}

// ownCost is what fn takes of this process.
func ownCost(tb testing.TB, fn func()) cost {
	tb.Helper()
	runtime.GC()
	before, start := usage(tb), time.Now()
	fn()
	return cost{usage(tb) - before, time.Since(start)}
}

func usage(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// commandCost is what another program takes.
func commandCost(tb testing.TB, name string, args ...string) cost {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		tb.Fatalf("%s: %v\n%s", name, err, stderr.Bytes())
	}
	return cost{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), time.Since(start)}
}

// benchSize is how large the logs of the benchmarks are: GRAFT_BENCH_BYTES, or 1 GiB.
func benchSize(tb testing.TB) int64 {
	tb.Helper()
	text := os.Getenv("GRAFT_BENCH_BYTES")
	if text == "" {
		return 1 << 30
	}
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Logf("the logs have %d bytes, as GRAFT_BENCH_BYTES says", size)
	return size
}

// rounds is how often each is run: the least counts, because a shared machine only adds.
const rounds = 5

// BenchmarkAgainstWc compares the CPU time of the task on one goroutine with that of counting the lines.
func BenchmarkAgainstWc(b *testing.B) {
	for _, s := range []style{timed, asJSON} {
		b.Run(s.name, func(b *testing.B) {
			size := benchSize(b)
			path := generatedLog(b, s, size)
			wc, one, two := noCost, noCost, noCost
			for b.Loop() {
				for range rounds {
					wc = wc.least(commandCost(b, "wc", "-l", path))
					one = one.least(ownCost(b, func() { runTask(b, s, 1, path) }))
					two = two.least(ownCost(b, func() { runTask(b, s, 2, path) }))
				}
			}
			b.ReportMetric(one.cpu.Seconds()/wc.cpu.Seconds(), "cpu/wc")
			b.ReportMetric(float64(size)/1e6/one.cpu.Seconds(), "MB/cpu-s")
			b.ReportMetric(float64(size)/1e6/wc.cpu.Seconds(), "wc-MB/cpu-s")
			b.ReportMetric(one.wall.Seconds()/two.wall.Seconds(), "speedup-of-2")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkScan scans lines that are in the processor's cache.
func BenchmarkScan(b *testing.B) {
	for _, s := range []style{timed, asJSON} {
		b.Run(s.name, func(b *testing.B) {
			var lines bytes.Buffer
			if err := newGenerator(1).write(&lines, s, 256<<10); err != nil {
				b.Fatal(err)
			}
			format, err := accesslog.Compile(s.format, s.escape)
			if err != nil {
				b.Fatal(err)
			}
			scan := accesslog.NewScanner(accesslog.Formats{format})
			n := 0
			b.SetBytes(int64(lines.Len()))
			b.ReportAllocs()
			before := usage(b)
			for b.Loop() {
				scan.Scan(lines.Bytes(), func(*accesslog.Record) { n++ })
			}
			if scan.Malformed > 0 {
				b.Fatal(scan.Samples)
			}
			b.ReportMetric(float64((usage(b)-before).Nanoseconds())/float64(n), "cpu-ns/line")
		})
	}
}
